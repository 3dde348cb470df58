//! The git history example on a small repository that holds every oddity a history can have.

// Parts of the example are only used by its own `main`.
#[path = "../../examples/git_history/clients.rs"]
mod clients;
#[path = "../../examples/git_history/git.rs"]
#[allow(dead_code)]
mod git;
#[path = "../../examples/git_history/import.rs"]
mod import;
#[path = "../../examples/git_history/run.rs"]
#[allow(dead_code)]
mod run;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use git::{Event, Node, Repo};
use run::{Report, Settings, run};
use tempfile::TempDir;
use tidelog::{Error, StaleReason};

/// What the odd repository leaves out with [`MAX_BLOB`].
const BIG: usize = 300_000;
const MAX_BLOB: usize = 200_000;
/// A path that is not UTF-8, with a line end and a tab in it.
const ODD_PATH: &[u8] = b"odd \xff\n\tname";
/// Where a submodule stands, as far as the tree is concerned.
const GITLINK: [&str; 2] = ["1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"];

/// A repository to write commits into.
struct Fixture {
    _dir: TempDir,
    path: PathBuf,
}

impl Fixture {
    fn new(format: &str) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture { path: dir.path().join("repo"), _dir: dir };
        std::fs::create_dir(&fixture.path).unwrap();
        fixture.git(&["init", "-q", "-b", "main", "--object-format", format]);
        fixture
    }

    fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.path, arguments)
    }

    fn write(&self, path: impl AsRef<OsStr>, bytes: impl AsRef<[u8]>) {
        let path = self.path.join(Path::new(path.as_ref()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.commit_index(message);
    }

    /// Commits what is in the index; a submodule stands only there.
    fn commit_index(&self, message: &str) {
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }
}

fn git_in(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every oddity: an empty root, links, modes, a path that is not text, a submodule marked as ignored, a file that
/// becomes a directory, a merge, a file that goes and comes back, blobs above the limit.
fn odd_repository(format: &str) -> Fixture {
    let repo = Fixture::new(format);
    repo.commit("empty root");
    repo.write("a.txt", "one\n");
    repo.write("dir/b.txt", "");
    repo.write(OsStr::from_bytes(ODD_PATH), [0, 1, 2, 255]);
    symlink("a.txt", repo.path.join("link")).unwrap();
    repo.commit("first files");
    std::fs::set_permissions(repo.path.join("a.txt"), std::fs::Permissions::from_mode(0o755)).unwrap();
    repo.commit("a mode only");
    repo.write("big.bin", vec![7; BIG]);
    repo.write("grows.bin", "small");
    repo.commit("a blob above the limit");
    repo.write("grows.bin", vec![8; BIG]);
    std::fs::remove_file(repo.path.join("dir/b.txt")).unwrap();
    repo.commit("a file grows above the limit, another goes");
    repo.commit("nothing");
    repo.write("dir/b.txt", "back again");
    std::fs::remove_file(repo.path.join("link")).unwrap();
    repo.write("link", "a file now");
    repo.commit("one comes back, a link becomes a file");
    repo.git(&["checkout", "-q", "-b", "side", "HEAD~2"]);
    repo.write("side.txt", "from the side");
    repo.write("a.txt", "changed on the side\n");
    repo.commit("side");
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    std::fs::remove_file(repo.path.join("side.txt")).unwrap();
    repo.write("side.txt/inside", "a directory now");
    repo.write("gone.txt", "for a moment");
    repo.commit("a file becomes a directory");
    std::fs::remove_file(repo.path.join("gone.txt")).unwrap();
    repo.write("grows.bin", "small again");
    repo.write(".gitmodules", "[submodule \"sub\"]\n\tpath = sub\n\turl = ./nowhere\n\tignore = all\n");
    repo.commit("a file goes, one shrinks");
    for id in GITLINK {
        let id = if format == "sha256" { format!("{id}{}", &id[..24]) } else { id.into() };
        repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{id},sub")]);
        repo.commit_index("submodule");
    }
    repo
}

fn play(repo: &Path) -> Report {
    let data = tempfile::tempdir().unwrap();
    let store = data.path().join("store");
    let mut done = (0, 0);
    let settings = Settings { repo, data: &store, memory: 64 << 20, max_blob: MAX_BLOB };
    let report = run(&settings, &mut |commits, total| done = (commits, total)).unwrap();
    assert_eq!(done, (report.commits, report.commits), "progress reaches the end");
    report
}

fn assert_exact(report: &Report, files: u64) {
    assert_eq!(report.clients.len(), 3);
    for client in &report.clients {
        assert!(client.is_right(), "{}: {:?} {:?}", client.name, client.comparison, client.read);
        assert_eq!(client.comparison.exact, files, "{}", client.name);
    }
    let stale = report.clients.iter().filter_map(|client| client.refused.as_ref());
    assert!(matches!(stale.collect::<Vec<_>>()[..], [Error::Stale(stale)] if stale.reason == StaleReason::Trimmed));
}

/// Applies every step of the walk to a plain map: what is left is HEAD's tree.
fn assert_walk_ends_at_the_tree(path: &Path) -> usize {
    let repo = Repo::open(path).unwrap();
    let commits = repo.commits().unwrap();
    let (mut walk, mut blobs) = (repo.walk(&commits).unwrap(), repo.blobs().unwrap());
    let (mut seen, mut files) = (Vec::new(), BTreeMap::new());
    while let Some(event) = walk.step().unwrap() {
        match event {
            Event::Commit(id) => seen.push(id),
            Event::Change { path, after: None, .. } => assert!(files.remove(&path).is_some(), "{path:?} was there"),
            Event::Change { path, added, after: Some(node) } => {
                let bytes = match node {
                    Node::Gitlink(id) => id.into_bytes(),
                    Node::Blob(id) => match blobs.read(&id, usize::MAX).unwrap() {
                        git::Blob::Bytes(bytes) => bytes,
                        git::Blob::TooLarge(size) => panic!("{size} bytes are above any limit"),
                    },
                };
                let before = files.insert(path.clone(), repo.hash.blob_id(&bytes));
                assert_eq!(before.is_none(), added, "{path:?}");
            }
        }
    }
    assert_eq!(seen, commits);
    let mut tree = BTreeMap::new();
    repo.tree(|path, id| assert!(tree.insert(path.to_vec(), id).is_none())).unwrap();
    assert_eq!(files, tree);
    tree.len()
}

#[test]
fn a_walk_along_the_first_parents_ends_at_the_tree() {
    for format in ["sha1", "sha256"] {
        let repo = odd_repository(format);
        assert_eq!(assert_walk_ends_at_the_tree(&repo.path), 9, "{format}");
    }
}

#[test]
fn bare_and_shallow_clones_are_walked_as_they_are() {
    let repo = odd_repository("sha1");
    let url = format!("file://{}", repo.path.display());
    repo.git(&["clone", "-q", "--bare", &url, "../bare"]);
    repo.git(&["clone", "-q", "--bare", "--depth", "3", &url, "../shallow"]);
    let (bare, shallow) = (repo.path.join("../bare"), repo.path.join("../shallow"));
    assert_eq!(assert_walk_ends_at_the_tree(&bare), 9);
    assert_eq!(assert_walk_ends_at_the_tree(&shallow), 9);
    assert!(!Repo::open(&bare).unwrap().shallow);
    assert!(Repo::open(&shallow).unwrap().shallow);
    assert_eq!(Repo::open(&shallow).unwrap().commits().unwrap().len(), 3);
}

#[test]
fn a_directory_without_history_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let message = Repo::open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("REPO="), "{message}");
    let unborn = Fixture::new("sha1");
    let message = Repo::open(&unborn.path).unwrap_err().to_string();
    assert!(message.contains("no commit yet"), "{message}");
}

