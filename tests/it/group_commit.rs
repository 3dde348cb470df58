//! Commits that meet a sync under way: who waits for it and who does not, and what becomes of them if it dies.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tidelog::{
    Batch, Commit, Cursor, Durability, Engine, Error, Expect, Keep, Limits, Metrics, Options, Result, Retention, View,
};

use crate::support::{HOLD, PATIENCE, Step, answered, batch, entries_cap, hooked, outcome, put, small, store, submit};

/// As many commits are written while a sync runs; fewer wait for its end.
const GATHERED: u64 = 16;

/// Commits on a thread of its own, which sees to the sync too. Nothing is sent if that thread panics.
fn append(engine: &Engine, batch: Batch, durability: Durability) -> Receiver<Result<Commit>> {
    let (sender, receiver) = channel();
    let engine = engine.clone();
    std::thread::spawn(move || {
        let outcome = engine.append_with(batch, durability);
        drop(engine);
        sender.send(outcome)
    });
    receiver
}

/// Waits for a state that is to come.
fn until(engine: &Engine, what: &str, is_so: impl Fn(&Metrics) -> bool) {
    let begun = Instant::now();
    while !is_so(&engine.metrics()) {
        assert!(begun.elapsed() < PATIENCE / 4, "{what}: {:?}", engine.metrics());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_buffered_commit_does_not_wait_for_a_sync() {
    let (_dir, engine, hooks) = hooked(small());
    let sync = hooks.hold(Step::Sync);
    let synced = append(&engine, batch("d", "a", "x"), Durability::Synced);
    sync.reached();
    let buffered = append(&engine, batch("d", "b", "x"), Durability::Buffered);
    answered(&buffered).expect("a buffered commit");
    assert!(synced.try_recv().is_err(), "it was acknowledged before its sync");
    drop(sync);
    answered(&synced).expect("a synced commit");
}

#[test]
fn what_is_written_is_synced_though_the_next_commit_waits_for_room() {
    let (_dir, engine, hooks) = hooked(small().tail_bytes(64 << 10));
    // Two tails wait for a seal that is held up, and a third one is half full.
    let flush = hooks.hold(Step::Flush);
    for n in 0..4 {
        put(&engine, "d", &format!("fills-{n}"), &"x".repeat(30_000));
        if engine.metrics().tails_pending == 2 {
            break;
        }
    }
    flush.reached();
    assert_eq!(engine.metrics().tails_pending, 2);

    let sync = hooks.hold(Step::Sync);
    let before = engine.metrics().commits;
    let first = append(&engine, batch("d", "first", "x"), Durability::Synced);
    sync.reached();
    let more: Vec<_> = (0..GATHERED).map(|n| submit(&engine, batch("d", &format!("more-{n}"), "x"))).collect();
    until(&engine, "they are written during the sync", |now| now.commits == before + 1 + GATHERED);
    let mut large = submit(&engine, batch("d", "large", &"x".repeat(50_000)));
    until(&engine, "the large one is in the queue", |now| now.queued == 1);
    drop(sync);

    answered(&first).expect("a commit");
    more.into_iter().for_each(|receipt| _ = outcome(receipt).expect("there was room for it"));
    let early = Pin::new(&mut large).poll(&mut Context::from_waker(Waker::noop()));
    assert!(early.is_pending(), "there was no room for it: {early:?}");
    drop(flush);
    outcome(large).expect("there is room after a seal");
}

/// Tails of 2 MB: two of them are to wait for their seal, and half a megabyte lies in the third.
fn large_tails() -> Options {
    small().memory(32 << 20).tail_bytes(2_000_000).segment_bytes(4 << 20)
}

fn fill_tails(engine: &Engine) {
    for (entity, bytes) in [("f0", 1_200_000), ("f1", 1_200_000), ("f2", 500_000)] {
        put(engine, "d", entity, &"x".repeat(bytes));
    }
    assert_eq!(engine.metrics().tails_pending, 2);
}

#[test]
fn a_large_commit_is_synced_though_the_next_one_waits_for_room() {
    // The buffered commit below asks for no sync in time to help.
    let (_dir, engine, hooks) = hooked(large_tails().sync_interval(Duration::from_secs(60)));
    let flush = hooks.hold(Step::Flush);
    fill_tails(&engine);
    flush.reached();

    // The background thread syncs, so it cannot put into the tail what is late for it.
    let sync = hooks.hold(Step::Sync);
    let first = submit(&engine, batch("d", "first", "x"));
    sync.reached();
    // Two that do not fit into one group wait behind a write. There is room for one of them.
    let before = engine.metrics().commits;
    let ahead = append(&engine, batch("d", "ahead", HOLD), Durability::Buffered);
    hooks.await_held();
    let written = append(&engine, large("d", &"x".repeat(8_000)), Durability::Synced);
    until(&engine, "it is in the queue", |now| now.queued == 1);
    let waits = append(&engine, large("d", &"y".repeat(8_000)), Durability::Synced);
    until(&engine, "both are in the queue", |now| now.queued == 2);
    hooks.release();
    answered(&ahead).expect("a commit");
    until(&engine, "one of them is written", |now| now.commits == before + 2);
    drop(sync);

    outcome(first).expect("a commit");
    answered(&written).expect("there was room for it");
    assert!(waits.try_recv().is_err(), "there was no room for it");
    drop(flush);
    answered(&waits).expect("there is room after a seal");
}

#[test]
fn a_buffered_commit_is_synced_in_time_though_the_next_one_waits_for_room() {
    let (_dir, engine, hooks) = hooked(large_tails().sync_interval(Duration::from_millis(50)));
    let flush = hooks.hold(Step::Flush);
    fill_tails(&engine);
    flush.reached();
    let buffered = engine.append_with(batch("d", "buffered", "x"), Durability::Buffered).expect("a commit");
    // The background thread leads for this one, and has the buffered one to sync, too.
    let waits = submit(&engine, batch("d", "waits", &"x".repeat(1_700_000)));
    until(&engine, "what was acknowledged becomes visible", |_| engine.visible() >= buffered.last);
    drop(flush);
    outcome(waits).expect("there is room after a seal");
}

#[test]
fn a_short_queue_is_written_before_it_is_full() {
    let max = 8;
    let (_dir, engine, hooks) = hooked(small().max_queued(max));
    let sync = hooks.hold(Step::Sync);
    let first = append(&engine, batch("d", "first", "x"), Durability::Synced);
    sync.reached();
    let mut receipts = Vec::new();
    for n in 0..2 * max {
        receipts.push(submit(&engine, batch("d", &format!("e{n}"), "x")));
        until(&engine, "the queue has room again", |now| now.queued < max as u64);
    }
    drop(sync);
    answered(&first).expect("a commit");
    receipts.into_iter().for_each(|receipt| _ = outcome(receipt).expect("a commit"));
}

/// So many updates of one dataset, one per entity.
fn large(dataset: &'static str, payload: &str) -> Batch {
    let mut batch = Batch::new();
    (0..100).for_each(|n| _ = batch.update(dataset, format!("e{n}"), payload.to_owned()));
    batch
}

#[test]
fn a_commit_sees_the_large_one_before_it_in_its_group() {
    let (_dir, engine, hooks) = hooked(small());
    let sync = hooks.hold(Step::Sync);
    let first = append(&engine, batch("d", "first", "x"), Durability::Synced);
    sync.reached();
    // All of these are written together when the sync ends. What does not look is prepared before.
    let written = submit(&engine, large("d", "old"));
    let (mut absent, mut present) = (batch("d", "e7", "refused"), batch("d", "e8", "new"));
    absent.expect(Expect::Absent);
    present.expect(Expect::Present);
    let (absent, present) = (submit(&engine, absent), submit(&engine, present));
    let newer = submit(&engine, large("d", "newer"));
    let mut last = batch("d", "e9", "last");
    last.expect(Expect::Present);
    let last = submit(&engine, last);
    drop(sync);

    answered(&first).expect("a commit");
    let written = outcome(written).expect("a commit");
    let refused = outcome(absent);
    let current = written.first.get() + 7;
    assert!(matches!(refused, Err(Error::Conflict { current: Some(at), .. }) if at == current), "{refused:?}");
    [present, newer, last].into_iter().for_each(|receipt| _ = outcome(receipt).expect("a commit"));
    let values = ["e8", "e9"].map(|entity| engine.get("d", entity).expect("a read").expect("it is there").payload);
    assert_eq!(values.map(Option::unwrap), ["newer", "last"]);
    let page = engine.changes("d", &Cursor::START, Limits::entries(1_000).view(View::Every)).expect("a page");
    let keys: Vec<u64> = page.entries.iter().map(|entry| entry.key.get()).collect();
    assert!(keys.is_sorted() && keys.len() == 2 + 100 + 1 + 100 + 1, "{} entries: {keys:?}", keys.len());
}

#[test]
fn an_expectation_below_a_window_looks_at_the_large_commit_before_it() {
    let (_dir, engine, hooks) = hooked(small());
    let window = Retention { keep: Keep::Window, history: entries_cap(5), ..Retention::unlimited() };
    engine.set_retention("d", window).expect("a retention");
    (0..50).for_each(|n| _ = put(&engine, "d", &format!("old-{n}"), "x"));
    assert!(engine.compact(Some(b"d")).expect("a compaction").window_dropped > 0);

    // The background thread syncs, so it cannot put into the tail what is late for it.
    let sync = hooks.hold(Step::Sync);
    let first = submit(&engine, batch("d", "first", "x"));
    sync.reached();
    let acknowledged = engine.append_with(large("d", "x"), Durability::Buffered).expect("a commit");
    let (mut absent, mut present) = (batch("d", "e7", "refused"), batch("d", "e8", "new"));
    absent.expect(Expect::Absent);
    present.expect(Expect::At((acknowledged.first.get() + 8).into()));
    let absent = append(&engine, absent, Durability::Synced);
    let present = append(&engine, present, Durability::Synced);
    until(&engine, "both are in the queue", |now| now.queued == 2);
    drop(sync);

    outcome(first).expect("a commit");
    let refused = answered(&absent);
    let current = acknowledged.first.get() + 7;
    assert!(matches!(refused, Err(Error::Conflict { current: Some(at), .. }) if at == current), "{refused:?}");
    answered(&present).expect("it is what was expected");
    // What is in no tail still cannot be told.
    let mut lost = batch("d", "old-0", "y");
    lost.expect(Expect::Absent);
    let lost = outcome(submit(&engine, lost));
    assert!(matches!(lost, Err(Error::Invalid { .. })), "{lost:?}");
}

#[test]
fn a_seal_includes_the_large_commit_before_it() {
    let (_dir, engine) = store(small());
    for n in 0..50 {
        engine.append_with(large("d", &n.to_string()), Durability::Buffered).expect("a commit");
        engine.seal().expect("a seal");
        assert_eq!(engine.metrics().tail_bytes, 0, "after commit {n}");
    }
}

#[test]
fn after_a_sync_that_died_nothing_is_acknowledged_or_becomes_visible() {
    let (_dir, engine, hooks) = hooked(small());
    let (visible, before) = (engine.visible(), engine.metrics().commits);
    let sync = hooks.hold(Step::Sync);
    let first = append(&engine, batch("d", "first", "x"), Durability::Synced);
    sync.reached();
    let more: Vec<_> = (0..GATHERED).map(|n| submit(&engine, batch("d", &format!("more-{n}"), "x"))).collect();
    until(&engine, "they are written during the sync", |now| now.commits == before + 1 + GATHERED);
    hooks.panic_in_sync();
    drop(sync);
    assert!(first.recv().is_err(), "the thread that synced was to panic");
    for receipt in more {
        let lost = outcome(receipt);
        assert!(matches!(lost, Err(Error::OutcomeUnknown { .. } | Error::Poisoned { .. })), "{lost:?}");
    }
    // Once it is closed, nothing happens behind the answers any more.
    let closed = engine.close();
    assert!(matches!(closed, Err(Error::Poisoned { .. })), "{closed:?}");
    assert_eq!(engine.visible(), visible, "what was lost became visible");
}
