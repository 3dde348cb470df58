//! A cursor that can no longer be served is refused with its reason. One test for each.

use tidelog::{Cursor, Engine, Limits, Retention, Stale, StaleReason, SyncKey, View, restore};

use crate::support::{Replica, delete, entries_cap, put, small, stale_reason, store, temp};

/// Nothing but the live state survives a compaction.
fn forgetful() -> tidelog::Options {
    small().retention(Retention { history: entries_cap(0), tombstones: entries_cap(0), ..Retention::unlimited() })
}

fn latest(engine: &Engine, cursor: Cursor) -> Result<tidelog::Page, tidelog::Error> {
    engine.changes("d", &cursor, Limits::default())
}

#[test]
fn trimmed() {
    let (_dir, engine) = store(forgetful());
    put(&engine, "d", "a", "x");
    put(&engine, "d", "b", "x");
    let mut client = Replica::of("d");
    client.sync(&engine).expect("a read");
    let tombstone = delete(&engine, "d", "b").last;
    engine.compact(None).expect("a compaction");
    assert_eq!(engine.stat("d").expect("stat").floor, tombstone);
    match client.sync(&engine) {
        Err(tidelog::Error::Stale(stale)) => {
            let position = client.cursor.position().expect("a position").get();
            let want = Stale { reason: StaleReason::Trimmed, dataset: b"d".to_vec(), position, floor: tombstone.get() };
            assert_eq!(stale, want);
        }
        other => panic!("expected a stale cursor, got {other:?}"),
    }
    let mut fresh = Replica::of("d");
    fresh.sync(&engine).expect("a full resync is a delta from zero");
    assert_eq!(fresh.text(), [("a".into(), "x".into())]);
    latest(&engine, Cursor::after(tombstone)).expect("from the floor on nothing is missing");
}

#[test]
fn trimmed_while_the_first_window_is_open() {
    let (_dir, engine) = store(forgetful());
    for entity in ["a", "b", "c", "d"] {
        put(&engine, "d", entity, "x");
    }
    let mut client = Replica::of("d");
    client.page(&engine, Limits::entries(2)).expect("a page");
    delete(&engine, "d", "a");
    engine.compact(None).expect("a compaction");
    assert_eq!(stale_reason(client.page(&engine, Limits::entries(2))), StaleReason::Trimmed, "it has 'a' and must not");
}

#[test]
fn not_trimmed_where_the_first_window_began_after_it() {
    let (_dir, engine) = store(forgetful());
    for entity in ["a", "b", "c"] {
        put(&engine, "d", entity, "x");
    }
    delete(&engine, "d", "c");
    let mut client = Replica::of("d");
    client.page(&engine, Limits::entries(1)).expect("a page");
    engine.compact(None).expect("a compaction");
    client.sync(&engine).expect("the delete was there to see when the read began");
    assert_eq!(client.state.len(), 2);
}

#[test]
fn history_trimmed() {
    let (_dir, engine) = store(forgetful());
    let first = put(&engine, "d", "a", "1").last;
    let second = put(&engine, "d", "a", "2").last;
    put(&engine, "d", "b", "1");
    engine.compact(None).expect("a compaction");
    assert_eq!(engine.stat("d").expect("stat").history_floor, second);
    for cursor in [Cursor::START, Cursor::after(first)] {
        let result = engine.changes("d", &cursor, Limits::default().view(View::Every));
        match result {
            Err(tidelog::Error::Stale(stale)) => {
                assert_eq!((stale.reason, stale.floor), (StaleReason::HistoryTrimmed, second.get()));
            }
            other => panic!("expected a stale cursor, got {other:?}"),
        }
        latest(&engine, cursor).expect("the latest view needs no history");
    }
    let page = engine.changes("d", &Cursor::after(second), Limits::default().view(View::Every)).expect("a page");
    assert_eq!(page.entries.len(), 1, "above the floor it is all there");
}

#[test]
fn other_lineage() {
    let (dir, engine) = store(small());
    put(&engine, "d", "a", "x");
    let mut early = Replica::of("d");
    early.sync(&engine).expect("a read");
    engine.backup(dir.path().join("backup")).expect("a backup");
    put(&engine, "d", "b", "x");
    let mut late = early.clone();
    late.sync(&engine).expect("a read");
    restore(dir.path().join("backup"), dir.path().join("copy"), &small()).expect("a restore");
    let copy = Engine::open(dir.path().join("copy"), small()).expect("the copy opens");
    put(&copy, "d", "c", "x");

    assert_eq!(stale_reason(late.clone().sync(&copy)), StaleReason::OtherLineage, "it has what the copy never had");
    early.sync(&copy).expect("what it has, the copy has");
    assert_eq!(early.text(), [("a".into(), "x".into()), ("c".into(), "x".into())]);
    assert_eq!(stale_reason(early.sync(&engine)), StaleReason::OtherLineage, "the original knows nothing of the copy");
    late.sync(&engine).expect("the original goes on");
}

#[test]
fn other_lineage_by_the_bound_of_a_window() {
    let (dir, engine) = store(small());
    put(&engine, "d", "a", "x");
    put(&engine, "d", "b", "x");
    engine.backup(dir.path().join("backup")).expect("a backup");
    put(&engine, "d", "a", "y");
    let mut client = Replica::of("d");
    client.page(&engine, Limits::entries(1)).expect("a page, which skipped the old version of 'a'");
    restore(dir.path().join("backup"), dir.path().join("copy"), &small()).expect("a restore");
    let copy = Engine::open(dir.path().join("copy"), small()).expect("the copy opens");
    assert_eq!(stale_reason(client.sync(&copy)), StaleReason::OtherLineage);
}

