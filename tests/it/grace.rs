//! Retention passes nothing younger than grace, so that a reader is not outrun; up to a budget in bytes.

use std::time::Duration;

use tidelog::{Limits, Retention};

use crate::support::{ManualClock, NOON, Replica, delete, entries_cap, put, small, store};

fn tight() -> Retention {
    Retention { history: entries_cap(0), tombstones: entries_cap(0), ..Retention::unlimited() }
}

#[test]
fn young_entries_are_safe() {
    let clock = ManualClock::at(NOON);
    let options = small().retention(tight()).clock(clock.clone()).grace(Duration::from_secs(60), 256 << 20);
    let (_dir, engine) = store(options);
    put(&engine, "d", "a", "1");
    put(&engine, "d", "b", "1");
    let mut client = Replica::of("d");
    client.page(&engine, Limits::entries(1)).expect("a page");
    put(&engine, "d", "a", "2");
    delete(&engine, "d", "a");
    clock.advance(59_000);
    let report = engine.compact(None).expect("a compaction");
    assert_eq!((report.superseded_dropped, report.tombstones_dropped), (0, 0), "all of it is younger than grace");
    assert!(engine.metrics().grace_held_bytes > 0, "what grace holds back is told");
    clock.advance(2_000);
    let report = engine.compact(None).expect("a compaction");
    assert_eq!((report.superseded_dropped, report.tombstones_dropped), (2, 1), "grace is over");
    assert_eq!(engine.metrics().grace_held_bytes, 0);
}

#[test]
fn grace_ends_at_its_budget_in_bytes() {
    let clock = ManualClock::at(NOON);
    let options = small().retention(tight()).clock(clock).grace(Duration::from_secs(3600), 64 << 10);
    let (_dir, engine) = store(options);
    for _ in 0..400 {
        put(&engine, "d", "e", &"x".repeat(1000));
    }
    let report = engine.compact(None).expect("a compaction");
    assert!(report.superseded_dropped > 0, "400 kB of history stay, 64 KiB are promised");
    let kept = engine.stat("d").expect("stat").superseded;
    assert!((30..=80).contains(&kept), "{kept} versions of 1 kB are kept within 64 KiB");
}

#[test]
fn young_entries_are_safe_also_where_the_wall_clock_was_set_back() {
    let clock = ManualClock::at(NOON);
    let options = small().retention(tight()).clock(clock.clone()).grace(Duration::from_secs(60), 256 << 20);
    let (_dir, engine) = store(options);
    engine.compact(None).expect("a compaction, which looks at the clock");
    clock.set_wall(NOON - 3_600_000);
    put(&engine, "d", "a", "1");
    put(&engine, "d", "a", "2");
    assert_eq!(engine.compact(None).expect("a compaction").superseded_dropped, 0, "no time has passed since");
    clock.advance(61_000);
    assert_eq!(engine.compact(None).expect("a compaction").superseded_dropped, 1, "and now it has");
}
