use std::path::Path;

use tidelog::testing::sim::SimDisk;
use tidelog::testing::{Bug, with};
use tidelog::{Batch, Cursor, Engine, Limits, Op, Retention, StaleReason, View, verify};

use super::lab::*;

/// Keeps nothing but what lives.
fn forgetful(disk: &SimDisk) -> Engine {
    let mut retention = Retention::unlimited();
    retention.history.entries = Some(0);
    retention.tombstones.entries = Some(0);
    Engine::open(STORE, options(disk).retention(retention)).expect("it opens")
}

pub fn a_repeat_is_known_after_its_seal() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    let mut once = batch("e", "x");
    once.idempotency_id("id");
    let first = engine.append(once.clone()).expect("a put");
    engine.seal().expect("a seal");
    let again = engine.append(once).expect("a repeat");
    assert!(again.repeated && again.first == first.first, "{again:?}");
}

pub fn what_is_superseded_is_passed_over() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put(&engine, "e", "old");
    put(&engine, "e", "new");
    engine.seal().expect("a seal");
    let page = page(&engine, &Cursor::START, View::Latest).expect("a page");
    assert_eq!(page.entries.len(), 1, "{:?}", page.entries);
}

pub fn a_page_has_what_was_sealed_since_the_last_one() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    for entries in 1..=3 {
        put(&engine, &format!("e{entries}"), "x");
        engine.seal().expect("a seal");
        for _ in 0..2 {
            let page = page(&engine, &Cursor::START, View::Every).expect("a page");
            assert_eq!(page.entries.len(), entries, "{:?}", page.entries);
        }
    }
}

pub fn a_window_goes_on_over_what_was_compacted() {
    let disk = SimDisk::new();
    let mut retention = Retention::unlimited();
    retention.history.entries = Some(0);
    let engine = Engine::open(STORE, options(&disk).retention(retention)).expect("it opens");
    let one = |cursor: &Cursor| engine.changes("d", cursor, Limits::entries(1)).expect("a page").next;
    // A chunk each.
    let payload = "x".repeat(2_000);
    (0..8).for_each(|n| _ = put(&engine, &format!("e{n}"), &payload));
    engine.seal().expect("a seal");
    let mut cursor = one(&Cursor::START);
    put(&engine, "later", "x");
    engine.seal().expect("a seal");
    cursor = one(&cursor);
    delete(&engine, "e5");
    assert!(engine.compact(None).expect("a compaction").superseded_dropped > 0);
    let rest = page(&engine, &cursor, View::Latest).expect("a page");
    let live = ["e2", "e3", "e4", "e6", "e7", "later"];
    let told: Vec<&[u8]> = rest.entries.iter().filter(|e| e.op != Op::Delete).map(|e| e.entity).collect();
    assert_eq!(told, live.map(str::as_bytes));
}

pub fn a_client_is_told_of_every_delete() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put(&engine, "e", "x");
    let client = caught_up(&engine);
    let mut blind = Batch::new();
    blind.create("d", "e", "y");
    engine.append(blind).expect("a create of what is there");
    delete(&engine, "e");
    engine.seal().expect("a seal");
    let page = page(&engine, &client, View::Latest).expect("a page");
    assert!(page.entries.iter().any(|entry| entry.op == Op::Delete), "the client keeps it: {:?}", page.entries);
}

pub fn a_reader_below_a_dropped_tombstone_is_stale() {
    let disk = SimDisk::new();
    let engine = forgetful(&disk);
    put(&engine, "e", "x");
    put(&engine, "f", "x");
    let client = caught_up(&engine);
    delete(&engine, "e");
    assert_eq!(engine.compact(None).expect("a compaction").tombstones_dropped, 1);
    assert_eq!(stale(page(&engine, &client, View::Latest)), StaleReason::Trimmed);
}

pub fn a_reader_below_dropped_history_is_stale() {
    let disk = SimDisk::new();
    let engine = forgetful(&disk);
    let first = put(&engine, "e", "1").last;
    put(&engine, "e", "2");
    put(&engine, "e", "3");
    assert_eq!(engine.compact(None).expect("a compaction").superseded_dropped, 2);
    assert_eq!(stale(page(&engine, &Cursor::after(first), View::Every)), StaleReason::HistoryTrimmed);
}

pub fn compaction_keeps_what_lives() {
    let disk = SimDisk::new();
    let engine = forgetful(&disk);
    put(&engine, "e", "old");
    put(&engine, "e", "new");
    engine.compact(None).expect("a compaction");
    assert_eq!(value(&engine, "e").as_deref(), Some("new"));
    // What seals remember of it does not hide what the index has.
    let listed = engine.entities("d", None, 10).expect("a list");
    assert!(listed.iter().any(|row| row.entity == "e"), "{listed:?}");
}

pub fn a_verification_misses_no_mark() {
    let disk = SimDisk::new();
    with(Bug::MarksNotSealed, || {
        let engine = open(&disk);
        put(&engine, "e", "old");
        put(&engine, "e", "new");
        engine.seal().expect("a seal");
        engine.close().expect("a clean close");
    });
    let report = verify(Path::new(STORE), &options(&disk), &mut |_, _| {}).expect("a verification");
    assert!(!report.findings.is_empty(), "it found nothing");
}
