//! Timestamp keys tell their time and still only ever rise.

use tidelog::{Batch, Engine, Limits, SyncKey, SyncKeys, View};

use crate::support::{ManualClock, NOON, drain, put, small, store};

#[test]
fn a_key_is_at_least_its_milliseconds() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(small().sync_keys(SyncKeys::Timestamp).clock(clock.clone()));
    let mut last = SyncKey::ZERO;
    for step in [0, 1, 1, 0, 60_000] {
        clock.advance(step);
        let commit = put(&engine, "d", "e", "x");
        assert!(commit.first >= SyncKey::from_time_ms(clock.wall()), "{} at {}", commit.first, clock.wall());
        assert_eq!(commit.first.get() >> 20, clock.wall(), "a key that is ahead of its time");
        assert!(commit.first > last);
        last = commit.last;
    }
}

#[test]
fn a_clock_set_back_holds_keys_where_they_are() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(small().sync_keys(SyncKeys::Timestamp).clock(clock.clone()));
    let before = put(&engine, "d", "e", "x");
    clock.set_wall(NOON - 3_600_000);
    let after = put(&engine, "d", "e", "y");
    assert!(after.first > before.last && after.time_ms >= before.time_ms);
}

#[test]
fn what_a_store_was_created_with_it_keeps() {
    let clock = ManualClock::at(NOON);
    let (dir, engine) = store(small().sync_keys(SyncKeys::Timestamp).clock(clock.clone()));
    put(&engine, "d", "e", "x");
    engine.close().expect("a clean close");
    let options = small().sync_keys(SyncKeys::Counter).clock(clock.clone());
    let engine = Engine::open(dir.path().join("store"), options).expect("it opens again");
    clock.advance(1_000);
    assert!(put(&engine, "d", "e", "y").first >= SyncKey::from_time_ms(clock.wall()));
}

#[test]
fn a_batch_has_keys_in_a_row() {
    let (_dir, engine) = store(small().sync_keys(SyncKeys::Timestamp).clock(ManualClock::at(NOON)));
    let mut batch = Batch::new();
    for n in 0..500 {
        batch.put("d", format!("e{n}"), "x");
    }
    let commit = engine.append(batch).expect("a batch");
    let (entries, _) = drain(&engine, "d", tidelog::Cursor::START, Limits::default().view(View::Every));
    let keys: Vec<u64> = entries.iter().map(|entry| entry.key.get()).collect();
    assert_eq!(keys, (commit.first.get()..=commit.last.get()).collect::<Vec<_>>());
}
