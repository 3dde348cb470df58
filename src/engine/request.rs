//! One commit on its way: what is to be written, and where its outcome is waited for.

use std::cell::Cell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::core::Core;
use super::prepare::Prepared;
use crate::error::{Error, Result};
use crate::tail::Acked;
use crate::types::{Batch, Commit, Durability, Retention};

/// What is to be committed. Everything durable goes through the log, so settings and acknowledgements come this way too.
#[derive(Debug)]
pub enum Work {
    Batch(Batch),
    DeleteDataset { dataset: Bytes },
    SetRetention { dataset: Bytes, retention: Retention },
    Ack { dataset: Bytes, incarnation: u64, consumer: Bytes, acked: Acked },
    RemoveConsumer { dataset: Bytes, consumer: Bytes },
}

/// A commit in the queue.
pub struct Request {
    pub work: Work,
    pub durability: Durability,
    pub bytes: usize,
    /// What was found out before the queue; looked at again by the leader.
    pub prepared: Mutex<Option<Prepared>>,
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Default)]
struct Slot {
    outcome: Option<Result<Commit>>,
    taken: bool,
    lead: bool,
    parked: bool,
    waker: Option<Waker>,
}

/// What a waiting thread is woken for.
pub enum Woken {
    Outcome(Result<Commit>),
    Lead,
}

impl Request {
    pub fn new(work: Work, durability: Durability, bytes: usize, prepared: Option<Prepared>) -> Request {
        let (slot, changed) = (Mutex::default(), Condvar::new());
        Request { work, durability, bytes, prepared: Mutex::new(prepared), slot, changed }
    }

    /// Answers it; a second answer (a buffered commit whose sync fails later) has no one to hear it. A thread that waits
    /// goes on at once, a task when `wakes` is dropped.
    pub fn answer(&self, outcome: Result<Commit>, wakes: &mut Wakes) {
        let mut slot = self.slot.lock();
        if slot.outcome.is_some() || slot.taken {
            return;
        }
        slot.outcome = Some(outcome);
        wakes.0.extend(slot.waker.take());
        drop(slot);
        self.changed.notify_all();
    }

    fn is_answered(&self) -> bool {
        let slot = self.slot.lock();
        slot.outcome.is_some() || slot.taken
    }

    /// Makes a thread that waits for it the leader; false if none waits.
    pub fn promote(&self) -> bool {
        let mut slot = self.slot.lock();
        if !slot.parked {
            return false;
        }
        slot.lead = true;
        drop(slot);
        self.changed.notify_all();
        true
    }

    /// Waits for the outcome, or to be made the leader.
    pub fn park(&self) -> Woken {
        let mut slot = self.slot.lock();
        loop {
            // Who was called to lead has to, also if the answer came meanwhile.
            if std::mem::take(&mut slot.lead) {
                slot.parked = false;
                return Woken::Lead;
            }
            if let Some(outcome) = slot.outcome.take() {
                slot.taken = true;
                slot.parked = false;
                return Woken::Outcome(outcome);
            }
            slot.parked = true;
            self.changed.wait(&mut slot);
        }
    }

    /// The outcome, if it is there; else the waker is woken by it.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Commit>> {
        let mut slot = self.slot.lock();
        if let Some(outcome) = slot.outcome.take() {
            slot.taken = true;
            return Poll::Ready(outcome);
        }
        if slot.taken {
            return Poll::Ready(Err(Error::invalid("a receipt was polled after its outcome was taken")));
        }
        let before = slot.waker.replace(cx.waker().clone());
        // To drop it is the caller's code, too.
        drop(slot);
        drop(before);
        Poll::Pending
    }
}

/// Who is to be woken when this is dropped. A waker is the caller's code, and may call the engine: who answers commits calls it
/// under no lock of theirs, and neither leads then nor has the turn to sync, nor owes anyone an answer.
#[derive(Default)]
pub struct Wakes(Vec<Waker>);

impl Drop for Wakes {
    fn drop(&mut self) {
        self.0.drain(..).for_each(wake);
    }
}

thread_local! {
    static IS_WAKING: Cell<bool> = const { Cell::new(false) };
}

/// Calls a waker. It is the caller's code, and others wait behind it.
pub fn wake(waker: Waker) {
    let before = IS_WAKING.replace(true);
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    IS_WAKING.set(before);
}

/// Whether a waker is under way on this thread.
pub fn is_waking() -> bool {
    IS_WAKING.get()
}

/// A request that was taken out of the queue. Whatever becomes of the thread that took it, it is answered.
pub struct Owed(Arc<Request>);

impl Owed {
    pub fn new(request: Arc<Request>) -> Owed {
        Owed(request)
    }
}

impl Deref for Owed {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.0
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.0.is_answered() {
            let (cause, mut wakes) = ("the thread that was writing it panicked".into(), Wakes::default());
            self.0.answer(Err(Error::OutcomeUnknown { cause }), &mut wakes);
            // This thread holds locks still. Without another one no waker is called.
            let wakes = ManuallyDrop::new(wakes);
            if !wakes.0.is_empty() {
                let _ = std::thread::Builder::new().spawn(|| drop(ManuallyDrop::into_inner(wakes)));
            }
        }
    }
}

/// A commit under way, from [`Engine::submit`](crate::Engine::submit). It can be waited for or awaited, under any
/// runtime; dropping it does not cancel the commit.
///
/// A waker is called by a thread of the engine's or by one that commits, and others wait behind it: like the wakers of all
/// runtimes it may not block. So it may read and [submit](crate::Engine::submit), but neither wait for a commit nor seal,
/// compact or back up, nor close the store.
pub struct Receipt {
    /// Weak, so that a receipt nobody waits for does not keep a closed store open.
    core: Weak<Core>,
    request: Arc<Request>,
}

impl Receipt {
    pub(super) fn new(core: &Arc<Core>, request: Arc<Request>) -> Receipt {
        Receipt { core: Arc::downgrade(core), request }
    }

    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// As [`Engine::append`](crate::Engine::append).
    pub fn wait(self) -> Result<Commit> {
        match self.core.upgrade() {
            Some(core) => core.commits.wait(&core, &self.request),
            // Closing has seen every commit through, so the outcome is there.
            None => match self.request.park() {
                Woken::Outcome(outcome) => outcome,
                Woken::Lead => Err(Error::Closed),
            },
        }
    }
}

impl Future for Receipt {
    type Output = Result<Commit>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Commit>> {
        self.request.poll(cx)
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").finish_non_exhaustive()
    }
}
