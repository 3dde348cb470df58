//! Reading since a moment, with both kinds of keys.

use tidelog::{Cursor, Engine, Limits, SyncKeys, View};

use crate::support::{ManualClock, NOON, Replica, delete, drain, entries_cap, every_key, put, small, store};

/// Ten commits, ten seconds apart, some of them in one millisecond with another.
fn history(engine: &Engine, clock: &ManualClock) -> Vec<(u64, u64)> {
    let mut made = Vec::new();
    for n in 0..10 {
        for half in 0..2 {
            let commit = put(engine, "d", &format!("e{n}-{half}"), "x");
            made.push((commit.time_ms, commit.first.get()));
        }
        clock.advance(10_000);
    }
    made
}

#[test]
fn everything_committed_at_or_after_the_moment_comes() {
    for keys in [SyncKeys::Counter, SyncKeys::Timestamp] {
        let clock = ManualClock::at(NOON);
        let (_dir, engine) = store(small().sync_keys(keys).clock(clock.clone()));
        let made = history(&engine, &clock);
        for sealed in [false, true] {
            for since in [0, NOON, NOON + 1, NOON + 10_000, NOON + 55_555, NOON + 90_000] {
                let want: Vec<u64> = made.iter().filter(|(time, _)| *time >= since).map(|(_, key)| *key).collect();
                let got = every_key(&engine, "d", Cursor::since_time(since));
                assert_eq!(got, want, "{keys:?} since {since}, sealed: {sealed}");
            }
            engine.seal().expect("a seal");
        }
        let after_all = engine.changes("d", &Cursor::since_time(NOON + 95_000), Limits::default());
        assert!(after_all.expect("a page").entries.is_empty(), "nothing was committed since");
    }
}

#[test]
fn a_delete_of_something_older_than_the_moment_comes_too() {
    let clock = ManualClock::at(NOON);
    let mut retention = tidelog::Retention::unlimited();
    retention.history = entries_cap(0);
    let (_dir, engine) = store(small().clock(clock.clone()).retention(retention));
    put(&engine, "d", "old", "x");
    let mut client = Replica::of("d");
    client.sync(&engine).expect("a read");
    clock.advance(1_000);
    let since = clock.wall();
    put(&engine, "d", "old", "y");
    engine.compact(None).expect("a compaction");
    delete(&engine, "d", "old");
    // Nothing that is still there was committed before the moment, and still the client knows the entity.
    client.cursor = Cursor::since_time(since);
    client.sync(&engine).expect("a read since the moment");
    assert_eq!(client.text(), []);
}

#[test]
fn a_moment_before_a_purged_delete_is_stale() {
    let clock = ManualClock::at(NOON);
    let mut retention = tidelog::Retention::unlimited();
    retention.history = entries_cap(0);
    retention.tombstones = entries_cap(0);
    let (_dir, engine) = store(small().clock(clock.clone()).retention(retention));
    put(&engine, "d", "kept", "x");
    put(&engine, "d", "gone", "x");
    let mut client = Replica::of("d");
    client.sync(&engine).expect("a read");
    clock.advance(1_000);
    let since = clock.wall();
    delete(&engine, "d", "gone");
    assert_eq!(engine.compact(None).expect("a compaction").tombstones_dropped, 1);
    put(&engine, "d", "later", "x");
    client.cursor = Cursor::since_time(since);
    let reason = crate::support::stale_reason(client.sync(&engine));
    assert_eq!(reason, tidelog::StaleReason::Trimmed, "the delete of 'gone' can no longer be told");
}

#[test]
fn the_cursor_of_a_moment_has_no_position_and_its_pages_have() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(small().clock(clock.clone()));
    let made = history(&engine, &clock);
    let cursor = Cursor::since_time(NOON + 10_000);
    assert_eq!(cursor.position(), None);
    let (entries, next) = drain(&engine, "d", cursor, Limits::entries(3).view(View::Every));
    assert_eq!(entries.len(), made.len() - 2, "pages go on from where the moment began");
    assert!(next.position().expect("a position").get() >= made[19].1);
}
