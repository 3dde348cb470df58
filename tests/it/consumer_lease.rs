//! Retention honours consumers as leases, up to a hard budget; past it the laggard is told so.

use tidelog::{Engine, Error, Limits, Retention, View};

use crate::support::{entries_cap, put, small, store};

fn tight() -> Retention {
    Retention { history: entries_cap(0), tombstones: entries_cap(0), ..Retention::unlimited() }
}

/// A consumer that has acknowledged the first of `versions` versions.
fn behind(engine: &Engine, versions: usize) -> u64 {
    let first = put(engine, "d", "e", "first").last;
    engine.consumer_fetch("indexer", "d", Limits::default()).expect("a page");
    engine.consumer_ack("indexer", "d", first).expect("an acknowledgement");
    for _ in 0..versions {
        put(engine, "d", "e", &"x".repeat(1000));
    }
    first.get()
}

#[test]
fn what_a_consumer_has_not_acknowledged_is_kept() {
    let (_dir, engine) = store(small().retention(tight()));
    let first = behind(&engine, 50);
    engine.compact(None).expect("a compaction");
    assert!(engine.stat("d").expect("stat").history_floor.get() <= first, "the floor passed a lease");
    let page = engine.consumer_fetch("indexer", "d", Limits::default().view(View::Every)).expect("a page");
    assert_eq!(page.entries.len(), 50);
    engine.consumer_ack("indexer", "d", page.position).expect("an acknowledgement");
    let report = engine.compact(None).expect("a compaction");
    assert_eq!(report.superseded_dropped, 50, "once acknowledged, it goes");
}

#[test]
fn a_removed_consumer_holds_nothing() {
    let (_dir, engine) = store(small().retention(tight()));
    behind(&engine, 50);
    engine.consumer_remove("indexer", "d").expect("a removal");
    assert_eq!(engine.compact(None).expect("a compaction").superseded_dropped, 50);
}

#[test]
fn past_the_budget_the_laggard_is_evicted() {
    let (dir, engine) = store(small().retention(tight()).consumer_budget(20_000));
    let first = behind(&engine, 100);
    let report = engine.compact(None).expect("a compaction");
    assert!(report.superseded_dropped > 0, "100 kB are held by a budget of 20 kB");
    // Every entry is what the lease kept; the latest view may still be whole.
    let every = Limits::default().view(View::Every);
    let evicted = |engine: &Engine| match engine.consumer_fetch("indexer", "d", every) {
        Err(Error::Evicted { consumer, dataset, floor }) => {
            assert!(consumer == "indexer" && dataset == b"d" && floor > first);
        }
        other => panic!("expected an eviction, got {other:?}"),
    };
    evicted(&engine);
    let list = engine.consumers(None, 10).expect("consumers");
    assert!(list.len() == 1 && list[0].evicted, "{list:?}");
    engine.close().expect("a clean close");
    let engine = Engine::open(dir.path().join("store"), small().retention(tight())).expect("it opens again");
    evicted(&engine);
    engine.consumer_remove("indexer", "d").expect("a removal");
    let page = engine.consumer_fetch("indexer", "d", Limits::default()).expect("it starts again from 0");
    assert_eq!(page.entries.len(), 1);
}

#[test]
fn a_consumer_within_the_budget_is_not_evicted() {
    let (_dir, engine) = store(small().retention(tight()).consumer_budget(1 << 20));
    behind(&engine, 100);
    engine.compact(None).expect("a compaction");
    engine.consumer_fetch("indexer", "d", Limits::default()).expect("a page");
}
