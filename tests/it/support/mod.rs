//! What the behaviour tests share: directories, a clock to turn, small options, a plain client.

mod child;
mod clock;
mod hooks;
#[path = "../../faults/support/memory.rs"]
mod memory;
mod replica;
mod rng;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tidelog::{
    Batch, Cap, Commit, Cursor, Durability, Engine, Entry, Error, Limits, Options, Receipt, Result, Retention,
    StaleReason, View,
};

pub use child::{Child, child_dir};
pub use clock::ManualClock;
pub use hooks::{BAD, FULL, HOLD, Hooks, Step};
pub use memory::peak_bytes;
pub use replica::Replica;
pub use rng::Rng;

/// Long enough for anything that is not stuck; nothing waits this long in a test that passes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The wall time at which manual clocks begin.
pub const NOON: u64 = 1_750_000_000_000;

/// A fresh directory, in memory where there is room for it: these tests do not depend on the medium.
pub fn temp() -> TempDir {
    let shm = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(shm).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) > 2 << 30);
    let made = if room { tempfile::Builder::new().prefix("tidelog-it-").tempdir_in(shm) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

/// Small tails and chunks, no background compaction, no grace: every step is the test's own.
pub fn small() -> Options {
    Options::default()
        .memory(16 << 20)
        .tail_bytes(8 << 10)
        .segment_bytes(64 << 10)
        .chunk_bytes(256)
        .background_compaction(false)
        .grace(Duration::ZERO, 256 << 20)
        .retention(Retention::unlimited())
}

/// A store in a fresh directory.
pub fn store(options: Options) -> (TempDir, Engine) {
    let dir = temp();
    let engine = Engine::open(dir.path().join("store"), options).expect("a new store opens");
    (dir, engine)
}

/// A store with one entity, so that its dataset and its log are there.
pub fn hooked(options: Options) -> (TempDir, Engine, Hooks) {
    let hooks = Hooks::default();
    let (dir, engine) = store(options.vfs(Arc::new(hooks.clone())));
    put(&engine, "d", "there", "x");
    (dir, engine, hooks)
}

/// What was sent, if it ever is.
pub fn answered<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE / 4).expect("a commit is answered")
}

/// At most this many, nothing else.
pub fn entries_cap(entries: u64) -> Cap {
    Cap { entries: Some(entries), bytes: None, age_ms: None }
}

/// A batch that puts one entity.
pub fn batch(dataset: &str, entity: &str, payload: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(dataset.to_owned(), entity.to_owned(), payload.to_owned());
    batch
}

/// Puts one entity.
pub fn put(engine: &Engine, dataset: &str, entity: &str, payload: &str) -> Commit {
    engine.append(batch(dataset, entity, payload)).expect("a put")
}

/// Hands in a commit, which someone else writes.
pub fn submit(engine: &Engine, batch: Batch) -> Receipt {
    engine.submit(batch, Durability::Synced).expect("it is queued")
}

/// The outcome, if there ever is one.
pub fn outcome(receipt: Receipt) -> Result<Commit> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(receipt.wait()));
    receiver.recv_timeout(PATIENCE / 4).expect("a commit is answered")
}

/// Deletes one entity.
pub fn delete(engine: &Engine, dataset: &str, entity: &str) -> Commit {
    let mut batch = Batch::new();
    batch.delete(dataset.to_owned(), entity.to_owned());
    engine.append(batch).expect("a delete")
}

/// Every entry from `cursor` to the end in this view, by pages of `limits`, and the cursor reached.
pub fn drain(engine: &Engine, dataset: &str, cursor: Cursor, limits: Limits) -> (Vec<Entry>, Cursor) {
    let (mut entries, mut cursor) = (Vec::new(), cursor);
    loop {
        let page = engine.changes(dataset, &cursor, limits).expect("a page");
        entries.extend(page.entries);
        cursor = page.next;
        if !page.more {
            return (entries, cursor);
        }
    }
}

/// The keys of everything recorded from `cursor` on.
pub fn every_key(engine: &Engine, dataset: &str, cursor: Cursor) -> Vec<u64> {
    let (entries, _) = drain(engine, dataset, cursor, Limits::default().view(View::Every));
    entries.iter().map(|entry| entry.key.get()).collect()
}

/// The present payload of an entity.
pub fn value(engine: &Engine, dataset: &str, entity: &str) -> Option<Bytes> {
    engine.get(dataset, entity).expect("a get").and_then(|entry| entry.payload)
}

/// The reason of a stale cursor; anything else fails the test.
#[track_caller]
pub fn stale_reason<T: std::fmt::Debug>(result: Result<T>) -> StaleReason {
    match result {
        Err(Error::Stale(stale)) => stale.reason,
        other => panic!("expected a stale cursor, got {other:?}"),
    }
}

/// Text that does not compress.
pub fn noise(seed: u64, len: usize) -> String {
    Rng::new(seed).bytes(len).iter().map(|byte| char::from(byte % 94 + 33)).collect()
}
