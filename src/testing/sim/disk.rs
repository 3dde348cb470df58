//! Directories and files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Image;
use super::file::{File, Mood};
use super::random::Random;

/// More than any test needs: a length made of hostile bytes must not get through to an allocation.
const MAX_FILE_BYTES: u64 = 64 << 20;
const ROOT: usize = 0;

#[derive(Clone)]
pub struct Disk {
    nodes: Vec<Node>,
    locked: Vec<usize>,
    /// Changes made so far.
    pub changes: u64,
    room: Option<u64>,
}

#[derive(Clone)]
enum Node {
    File(File),
    Dir(Dir),
}

type Names = BTreeMap<OsString, usize>;

#[derive(Clone, Default)]
struct Dir {
    durable: Names,
    now: Names,
    pending: Vec<(u64, Entry)>,
}

#[derive(Clone)]
enum Entry {
    Add(OsString, usize),
    Remove(OsString),
    Rename(OsString, OsString, usize),
}

impl Dir {
    fn change(&mut self, at: u64, entry: Entry) {
        apply(&mut self.now, &entry);
        self.pending.push((at, entry));
    }
}

fn apply(names: &mut Names, entry: &Entry) {
    match entry {
        Entry::Add(name, node) => {
            names.insert(name.clone(), *node);
        }
        Entry::Remove(name) => {
            names.remove(name);
        }
        Entry::Rename(from, to, node) => {
            if names.get(from) == Some(node) {
                names.remove(from);
            }
            names.insert(to.clone(), *node);
        }
    }
}

fn error<T>(kind: io::ErrorKind) -> io::Result<T> {
    Err(kind.into())
}

impl Disk {
    pub fn new() -> Disk {
        Disk { nodes: vec![Node::Dir(Dir::default())], locked: Vec::new(), changes: 0, room: None }
    }

    pub fn find(&self, path: &Path) -> io::Result<usize> {
        let mut at = ROOT;
        for name in names(path) {
            at = *self.dir(at)?.now.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    fn dir(&self, node: usize) -> io::Result<&Dir> {
        match &self.nodes[node] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => error(io::ErrorKind::NotADirectory),
        }
    }

    fn dir_mut(&mut self, node: usize) -> io::Result<&mut Dir> {
        match &mut self.nodes[node] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => error(io::ErrorKind::NotADirectory),
        }
    }