#[test]
fn all_three_clients_end_exact_on_an_odd_history() {
    for format in ["sha1", "sha256"] {
        let repo = odd_repository(format);
        let report = play(&repo.path);
        // 9 paths at HEAD, and big.bin is above the limit.
        assert_exact(&report, 8);
        let counts = &report.counts;
        assert_eq!((report.commits, counts.empty, report.absent), (12, 2, 1));
        let left_out: Vec<&[u8]> = counts.left_out.iter().map(|(_, path, _)| &path[..]).collect();
        assert_eq!(left_out, [&b"big.bin"[..], b"grows.bin"]);
        assert_eq!(counts.submodules.get(&b"sub"[..]), Some(&2));
        // b.txt, the file above the limit, side.txt, gone.txt.
        assert_eq!(counts.deletes, 4);
        assert_eq!(counts.split.len(), 0);
    }
}

#[test]
fn a_history_without_deletes_gets_a_temporary_entity() {
    let repo = Fixture::new("sha1");
    for text in ["one", "two", "three"] {
        repo.write("only.txt", text);
        repo.commit(text);
    }
    let report = play(&repo.path);
    assert!(report.temporary);
    assert_exact(&report, 1);
}

#[test]
fn a_history_of_one_empty_commit_is_enough() {
    let repo = Fixture::new("sha1");
    repo.commit("empty");
    let report = play(&repo.path);
    assert_exact(&report, 0);
    assert_eq!(report.counts.empty, 1);
}

#[test]
fn a_commit_above_the_limit_becomes_several_batches() {
    let repo = Fixture::new("sha1");
    for index in 0..20u8 {
        repo.write(format!("file-{index}"), vec![index; MAX_BLOB]);
    }
    repo.commit("4 MB at once");
    let report = play(&repo.path);
    assert_exact(&report, 20);
    let [(_, batches, bytes)] = &report.counts.split[..] else { panic!("{:?}", report.counts.split) };
    assert_eq!(*batches, 2);
    assert!(*bytes > 20 * MAX_BLOB as u64);
}
