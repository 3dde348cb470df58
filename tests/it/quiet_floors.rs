//! Floors move no further than what was dropped: the clients of a quiet dataset never go stale for nothing.

use tidelog::{Cursor, Limits, Retention, View};

use crate::support::{ManualClock, NOON, Replica, delete, entries_cap, put, small, store};

fn tight() -> Retention {
    Retention { history: entries_cap(0), tombstones: entries_cap(0), ..Retention::unlimited() }
}

#[test]
fn a_dataset_that_only_grew_has_no_floor() {
    let clock = ManualClock::at(NOON);
    let mut retention = tight();
    retention.history.age_ms = Some(0);
    retention.tombstones.age_ms = Some(0);
    let (_dir, engine) = store(small().retention(retention).clock(clock.clone()));
    for n in 0..100 {
        put(&engine, "quiet", &format!("e{n}"), "x");
    }
    let mut client = Replica::of("quiet");
    client.page(&engine, Limits::entries(10)).expect("a page");
    for n in 0..1000 {
        put(&engine, "busy", "e", &n.to_string());
        delete(&engine, "busy", "e");
    }
    clock.advance(365 * 24 * 3_600_000);
    engine.compact(None).expect("a compaction");
    let stat = engine.stat("quiet").expect("stat");
    assert_eq!((stat.floor.get(), stat.history_floor.get()), (0, 0));
    client.sync(&engine).expect("a year later");
    assert_eq!(client.state.len(), 100);
    engine.changes("quiet", &Cursor::START, Limits::default().view(View::Every)).expect("its whole history");
}

#[test]
fn the_history_floor_is_the_newest_entry_whose_predecessor_went() {
    let (_dir, engine) = store(small().retention(tight()));
    put(&engine, "d", "a", "1");
    let superseding = put(&engine, "d", "a", "2").last;
    for n in 0..20 {
        put(&engine, "d", &format!("e{n}"), "x");
    }
    engine.compact(None).expect("a compaction");
    let stat = engine.stat("d").expect("stat");
    assert_eq!((stat.history_floor, stat.floor.get()), (superseding, 0));
}

#[test]
fn the_floor_is_the_newest_tombstone_that_went() {
    let (_dir, engine) = store(small().retention(tight()));
    put(&engine, "d", "a", "1");
    let tombstone = delete(&engine, "d", "a").last;
    put(&engine, "d", "b", "1");
    let superseding = put(&engine, "d", "b", "2").last;
    for n in 0..20 {
        put(&engine, "d", &format!("e{n}"), "x");
    }
    engine.compact(None).expect("a compaction");
    let stat = engine.stat("d").expect("stat");
    assert_eq!((stat.floor, stat.history_floor), (tombstone, superseding));
}

#[test]
fn compacting_again_moves_nothing() {
    let (_dir, engine) = store(small().retention(tight()));
    for n in 0..50 {
        put(&engine, "d", &format!("e{}", n % 7), "x");
    }
    delete(&engine, "d", "e3");
    engine.compact(None).expect("a compaction");
    let before = engine.stat("d").expect("stat");
    for n in 0..50 {
        put(&engine, "d", &format!("new{n}"), "x");
    }
    engine.compact(None).expect("a compaction");
    let after = engine.stat("d").expect("stat");
    assert_eq!((after.floor, after.history_floor), (before.floor, before.history_floor));
}
