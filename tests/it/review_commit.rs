//! Commits that meet in one group, or were prepared on one that the disk had no room for.

use std::sync::Arc;

use tidelog::{Batch, Engine, Error, Expect, Receipt};

use crate::support::{BAD, FULL, HOLD, Hooks, batch, outcome, put, small, store, submit, value};

fn hooked() -> (tempfile::TempDir, Engine, Hooks) {
    let hooks = Hooks::default();
    let (dir, engine) = store(small().vfs(Arc::new(hooks.clone())));
    (dir, engine, hooks)
}

/// Hands batches in while a write is under way, so that they make one group.
fn one_group(engine: &Engine, hooks: &Hooks, batches: Vec<Batch>) -> Vec<Receipt> {
    let first = submit(engine, batch("other", "first", HOLD));
    hooks.await_held();
    let receipts = batches.into_iter().map(|batch| submit(engine, batch)).collect();
    hooks.release();
    outcome(first).expect("the first write goes through");
    receipts
}

#[test]
fn a_refused_commit_is_answered_when_its_group_cannot_be_written() {
    let (_dir, engine, hooks) = hooked();
    put(&engine, "d", "a", "x");
    let mut refused = Batch::new();
    refused.create("d", "a", "y").expect(Expect::Absent);
    let mut receipts = one_group(&engine, &hooks, vec![batch("d", "b", BAD), refused]);
    let refused = outcome(receipts.pop().expect("two receipts"));
    assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
    let lost = outcome(receipts.pop().expect("two receipts"));
    assert!(matches!(lost, Err(Error::OutcomeUnknown { .. })), "{lost:?}");
}

#[test]
fn a_repeat_of_what_found_no_room_is_no_repeat() {
    let (_dir, engine, hooks) = hooked();
    let mut once = batch("d", "a", FULL);
    once.idempotency_id("id");
    let mut receipts = one_group(&engine, &hooks, vec![once.clone(), once.clone()]);
    for receipt in receipts.drain(..) {
        let answer = outcome(receipt);
        assert!(matches!(answer, Err(Error::NoSpace { .. })), "{answer:?}");
    }
    assert!(!engine.append(once).expect("there is space again").repeated);
    assert!(value(&engine, "d", "a").is_some());
}

#[test]
fn what_was_prepared_on_a_commit_without_room_is_prepared_again() {
    let (_dir, engine, hooks) = hooked();
    let payload = format!("{HOLD}{FULL}");
    let mut creates = batch("new", "a", &payload);
    creates.idempotency_id("id");
    let first = submit(&engine, creates.clone());
    hooks.await_held();
    let mut present = batch("new", "a", "z");
    present.expect(Expect::Present);
    let later = submit(&engine, batch("new", "b", "y"));
    let (again, present) = (submit(&engine, creates), submit(&engine, present));
    hooks.release();
    let lost = outcome(first);
    assert!(matches!(lost, Err(Error::NoSpace { .. })), "{lost:?}");
    outcome(later).expect("there is space again");
    assert!(!outcome(again).expect("a commit").repeated, "the first one was never written");
    outcome(present).expect("it is there now");
    assert_eq!(value(&engine, "new", "b").expect("it was acknowledged"), "y");
    engine.seal().expect("a seal");
    assert_eq!(value(&engine, "new", "b").expect("it was acknowledged"), "y");
    assert_eq!(value(&engine, "new", "a").expect("it was acknowledged"), "z");
}