#[test]
fn other_lineage_for_a_bare_key_in_the_gap() {
    let (dir, engine) = store(small());
    let last = put(&engine, "d", "a", "x").last;
    engine.backup(dir.path().join("backup")).expect("a backup");
    restore(dir.path().join("backup"), dir.path().join("copy"), &small()).expect("a restore");
    let copy = Engine::open(dir.path().join("copy"), small()).expect("the copy opens");
    put(&copy, "d", "b", "x");
    let gap = SyncKey::new(last.get() + 1000);
    assert_eq!(stale_reason(latest(&copy, Cursor::after(gap))), StaleReason::OtherLineage);
    assert_eq!(latest(&copy, Cursor::after(last)).expect("a shared key").entries.len(), 1);
}

#[test]
fn other_lineage_for_another_store_altogether() {
    let (_one, one) = store(small());
    let (_two, two) = store(small());
    put(&one, "d", "a", "x");
    put(&two, "d", "a", "x");
    let mut client = Replica::of("d");
    client.sync(&one).expect("a read");
    let reason = stale_reason(client.sync(&two));
    assert_eq!(reason, StaleReason::OtherLineage);
}

#[test]
fn recreated() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "a", "x");
    let mut client = Replica::of("d");
    client.sync(&engine).expect("a read");
    engine.delete_dataset("d").expect("a deletion");
    assert!(matches!(client.sync(&engine), Err(tidelog::Error::DatasetNotFound { .. })));
    put(&engine, "d", "b", "x");
    assert_eq!(stale_reason(client.sync(&engine)), StaleReason::Recreated);
    let old = client.cursor.position().expect("a position");
    assert_eq!(stale_reason(latest(&engine, Cursor::after(old))), StaleReason::Recreated, "a bare key of before");
}

#[test]
fn recreated_is_also_what_the_cursor_of_another_dataset_is() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "a", "x");
    put(&engine, "other", "a", "x");
    let cursor = engine.changes("other", &Cursor::START, Limits::default()).expect("a page").next;
    assert_eq!(stale_reason(latest(&engine, cursor)), StaleReason::Recreated);
}

#[test]
fn future() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "a", "x");
    let visible = engine.visible();
    latest(&engine, Cursor::after(visible)).expect("the present");
    for key in [visible.get() + 1, visible.get() + (1 << 50), u64::MAX / 2, u64::MAX] {
        let result = latest(&engine, Cursor::after(SyncKey::new(key)));
        assert_eq!(stale_reason(result), StaleReason::Future, "key {key}");
    }
}

#[test]
fn malformed() {
    let (_dir, engine) = store(small());
    for n in 0..10 {
        put(&engine, "d", &format!("e{n}"), "x");
    }
    let middle = engine.changes("d", &Cursor::START, Limits::entries(3)).expect("a page").next;
    let end = engine.changes("d", &Cursor::START, Limits::default()).expect("a page").next;
    for cursor in [middle, end, Cursor::START, Cursor::head(), Cursor::oldest(), Cursor::since_time(1_000)] {
        let bytes = cursor.to_bytes();
        assert_eq!(Cursor::from_bytes(&bytes).expect("its own bytes"), cursor);
        assert_eq!(cursor.to_string().parse::<Cursor>().expect("its own text"), cursor);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(stale_reason(Cursor::from_bytes(&flipped)), StaleReason::Malformed, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(stale_reason(Cursor::from_bytes(&bytes[..cut])), StaleReason::Malformed, "cut to {cut}");
        }
        let longer = [bytes.as_slice(), b"\0"].concat();
        assert_eq!(stale_reason(Cursor::from_bytes(&longer)), StaleReason::Malformed, "a byte too many");
    }
    let huge = "9".repeat(40);
    let long = format!("c{}", "A".repeat(100_000));
    for text in ["", "c", "x", "-1", " 1", "1 ", "+1", "1.0", "céé", "c!!!!", huge.as_str(), long.as_str()] {
        assert_eq!(stale_reason(text.parse::<Cursor>()), StaleReason::Malformed, "the text '{text:.20}'");
    }
    assert_eq!(stale_reason(Cursor::from_bytes(&vec![0; 1 << 20])), StaleReason::Malformed);
}

#[test]
fn text_of_digits_is_a_bare_key() {
    assert_eq!("0".parse::<Cursor>().expect("a key"), Cursor::START);
    assert_eq!("42".parse::<Cursor>().expect("a key"), Cursor::after(SyncKey::new(42)));
    assert_eq!(Cursor::after(SyncKey::new(42)).to_string(), "42");
    assert_eq!(Cursor::START.to_string(), "0");
    assert_eq!(Cursor::START.position(), Some(SyncKey::ZERO));
    assert_eq!(Cursor::after(SyncKey::new(42)).position(), Some(SyncKey::new(42)));
    assert_eq!((Cursor::head().position(), Cursor::oldest().position()), (None, None));
}

#[test]
fn cursors_survive_a_clean_reopening() {
    let dir = temp();
    let path = dir.path().join("store");
    let engine = Engine::open(&path, small()).expect("a new store");
    for n in 0..10 {
        put(&engine, "d", &format!("e{n}"), "x");
    }
    let mut middle = Replica::of("d");
    middle.page(&engine, Limits::entries(4)).expect("a page");
    let mut end = Replica::of("d");
    end.sync(&engine).expect("a read");
    engine.close().expect("a clean close");
    let engine = Engine::open(&path, small()).expect("it opens again");
    put(&engine, "d", "later", "x");
    middle.sync(&engine).expect("a read goes on");
    end.sync(&engine).expect("the next read");
    assert_eq!((middle.state.len(), end.state.len()), (10, 11), "the open window ends where it was to end");
}
