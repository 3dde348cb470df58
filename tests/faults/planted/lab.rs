//! A store on the simulated disk, index store and all, and ways to end it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidelog::testing::sim::{Image, ManualClock, SimDisk};
use tidelog::{Batch, Commit, Cursor, Durability, Engine, Error, Limits, Options, Page, Retention, StaleReason, View};

pub const STORE: &str = "/store";
/// Long enough for anything that is not stuck.
const NEVER: Duration = Duration::from_secs(3600);

/// Small, and every step is the test's own: nothing is synced, sealed or trimmed unless it is asked for.
pub fn options(disk: &SimDisk) -> Options {
    Options::default()
        .memory(16 << 20)
        .segment_bytes(64 << 10)
        .chunk_bytes(256)
        .background_compaction(false)
        .grace(Duration::ZERO, 256 << 20)
        .retention(Retention::unlimited())
        .sync_interval(NEVER)
        .clock(ManualClock::at(1_750_000_000_000))
        .vfs(Arc::new(disk.clone()))
}

pub fn open(disk: &SimDisk) -> Engine {
    try_open(disk).expect("the store opens")
}

pub fn try_open(disk: &SimDisk) -> Result<Engine, Error> {
    Engine::open(Path::new(STORE), options(disk))
}

pub fn put(engine: &Engine, entity: &str, payload: &str) -> Commit {
    try_put(engine, entity, payload).expect("a put")
}

pub fn try_put(engine: &Engine, entity: &str, payload: &str) -> Result<Commit, Error> {
    engine.append(batch(entity, payload))
}

/// Written, and not synced.
pub fn put_buffered(engine: &Engine, entity: &str, payload: &str) -> Commit {
    engine.append_with(batch(entity, payload), Durability::Buffered).expect("a put")
}

pub fn batch(entity: &str, payload: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put("d", entity.to_owned(), payload.to_owned());
    batch
}

pub fn delete(engine: &Engine, entity: &str) -> Commit {
    let mut batch = Batch::new();
    batch.delete("d", entity.to_owned());
    engine.append(batch).expect("a delete")
}

/// The payload of an entity; none if it is not there, or its dataset is not.
pub fn value(engine: &Engine, entity: &str) -> Option<String> {
    match engine.get("d", entity) {
        Ok(found) => found.and_then(|entry| entry.payload).map(|payload| String::from_utf8_lossy(&payload).into()),
        Err(Error::DatasetNotFound { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

pub fn page(engine: &Engine, cursor: &Cursor, view: View) -> Result<Page, Error> {
    engine.changes("d", cursor, Limits::default().view(view))
}

/// The cursor of a client that has read everything.
pub fn caught_up(engine: &Engine) -> Cursor {
    let page = page(engine, &Cursor::START, View::Latest).expect("a page");
    assert!(!page.more);
    page.next
}

pub fn stale<T: std::fmt::Debug>(result: Result<T, Error>) -> StaleReason {
    match result {
        Err(Error::Stale(stale)) => stale.reason,
        other => panic!("not stale: {other:?}"),
    }
}

/// Stores as some power cuts leave this disk.
pub fn after_power_cuts(disk: &SimDisk, cuts: u64, check: impl Fn(Result<Engine, Error>, u64)) {
    for seed in 0..cuts {
        let cut = disk.crash(seed);
        check(try_open(&cut), seed);
    }
}

/// The disk with one of its log files changed.
pub fn damaged(image: &Image, damage: impl Fn(&mut Vec<u8>) -> bool) -> SimDisk {
    let mut image = image.clone();
    let logs = image.iter_mut().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "log"));
    let changed = logs.map(|(_, bytes)| damage(bytes)).filter(|changed| *changed).count();
    assert_eq!(changed, 1, "one log file has it");
    SimDisk::of(&image)
}

/// Changes a bit of the first of these bytes where they stand.
pub fn flip(bytes: &mut [u8], wanted: &str) -> bool {
    let at = bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes());
    if let Some(at) = at {
        bytes[at] ^= 1;
    }
    at.is_some()
}
