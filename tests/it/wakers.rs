//! Wakers are called where nothing is held and nobody waits behind: those here wait for a commit, which wakers should not, and
//! would hang if it were otherwise. And the last engine may go in one.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use tidelog::{Commit, Durability, Engine, Error, Expect, Receipt, Result};

use crate::support::{FULL, HOLD, Hooks, PATIENCE, Step, answered, batch, hooked, outcome, put, small, submit};

/// A waker that does something on the thread that calls it, once.
struct Then<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send + 'static> Wake for Then<F> {
    fn wake(self: Arc<Self>) {
        let then = self.0.lock().expect("no panic under the lock").take();
        then.expect("it is woken once")();
    }
}

/// Lets this be done by the waker of a commit that is not answered yet, and tells what came of it.
fn when_woken<T: Send + 'static>(receipt: &mut Receipt, then: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (done, receiver) = channel();
    let then = move || _ = done.send(then());
    let waker = Waker::from(Arc::new(Then(Mutex::new(Some(then)))));
    assert!(Pin::new(receipt).poll(&mut Context::from_waker(&waker)).is_pending());
    receiver
}

/// Lets the waker commit. The engine comes back with what became of it: it is not to be closed by a waker.
fn commit_when_woken(engine: &Engine, receipt: &mut Receipt) -> Receiver<(Engine, Result<Commit>)> {
    let engine = engine.clone();
    when_woken(receipt, move || {
        let outcome = engine.append(batch("d", "by-the-waker", "x"));
        (engine, outcome)
    })
}

/// What became of a commit, behind one that is held up, whose waker commits.
fn outcome_whose_waker_commits(engine: &Engine, hooks: &Hooks, commit: impl FnOnce() -> Receipt) -> Result<Commit> {
    // It has a waker before anyone can lead for it.
    let written = submit(engine, batch("d", "a", HOLD));
    hooks.await_held();
    let mut receipt = commit();
    let woken = commit_when_woken(engine, &mut receipt);
    hooks.release();
    let (_engine, committed) = answered(&woken);
    committed.expect("the waker's commit");
    outcome(written).expect("a commit");
    outcome(receipt)
}

#[test]
fn who_is_woken_by_a_refusal_may_commit_at_once() {
    let (_dir, engine, hooks) = hooked(small());
    let mut absent = batch("d", "there", "y");
    absent.expect(Expect::Absent);
    let refused = outcome_whose_waker_commits(&engine, &hooks, || submit(&engine, absent));
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    put(&engine, "d", "later", "x");
}

#[test]
fn who_is_woken_before_the_sync_may_commit_at_once() {
    // Alone, and with one that its leader has to sync.
    for with_other in [false, true] {
        let (_dir, engine, hooks) = hooked(small());
        let mut beside = None;
        let buffered = outcome_whose_waker_commits(&engine, &hooks, || {
            let buffered = engine.submit(batch("d", "b", "x"), Durability::Buffered).expect("room in the queue");
            beside = with_other.then(|| submit(&engine, batch("d", "beside", "x")));
            buffered
        });
        buffered.expect("a commit");
        beside.into_iter().for_each(|receipt| _ = outcome(receipt).expect("a commit"));
    }
}

#[test]
fn who_is_woken_because_the_disk_is_full_may_commit_at_once() {
    let (_dir, engine, hooks) = hooked(small());
    let full = outcome_whose_waker_commits(&engine, &hooks, || submit(&engine, batch("d", "b", FULL)));
    assert!(matches!(full, Err(Error::NoSpace { .. })), "{full:?}");
}

#[test]
fn who_is_woken_may_wait_for_what_was_synced_with_it() {
    let (_dir, engine, hooks) = hooked(small());
    let written = submit(&engine, batch("d", "a", HOLD));
    hooks.await_held();
    let mut one = submit(&engine, batch("d", "b", "x"));
    let other = submit(&engine, batch("d", "c", "x"));
    let woken = when_woken(&mut one, move || other.wait());
    hooks.release();
    answered(&woken).expect("a commit");
    [written, one].into_iter().for_each(|receipt| _ = outcome(receipt).expect("a commit"));
}

#[test]
fn a_waker_may_have_the_last_engine_but_not_close_it() {
    let (dir, engine, hooks) = hooked(small());
    let sync = hooks.hold(Step::Sync);
    let mut receipt = submit(&engine, batch("d", "a", "x"));
    sync.reached();
    let woken = when_woken(&mut receipt, move || engine.close());
    drop(sync);
    let closed = answered(&woken);
    assert!(matches!(closed, Err(Error::Invalid { .. })), "{closed:?}");
    let before = outcome(receipt).expect("a commit");
    // It is closed all the same, and well: after an unclean stop keys would jump.
    let begun = Instant::now();
    let reopened = loop {
        match Engine::open(dir.path().join("store"), small()) {
            Err(Error::Locked { .. }) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(1)),
            opened => break opened.expect("it opens"),
        }
    };
    assert_eq!(put(&reopened, "d", "b", "x").first.get(), before.last.get() + 1);
}
