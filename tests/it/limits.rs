//! Limits on what may be under way, and on memory.

use tidelog::{Batch, Durability, Error, SyncKey, Watch};

use crate::support::{drain, put, small, store};

#[test]
fn one_watcher_too_many_is_busy() {
    let (_dir, engine) = store(small().max_watchers(3));
    let watch = || engine.watch(&[(b"d", SyncKey::ZERO)]);
    let mut held: Vec<Watch> = (0..3).map(|_| watch().expect("a watcher")).collect();
    let fourth = watch().map(|_| ());
    assert!(matches!(fourth, Err(Error::Busy { .. })), "{fourth:?}");
    held.pop();
    watch().expect("there is room again");
}

#[test]
fn a_full_queue_is_busy_and_loses_nothing() {
    let (_dir, engine) = store(small().max_queued(4));
    let (mut busy, mut receipts) = (0, Vec::new());
    for n in 0..5_000 {
        let mut batch = Batch::new();
        batch.put("d", format!("e{n:05}"), "x");
        match engine.submit(batch, Durability::Synced) {
            Ok(receipt) => receipts.push(receipt),
            Err(Error::Busy { what }) => {
                assert!(!what.is_empty());
                busy += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    let mut written = 0;
    for receipt in receipts {
        match receipt.wait() {
            Ok(_) => written += 1,
            Err(Error::Busy { .. }) => busy += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    let (entries, _) = drain(&engine, "d", tidelog::Cursor::START, tidelog::Limits::default());
    assert_eq!((entries.len(), written + busy), (written, 5_000), "written: exactly what was acknowledged");
    assert!(engine.metrics().queued <= 4);
}

#[test]
fn tails_and_caches_stay_within_the_budget() {
    let budget = 16 << 20;
    let (_dir, engine) = store(tidelog::Options::default().memory(budget).background_compaction(false));
    let payload = "x".repeat(10_000);
    for n in 0..3_000 {
        put(&engine, &format!("d{}", n % 50), &format!("e{n}"), &payload);
        let metrics = engine.metrics();
        let held = metrics.tail_bytes + metrics.cache_bytes + metrics.store_memory_bytes;
        assert!(held <= budget as u64, "after {n} puts: {metrics:?}");
    }
    for n in 0..50 {
        assert_eq!(drain(&engine, &format!("d{n}"), tidelog::Cursor::START, tidelog::Limits::default()).0.len(), 60);
        let metrics = engine.metrics();
        let held = metrics.tail_bytes + metrics.cache_bytes + metrics.store_memory_bytes;
        assert!(held <= budget as u64, "after {n} reads: {metrics:?}");
    }
    assert!(engine.metrics().seals > 0);
}

#[test]
fn metrics_count() {
    let (_dir, engine) = store(small());
    let before = engine.metrics();
    put(&engine, "d", "e", "x");
    put(&engine, "d", "e", "y");
    drain(&engine, "d", tidelog::Cursor::START, tidelog::Limits::default());
    engine.seal().expect("a seal");
    let after = engine.metrics();
    assert_eq!((after.commits - before.commits, after.entries - before.entries), (2, 2));
    assert_eq!((after.pages - before.pages, after.entries_read - before.entries_read), (1, 1));
    assert!(after.syncs > before.syncs && after.log_bytes > before.log_bytes && after.seals > before.seals);
    assert_eq!((after.queued, after.tails_pending), (0, 0));
}