    pub fn file(&self, node: usize) -> io::Result<&File> {
        match &self.nodes[node] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => error(io::ErrorKind::IsADirectory),
        }
    }

    pub fn file_mut(&mut self, node: usize) -> io::Result<&mut File> {
        match &mut self.nodes[node] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => error(io::ErrorKind::IsADirectory),
        }
    }

    /// A path as its directory and its last name.
    fn split<'p>(&self, path: &'p Path) -> io::Result<(usize, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.find(path.parent().unwrap_or(Path::new("")))?, name))
    }

    pub fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        Ok(self.dir(self.find(dir)?)?.now.keys().cloned().collect())
    }

    pub fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.add(path, Node::File(File::default()))
    }

    pub fn create_dirs(&mut self, path: &Path) -> io::Result<()> {
        let mut so_far = PathBuf::new();
        for name in names(path) {
            so_far.push(name);
            match self.find(&so_far) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.add(&so_far, Node::Dir(Dir::default()))?;
                }
                found => {
                    self.dir(found?)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        let (dir, name) = self.split(path)?;
        let (at, new) = (self.changes, self.nodes.len());
        let dir = self.dir_mut(dir)?;
        if dir.now.contains_key(name) {
            return error(io::ErrorKind::AlreadyExists);
        }
        dir.change(at, Entry::Add(name.to_owned(), new));
        self.nodes.push(node);
        Ok(new)
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ((dir, old), (other, new)) = (self.split(from)?, self.split(to)?);
        if dir != other {
            return error(io::ErrorKind::Unsupported);
        }
        let at = self.changes;
        let dir = self.dir_mut(dir)?;
        let node = *dir.now.get(old).ok_or(io::ErrorKind::NotFound)?;
        dir.change(at, Entry::Rename(old.to_owned(), new.to_owned(), node));
        Ok(())
    }

    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        self.file(node)?;
        self.unlink(path)
    }

    pub fn remove_dirs(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        self.dir(node)?;
        self.unlink(path)
    }

    fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.split(path)?;
        let at = self.changes;
        self.dir_mut(dir)?.change(at, Entry::Remove(name.to_owned()));
        Ok(())
    }

    pub fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        let dir = self.dir_mut(node)?;
        for (_, entry) in std::mem::take(&mut dir.pending) {
            apply(&mut dir.durable, &entry);
        }
        Ok(())
    }

    /// Makes room for a file to be so long.
    pub fn take_room(&mut self, node: usize, len: u64) -> io::Result<()> {
        let more = len.saturating_sub(self.file(node)?.now.len() as u64);
        if len > MAX_FILE_BYTES || self.room.is_some_and(|room| room < more) {
            return error(io::ErrorKind::StorageFull);
        }
        self.room = self.room.map(|room| room - more);
        Ok(())
    }

    pub fn set_room(&mut self, bytes: Option<u64>) {
        self.room = bytes;
    }

    pub fn lock(&mut self, node: usize) -> bool {
        let free = !self.locked.contains(&node);
        if free {
            self.locked.push(node);
        }
        free
    }

    pub fn unlock(&mut self, node: usize) {
        self.locked.retain(|locked| *locked != node);
    }

    pub fn unlock_all(&mut self) {
        self.locked.clear();
    }

    pub fn make_durable_dir(&mut self, path: &Path) {
        self.create_dirs(path).expect("a directory");
        let mut at = PathBuf::new();
        for name in names(path) {
            self.sync_dir(&at).expect("a directory that is there");
            at.push(name);
        }
    }

    pub fn restore(&mut self, image: &Image) {
        // What is open keeps its place among the nodes.
        self.nodes[ROOT] = Node::Dir(Dir::default());
        for (path, bytes) in image {
            let parent = path.parent().unwrap_or(Path::new(""));
            self.make_durable_dir(parent);
            let node = self.create(path).expect("a file of the image");
            self.nodes[node] = Node::File(File::of(bytes.clone()));
            self.sync_dir(parent).expect("a directory that is there");
        }
    }

    pub fn image(&self) -> Image {
        let mut image = Image::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, node)) = open.pop() {
            match &self.nodes[node] {
                Node::File(file) => drop(image.insert(path, file.now.clone())),
                Node::Dir(dir) => open.extend(dir.now.iter().map(|(name, node)| (path.join(name), *node))),
            }
        }
        image
    }

    /// The disk after a power cut; without a choice, nothing is kept that was not synced.
    pub fn crashed(&self, mut random: Option<&mut Random>) -> Disk {
        let mood = random.as_deref_mut().map(|random| Mood::any(random, self.changes));
        let mut nodes: Vec<Node> = (0..self.nodes.len()).map(|_| Node::Dir(Dir::default())).collect();
        let mut open = vec![ROOT];
        while let Some(at) = open.pop() {
            nodes[at] = match &self.nodes[at] {
                Node::File(file) => Node::File(File::of(file.crashed(mood.zip(random.as_deref_mut())))),
                Node::Dir(dir) => {
                    let mut names = dir.durable.clone();
                    for (at, entry) in &dir.pending {
                        if let Some((mood, random)) = mood.zip(random.as_deref_mut())
                            && mood.keeps(*at, random)
                        {
                            apply(&mut names, entry);
                        }
                    }
                    open.extend(names.values());
                    Node::Dir(Dir { durable: names.clone(), now: names, pending: Vec::new() })
                }
            };
        }
        Disk { nodes, locked: Vec::new(), changes: 0, room: self.room }
    }
}

fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}
