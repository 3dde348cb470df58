//! Reading a repository through git's own commands: long-lived children, and bytes all the way (a path need not be
//! text).

use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use sha1::{Digest, Sha1};
use sha2::Sha256;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The mode of a submodule's entry in a tree.
const GITLINK: u32 = 0o160000;

/// What object ids are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
}

/// An object id; the 12 bytes that SHA-1 leaves over are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectId([u8; 32]);

impl Hash {
    pub fn name(self) -> &'static str {
        match self {
            Hash::Sha1 => "SHA-1",
            Hash::Sha256 => "SHA-256",
        }
    }

    fn hex_len(self) -> usize {
        match self {
            Hash::Sha1 => 40,
            Hash::Sha256 => 64,
        }
    }

    /// The id that git gives to a blob of these bytes.
    pub fn blob_id(self, bytes: &[u8]) -> ObjectId {
        let header = format!("blob {}\0", bytes.len());
        let mut id = [0; 32];
        match self {
            Hash::Sha1 => id[..20].copy_from_slice(&Sha1::new().chain_update(header).chain_update(bytes).finalize()),
            Hash::Sha256 => id.copy_from_slice(&Sha256::new().chain_update(header).chain_update(bytes).finalize()),
        }
        ObjectId(id)
    }

    fn parse(self, hex: &str) -> Result<ObjectId> {
        let mut id = [0; 32];
        let whole = hex.len() == self.hex_len() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !whole {
            return Err(format!("git printed '{hex}' where an object id was due").into());
        }
        for (byte, at) in id.iter_mut().zip((0..hex.len()).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16)?;
        }
        Ok(ObjectId(id))
    }
}

/// A repository, bare or not, as it is at one commit.
#[derive(Debug)]
pub struct Repo {
    dir: PathBuf,
    /// The commit that HEAD named when it was opened; everything is read as of it.
    pub head: String,
    pub hash: Hash,
    /// Whether older history was cut off when it was cloned.
    pub shallow: bool,
}

/// What a tree has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file, or a symbolic link, whose blob is its target: the blob's id.
    Blob(String),
    /// A submodule: the commit it stands at.
    Gitlink(String),
}

impl Node {
    fn new(mode: &str, id: &str) -> Result<Node> {
        let mode = u32::from_str_radix(mode, 8)?;
        Ok(if mode == GITLINK { Node::Gitlink(id.into()) } else { Node::Blob(id.into()) })
    }
}

/// One step through the history.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A commit begins; its changes follow.
    Commit(String),
    /// A path was added or became something else, or went (`after` is none).
    Change { path: Vec<u8>, added: bool, after: Option<Node> },
}

