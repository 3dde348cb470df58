//! Retention honours consumers as leases, up to a hard budget; past it the laggard is told so.

use tidelog::{Engine, Error, Keep, Limits, Op, Retention, View};

use crate::support::{delete, entries_cap, put, small, store};

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

#[test]
fn who_reads_every_entry_is_kept_all_of_them_from_the_first_fetch_on() {
    let (_dir, engine) = store(small().retention(tight()));
    let first = put(&engine, "d", "e", "0").last;
    let every = Limits::entries(1).view(View::Every);
    engine.consumer_fetch("indexer", "d", every).expect("a page");
    (1..20).for_each(|n| _ = put(&engine, "d", "e", &n.to_string()));
    engine.compact(None).expect("a compaction");
    let page = engine.consumer_fetch("indexer", "d", every).expect("nothing has gone");
    assert_eq!(page.entries.iter().map(|entry| entry.key).collect::<Vec<_>>(), [first]);
}

#[test]
fn a_first_read_keeps_to_its_view() {
    let (_dir, engine) = store(small().retention(tight()).consumer_budget(0));
    let seen = put(&engine, "d", "e", "x").last;
    (0..3).for_each(|n| _ = put(&engine, "d", &format!("f{n}"), "x"));
    let fetch = |consumer: &str, view| engine.consumer_fetch(consumer, "d", Limits::entries(1).view(view));
    fetch("latest", View::Latest).expect("a page");
    assert!(matches!(fetch("latest", View::Every), Err(Error::Invalid { .. })));
    // To its end: the last entry.
    put(&engine, "other", "e", "x");
    let last =
        engine.consumer_fetch("whole", "d", Limits::default()).expect("all of it").entries.last().expect("one").key;
    engine.consumer_ack("whole", "d", last).expect("an acknowledgement");
    fetch("whole", View::Every).expect("a page");
    fetch("early", View::Latest).expect("a page");
    let window = Retention { keep: Keep::Window, ..tight() };
    engine.set_retention("d", window).expect("a retention");
    assert!(matches!(fetch("early", View::Every), Err(Error::Evicted { .. })), "no view could serve it");
    engine.set_retention("d", tight()).expect("a retention");
    // One that was sent an entry as history must hear of its end, or that it cannot.
    fetch("every", View::Every).expect("a page");
    engine.consumer_ack("every", "d", seen).expect("an acknowledgement");
    delete(&engine, "d", "e");
    engine.compact(None).expect("a compaction");
    assert!(engine.stat("d").expect("stat").floor > seen, "the delete is gone");
    let told = engine.consumer_fetch("every", "d", Limits::default());
    let deletes = |page: &tidelog::Page| page.entries.iter().any(|entry| entry.op == Op::Delete);
    assert!(told.as_ref().map_or(true, deletes), "{told:?}");
}

#[test]
fn a_consumer_can_begin_with_what_is_left_of_a_window() {
    let (_dir, engine) = store(small().chunk_bytes(32));
    let capped = Retention { keep: Keep::Window, history: entries_cap(3), ..Retention::unlimited() };
    engine.set_retention("d", capped).expect("a retention");
    (0..20).for_each(|n| _ = put(&engine, "d", &format!("e{n}"), "x"));
    engine.compact(None).expect("a compaction");
    engine.set_retention("d", Retention::unlimited()).expect("a retention");
    let rows = engine.entities("d", None, 100).expect("entities");
    assert!(rows.len() < 20);
    let mut found = Vec::new();
    loop {
        let page = engine.consumer_fetch("indexer", "d", Limits::entries(1)).expect("a page");
        found.extend(page.entries.iter().map(|entry| entry.key));
        engine.consumer_ack("indexer", "d", page.position).expect("an acknowledgement");
        if !page.more {
            break;
        }
    }
    let mut living: Vec<_> = rows.iter().map(|row| row.key).collect();
    living.sort_unstable();
    assert_eq!(found, living);
}
