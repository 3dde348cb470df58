//! A small store with a bit of everything in it, made the same way every time.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidelog::{Batch, Cap, Clock, Commit, Engine, Keep, Limits, Options, Retention};

use super::dump::dump;
use super::rng::Rng;

/// A clock that stands still.
struct Stopped;

impl Clock for Stopped {
    fn wall_ms(&self) -> u64 {
        1_750_000_000_000
    }

    fn monotonic_ms(&self) -> u64 {
        1_000
    }
}

/// Little memory, and nothing that runs by itself.
pub fn options() -> Options {
    Options::default()
        .memory(16 << 20)
        .segment_bytes(64 << 10)
        .chunk_bytes(2 << 10)
        .background_compaction(false)
        .grace(Duration::ZERO, 0)
        .retention(Retention::unlimited())
        .clock(Arc::new(Stopped))
}

/// How the sample's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Closed,
    Killed,
}

/// A commit that lies in the log only.
pub struct Unsealed {
    /// Where its frame stands in the log's last segment.
    pub range: Range<u64>,
    /// What the store said before it.
    pub before: String,
}

/// The store, as files and as what it says.
pub struct Sample {
    pub end: End,
    /// Every file's path in the store, with its content; by name.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    pub dump: String,
    pub unsealed: Vec<Unsealed>,
    /// The same store at an earlier time: sealed once less, and closed or killed likewise.
    pub older: Vec<(PathBuf, Vec<u8>)>,
    root: TempDir,
}

impl Sample {
    pub fn make(end: End) -> Sample {
        let root = memory_dir();
        let dir = root.path().join("store");
        let mut engine = Some(Engine::open(&dir, options()).expect("a new store opens"));
        let older = {
            early(engine.as_ref().expect("it is open"));
            let files = stopped(&dir, &mut engine, end);
            late(engine.get_or_insert_with(|| Engine::open(&dir, options()).expect("it opens again")));
            files
        };
        let open = engine.as_ref().expect("it is open");
        let mut before = Vec::new();
        for n in 0..6 {
            before.push(dump(open).expect("a sound store"));
            unsealed(open, n);
        }
        let said = dump(open).expect("a sound store");
        let files = stopped(&dir, &mut engine, end);
        drop(engine);
        let ranges = frames(&files);
        assert!(ranges.len() >= before.len(), "the log ends with the unsealed commits");
        let ranges = ranges[ranges.len() - before.len()..].iter().cloned();
        let unsealed = ranges.zip(before).map(|(range, before)| Unsealed { range, before }).collect();
        let sample = Sample { end, files, dump: said, unsealed, older, root };
        write(&sample.files, &sample.kept());
        sample
    }

    pub fn file(&self, name: &str) -> &[u8] {
        let found = self.files.iter().find(|(path, _)| path.ends_with(name));
        &found.unwrap_or_else(|| panic!("the sample has no {name}")).1
    }

    /// The log's newest segment.
    pub fn segment(&self) -> &Path {
        newest_segment(&self.files)
    }

    /// Where the files lie, for links to those that nothing writes to in place.
    pub fn kept(&self) -> PathBuf {
        self.root.path().join("kept")
    }
}

/// Writes files into a directory.
pub fn write(files: &[(PathBuf, Vec<u8>)], dir: &Path) {
    for (path, bytes) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, bytes).expect("a file");
    }
}

/// A directory in memory, where there is such.
pub fn memory_dir() -> TempDir {
    let shm = Path::new("/dev/shm");
    let made = match shm.is_dir() {
        true => tempfile::Builder::new().prefix("tidelog-faults-").tempdir_in(shm),
        false => tempfile::tempdir(),
    };
    made.expect("a temporary directory")
}

/// The files of a store that was closed, or whose process was killed: those are the files of an idle moment.
fn stopped(dir: &Path, engine: &mut Option<Engine>, end: End) -> Vec<(PathBuf, Vec<u8>)> {
    if end == End::Closed {
        engine.take().expect("it is open").close().expect("a clean close");
    }
    files(dir)
}

/// Every file below a directory with its content, in order of name.
pub fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(root: &Path, dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).expect("a file of the store").to_path_buf();
                found.push((name, std::fs::read(&path).expect("a file")));
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

pub fn newest_segment(files: &[(PathBuf, Vec<u8>)]) -> &Path {
    let segments = files.iter().map(|(path, _)| path.as_path());
    segments.filter(|path| path.extension().is_some_and(|ending| ending == "log")).max().expect("a segment")
}

