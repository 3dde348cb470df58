//! Clocks are not trusted: set back, set forward, frozen, or jumping across a restart.

use std::time::Duration;

use tidelog::{Cap, Engine, Options, Retention};

use crate::support::{ManualClock, NOON, put, small, store};

const HOUR: u64 = 3_600_000;
const YEAR: u64 = 365 * 24 * HOUR;

/// Superseded entries live for an hour.
fn hourly(clock: &std::sync::Arc<ManualClock>) -> Options {
    let history = Cap { entries: None, bytes: None, age_ms: Some(HOUR) };
    let retention = Retention { history, ..Retention::unlimited() };
    small().clock(clock.clone()).retention(retention).clock_jump(Duration::from_secs(24 * 3600))
}

fn dropped(engine: &Engine) -> u64 {
    engine.compact(None).expect("a compaction").superseded_dropped
}

#[test]
fn commit_times_never_run_backwards() {
    let clock = ManualClock::at(NOON);
    let (dir, mut engine) = store(small().clock(clock.clone()));
    let mut last = 0;
    for wall in [NOON, NOON - HOUR, NOON - 10 * YEAR, NOON + 100 * YEAR, NOON, 0, NOON + HOUR] {
        clock.set_wall(wall);
        for _ in 0..2 {
            let commit = put(&engine, "d", "e", "x");
            assert!(commit.time_ms >= last, "{} after {last}", commit.time_ms);
            last = commit.time_ms;
        }
        engine.close().expect("a clean close");
        drop(engine);
        engine = Engine::open(dir.path().join("store"), small().clock(clock.clone())).expect("it opens again");
    }
    let times: Vec<u64> = engine.history("d", "e", 99).expect("history").iter().map(|entry| entry.time_ms).collect();
    assert!(times.is_sorted() && times.len() == 14, "{times:?}");
}

#[test]
fn a_wall_clock_set_forward_ages_nothing() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(hourly(&clock));
    put(&engine, "d", "e", "1");
    put(&engine, "d", "e", "2");
    clock.set_wall(NOON + 100 * YEAR);
    assert_eq!(dropped(&engine), 0, "no time has passed");
    clock.advance(HOUR / 2);
    assert_eq!(dropped(&engine), 0, "half an hour has passed");
    clock.advance(HOUR);
    assert_eq!(dropped(&engine), 1, "more than an hour has passed");
}

#[test]
fn a_wall_clock_set_back_does_no_harm() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(hourly(&clock));
    put(&engine, "d", "e", "1");
    put(&engine, "d", "e", "2");
    clock.set_wall(NOON - 10 * YEAR);
    assert_eq!(dropped(&engine), 0);
    put(&engine, "d", "e", "3");
    clock.set_wall(NOON);
    clock.advance(2 * HOUR);
    assert_eq!(dropped(&engine), 2, "two hours have passed");
}

#[test]
fn a_frozen_clock_keeps_everything_and_stops_nothing() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(hourly(&clock));
    for n in 0..100 {
        put(&engine, "d", "e", &n.to_string());
    }
    assert_eq!(dropped(&engine), 0);
    assert_eq!(engine.history("d", "e", 999).expect("history").len(), 100);
}

/// A store that was closed, and is opened again when the wall clock says so much later.
fn reopened_after(ms: u64) -> (tempfile::TempDir, Engine, std::sync::Arc<ManualClock>) {
    let clock = ManualClock::at(NOON);
    let (dir, engine) = store(hourly(&clock));
    put(&engine, "d", "e", "1");
    put(&engine, "d", "e", "2");
    engine.close().expect("a clean close");
    drop(engine);
    let later = ManualClock::at(NOON + ms);
    let engine = Engine::open(dir.path().join("store"), hourly(&later)).expect("it opens again");
    (dir, engine, later)
}

#[test]
fn a_restart_within_the_limit_counts_as_time() {
    let (_dir, engine, _clock) = reopened_after(2 * HOUR);
    assert_eq!(dropped(&engine), 1);
}

#[test]
fn a_jump_across_a_restart_beyond_the_limit_waits_to_be_confirmed() {
    let (_dir, engine, clock) = reopened_after(30 * 24 * HOUR);
    assert_eq!(dropped(&engine), 0, "a month may be a mistake");
    engine.confirm_clock();
    assert_eq!(dropped(&engine), 1, "it is none");
    put(&engine, "d", "e", "3");
    clock.advance(HOUR / 2);
    assert_eq!(dropped(&engine), 0);
}

#[test]
fn a_confirmed_clock_stays_confirmed() {
    let (dir, engine, clock) = reopened_after(30 * 24 * HOUR);
    engine.confirm_clock();
    put(&engine, "d", "e", "3");
    engine.close().expect("a clean close");
    drop(engine);
    clock.advance(2 * HOUR);
    let engine = Engine::open(dir.path().join("store"), hourly(&clock)).expect("it opens again");
    assert_eq!(dropped(&engine), 2, "two hours after a confirmed moment");
}

#[test]
fn a_clock_set_back_across_a_restart_does_no_harm() {
    let clock = ManualClock::at(NOON);
    let (dir, engine) = store(hourly(&clock));
    let before = put(&engine, "d", "e", "1");
    engine.close().expect("a clean close");
    drop(engine);
    let earlier = ManualClock::at(NOON - YEAR);
    let engine = Engine::open(dir.path().join("store"), hourly(&earlier)).expect("it opens again");
    let after = put(&engine, "d", "e", "2");
    assert!(after.first > before.last && after.time_ms >= before.time_ms);
    assert_eq!(dropped(&engine), 0);
}

#[test]
fn a_jump_is_not_confirmed_by_what_is_committed_after_it() {
    let (dir, engine, clock) = reopened_after(36_500 * 86_400_000);
    put(&engine, "d", "e", "after the jump");
    engine.seal().expect("a seal");
    engine.close().expect("a clean close");
    let engine = Engine::open(dir.path().join("store"), hourly(&clock)).expect("it opens");
    put(&engine, "d", "e", "and once more");
    assert_eq!(dropped(&engine), 0, "nothing has become a century older");
    engine.confirm_clock();
    assert!(dropped(&engine) > 0, "confirmed, it has");
}
