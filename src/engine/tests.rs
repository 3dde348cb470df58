use std::time::Duration;

use super::Engine;
use super::changes::page;
use super::pin::Pin;
use crate::compact::{self, Policy};
use crate::cursor::Cursor;
use crate::options::Options;
use crate::types::{Batch, Cap, CompactionReport, Keep, Limits, Retention};

#[test]
fn a_remembered_life_does_not_reach_a_reader_of_an_older_moment() {
    let dir = tempfile::tempdir().unwrap();
    let none = Cap { entries: Some(0), bytes: None, age_ms: None };
    let retention = Retention { keep: Keep::Live, history: none, tombstones: none };
    let options = Options::default().retention(retention).grace(Duration::ZERO, 0).background_compaction(false);
    let engine = Engine::open(dir.path().join("store"), options).unwrap();
    let append = |deleted: bool| {
        let mut batch = Batch::new();
        match deleted {
            true => batch.delete("d", "e"),
            false => batch.create("d", "e", "x"),
        };
        engine.append(batch).unwrap().last
    };
    let created = append(false);
    engine.seal().unwrap();
    let deleted = append(true);
    engine.seal().unwrap();
    // The next life and its end lie in the tail.
    append(false);
    append(true);
    let core = engine.core().unwrap();
    let store = core.store();
    let (old, dataset) = Pin::of(&core, &store, b"d").unwrap();
    let policy = Policy {
        retention,
        now_ms: core.clock.now_ms(),
        grace_ms: 0,
        grace_bytes: 0,
        consumer_bytes: 0,
        chunk_bytes: core.options.chunk_bytes,
    };
    let mut report = CompactionReport::default();
    compact::steps(&store, &[dataset.id], &policy, &mut report).unwrap();
    assert_eq!(report.tombstones_dropped, 1);
    // Another reader asks, without the tombstone.
    engine.changes("d", &Cursor::after(deleted), Limits::default()).unwrap();
    let (page, _) = page(&core, &old, &dataset, &Cursor::after(created), Limits::default()).unwrap();
    assert_eq!(page.entries.len(), 1, "the client knows the entity and must be told that it is gone");
}