/// Where the frames of the newest segment stand.
fn frames(files: &[(PathBuf, Vec<u8>)]) -> Vec<Range<u64>> {
    const FIRST: usize = 128;
    let name = newest_segment(files);
    let bytes = &files.iter().find(|(path, _)| path == name).expect("it was just found").1;
    let (mut at, mut found) = (FIRST, Vec::new());
    while bytes.get(at..at + 3) == Some(&b"TLF"[..]) {
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("four bytes")) as usize;
        let end = at + (64 + len).next_multiple_of(8);
        found.push(at as u64..end as u64);
        at = end;
    }
    found
}

fn cap(entries: u64) -> Cap {
    Cap { entries: Some(entries), bytes: None, age_ms: None }
}

fn commit(engine: &Engine, fill: impl FnOnce(&mut Batch) -> &mut Batch) -> Commit {
    let mut batch = Batch::new();
    fill(&mut batch);
    engine.append(batch).expect("a commit")
}

/// A batch that is always the same, under an idempotency id.
pub fn repeated() -> Batch {
    let mut batch = Batch::new();
    batch.put("inbox", "once", "only").idempotency_id("id-1");
    batch
}

/// What is sealed first, and partly compacted away later.
fn early(engine: &Engine) {
    let mut rng = Rng::new(12);
    engine.append(repeated()).expect("a commit");
    for n in 0..18_u64 {
        commit(engine, |batch| {
            batch.put("inbox", format!("mail-{}", n % 6), format!("subject {n}")).origin("laptop");
            batch.put("photos", format!("photo-{n}"), rng.bytes(300))
        });
        commit(engine, |batch| batch.put("events", format!("event-{n}"), "rang"));
    }
    for n in 0..3 {
        commit(engine, |batch| batch.put("draft", format!("note-{n}"), "of a dataset's first life"));
        commit(engine, |batch| batch.delete("inbox", format!("mail-{n}")));
    }
    engine.consumer_fetch("indexer", "inbox", Limits::entries(5)).expect("a page");
    engine.consumer_ack("indexer", "inbox", 9.into()).expect("an acknowledgement");
    engine.seal().expect("a seal");
}

/// Sealed too: what replaces some of it, and what was trimmed then.
fn late(engine: &Engine) {
    let window = Retention { keep: Keep::Window, history: cap(5), ..Retention::unlimited() };
    engine.set_retention("events", window).expect("a retention");
    let trimmed = Retention { history: cap(8), tombstones: cap(2), ..Retention::unlimited() };
    engine.set_retention("inbox", trimmed).expect("a retention");
    engine.delete_dataset("draft").expect("it is there");
    for n in 0..4 {
        commit(engine, |batch| batch.put("draft", format!("note-{n}"), "of its second life"));
        commit(engine, |batch| batch.put("inbox", format!("mail-{n}"), format!("again {n}")));
        commit(engine, |batch| batch.delete("photos", format!("photo-{n}")));
    }
    commit(engine, |batch| batch.delete("inbox", "mail-1"));
    engine.consumer_fetch("backup", "photos", Limits::entries(3)).expect("a page");
    engine.seal().expect("a seal");
    let report = engine.compact(None).expect("a compaction");
    assert!(report.superseded_dropped + report.window_dropped > 0, "nothing was trimmed: {report:?}");
    commit(engine, |batch| batch.put("notes", "first", "sealed by itself"));
    engine.seal().expect("a seal");
}

/// What stays in the log, one commit at a time.
fn unsealed(engine: &Engine, n: u64) {
    match n {
        0 => drop(commit(engine, |batch| batch.put("inbox", "mail-2", "newer than what is sealed"))),
        1 => drop(commit(engine, |batch| {
            batch.delete("notes", "first").put("events", "event-x", "rang last").origin("phone")
        })),
        2 => drop(engine.consumer_ack("backup", "photos", 12.into()).expect("an acknowledgement")),
        3 => {
            engine.set_retention("notes", Retention { history: cap(3), ..Retention::unlimited() }).expect("a retention")
        }
        4 => drop(commit(engine, |batch| batch.put("new", "a", vec![7; 700]).idempotency_id("id-2"))),
        _ => drop(commit(engine, |batch| batch.put("inbox", "mail-9", "the newest commit"))),
    }
}