impl Repo {
    /// The repository that `dir` is in.
    pub fn open(dir: &Path) -> Result<Repo> {
        let mut repo = Repo { dir: dir.into(), head: String::new(), hash: Hash::Sha1, shallow: false };
        let facts = repo.text(&["rev-parse", "--is-shallow-repository", "--show-object-format"]).map_err(|error| {
            format!(
                "{} has no git history that can be read ({error}).\nName a clone of some repository: make history \
                 REPO=/path/to/it",
                dir.display()
            )
        })?;
        repo.shallow = facts.lines().next() == Some("true");
        repo.hash = match facts.lines().nth(1) {
            Some("sha1") => Hash::Sha1,
            Some("sha256") => Hash::Sha256,
            other => return Err(format!("object ids made with {} are unknown here", other.unwrap_or("?")).into()),
        };
        repo.head = repo
            .text(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
            .map_err(|_| format!("{} has no commit yet: HEAD names none", dir.display()))?
            .trim_end()
            .into();
        Ok(repo)
    }

    /// The commits from the first to HEAD, each one the first parent of the next.
    pub fn commits(&self) -> Result<Vec<String>> {
        let list = self.text(&["rev-list", "--first-parent", "--reverse", &self.head])?;
        Ok(list.lines().map(String::from).collect())
    }

    /// What each of `commits` changed against the one before it (the first one: against nothing), as a stream.
    pub fn walk(&self, commits: &[String]) -> Result<Walk> {
        let arguments = ["--stdin", "--root", "--always", "-r", "-z", "--raw", "--no-abbrev", "--no-renames"];
        // Else a submodule marked as ignored in .gitmodules would not be listed.
        let none_ignored = "--ignore-submodules=none";
        let mut child = Running::start("diff-tree", self.git().arg("diff-tree").args(arguments).arg(none_ignored))?;
        let mut stdin = child.input()?;
        // A merge is compared with its first parent by naming that as its only one. The first commit of a shallow
        // clone has no parent that git knows of, like a root.
        let mut lines = String::new();
        for (index, commit) in commits.iter().enumerate() {
            lines.push_str(commit);
            if let Some(parent) = index.checked_sub(1).and_then(|before| commits.get(before)) {
                lines.push(' ');
                lines.push_str(parent);
            }
            lines.push('\n');
        }
        // From a thread of its own, so that neither side waits for the other with a full pipe. Its failure is the
        // reader's end of stream.
        thread::spawn(move || stdin.write_all(lines.as_bytes()));
        Ok(Walk { child })
    }

    /// A reader of blobs.
    pub fn blobs(&self) -> Result<Blobs> {
        let mut child = Running::start("cat-file", self.git().args(["cat-file", "--batch"]))?;
        let stdin = child.input()?;
        Ok(Blobs { stdin, child })
    }

    /// Calls `visit` with every path of HEAD's tree and the id of what is there. A submodule counts as a blob that
    /// holds its commit's id as text.
    pub fn tree(&self, mut visit: impl FnMut(&[u8], ObjectId)) -> Result<()> {
        let arguments = ["ls-tree", "-r", "-z", "--full-tree", &self.head];
        let mut child = Running::start("ls-tree", self.git().args(arguments))?;
        while let Some(row) = child.token()? {
            let tab = row.iter().position(|&byte| byte == b'\t').ok_or("ls-tree printed a row without a tab")?;
            let facts = std::str::from_utf8(&row[..tab])?;
            let mut facts = facts.split(' ');
            let (mode, id) = (facts.next().unwrap_or_default(), facts.nth(1).unwrap_or_default());
            let id = match Node::new(mode, id)? {
                Node::Blob(id) => self.hash.parse(&id)?,
                Node::Gitlink(commit) => self.hash.blob_id(commit.as_bytes()),
            };
            visit(&row[tab + 1..], id);
        }
        child.finish()
    }

    fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.dir);
        // A hook that runs this must not point it at another repository; replaced objects would not match their ids.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"] {
            git.env_remove(name);
        }
        git.env("GIT_NO_REPLACE_OBJECTS", "1").env("LC_ALL", "C");
        git
    }

    fn text(&self, arguments: &[&str]) -> Result<String> {
        let output = self.git().args(arguments).output().map_err(no_git)?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(message.lines().next().unwrap_or("git failed").to_string().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn no_git(error: io::Error) -> Box<dyn Error> {
    match error.kind() {
        io::ErrorKind::NotFound => "the command 'git' is not installed".into(),
        _ => error.into(),
    }
}

/// A child whose output is being read.
struct Running {
    name: &'static str,
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    fn start(name: &'static str, command: &mut Command) -> Result<Running> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(no_git)?;
        let out = child.stdout.take().ok_or("git has no output")?;
        Ok(Running { name, child, out: BufReader::with_capacity(64 << 10, out) })
    }

    /// The way in, once.
    fn input(&mut self) -> Result<ChildStdin> {
        Ok(self.child.stdin.take().ok_or("git has no input")?)
    }

    /// The bytes up to the next zero byte; none at the end.
    fn token(&mut self) -> Result<Option<Vec<u8>>> {
        let mut token = Vec::new();
        self.out.read_until(0, &mut token)?;
        match token.pop() {
            None => Ok(None),
            Some(0) => Ok(Some(token)),
            Some(_) => Err(format!("git {} stopped in the middle", self.name).into()),
        }
    }

    fn finish(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("git {} failed: {status}", self.name).into()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and that is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The changes of a line of commits, oldest first.
pub struct Walk {
    child: Running,
}

impl Walk {
    /// The next step; none after the last.
    pub fn step(&mut self) -> Result<Option<Event>> {
        let Some(token) = self.child.token()? else {
            self.child.finish()?;
            return Ok(None);
        };
        let text = std::str::from_utf8(&token)?;
        let Some(raw) = text.strip_prefix(':') else { return Ok(Some(Event::Commit(text.into()))) };
        let fields: Vec<&str> = raw.split(' ').collect();
        let [_, mode, _, id, status] = fields[..] else { return Err(format!("diff-tree printed '{text}'").into()) };
        let path = self.child.token()?.ok_or("git diff-tree stopped before a path")?;
        let after = if status == "D" { None } else { Some(Node::new(mode, id)?) };
        Ok(Some(Event::Change { path, added: status == "A", after }))
    }
}

/// A blob, or why it was left where it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Blob {
    Bytes(Vec<u8>),
    /// Its size in bytes, which is above the limit.
    TooLarge(u64),
}

/// A `git cat-file --batch` to ask.
pub struct Blobs {
    stdin: ChildStdin,
    child: Running,
}

impl Blobs {
    /// The blob `id`, if it has at most `limit` bytes.
    pub fn read(&mut self, id: &str, limit: usize) -> Result<Blob> {
        self.stdin.write_all(format!("{id}\n").as_bytes())?;
        let mut header = String::new();
        self.child.out.read_line(&mut header)?;
        let fields: Vec<&str> = header.trim_end().split(' ').collect();
        let [_, "blob", size] = fields[..] else {
            return Err(format!("object {id} cannot be read: git says '{}'", header.trim_end()).into());
        };
        let size: u64 = size.parse()?;
        if size > limit as u64 {
            let skipped = io::copy(&mut (&mut self.child.out).take(size + 1), &mut io::sink())?;
            return if skipped == size + 1 { Ok(Blob::TooLarge(size)) } else { Err(cut(id)) };
        }
        let mut bytes = vec![0; size as usize + 1];
        self.child.out.read_exact(&mut bytes).map_err(|_| cut(id))?;
        bytes.pop(); // the line end that git adds
        Ok(Blob::Bytes(bytes))
    }
}

fn cut(id: &str) -> Box<dyn Error> {
    format!("git cat-file stopped in the middle of {id}").into()
}

/// A path for people: what is not printable is escaped.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) if !text.chars().any(char::is_control) => f.write_str(text),
            _ => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}
