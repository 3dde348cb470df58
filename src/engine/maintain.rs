//! The one thread that writes to the index store: it seals tails, trims what is due, and does whole-store jobs.
//!
//! A tail is sealed between any two steps of anything else, since appends may be waiting for that; and all else gets its
//! turn between any two seals, since appends may keep it sealing for ever. Only a first tail after a quiet time waits for a
//! moment (`FirstSeal`), and what runs in the background waits with it.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::compaction::trim_one;
use super::core::Core;
use super::open::store_options;
use crate::error::{Error, Result};
use crate::log::Upto;
use crate::planted::{Bug, planted};
use crate::seal::{Sealing, seal};
use crate::tail::Tail;

/// How long the thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(1);
/// How soon a failed seal is tried again.
const RETRY: Duration = Duration::from_millis(50);
/// How long the first tail after a quiet time waits for another before it is sealed, unless it is smaller than this: then its
/// seal takes a few milliseconds.
const PUT_OFF: Duration = Duration::from_millis(500);
const PUT_OFF_BYTES: usize = 4 << 20;
/// How long after a seal it is quiet.
const QUIET: Duration = Duration::from_secs(1);
/// By how much the thread yields to others: on a busy machine a seal is to be late rather than the commits that come
/// meanwhile, for which there are two tails more.
const NICE: i32 = 5;

type Job = Box<dyn FnOnce(&Core) + Send>;

/// What the maintenance thread is asked to do.
#[derive(Default)]
pub struct Jobs {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    awake: bool,
    stop: bool,
}

impl Jobs {
    /// Lets the thread look whether a tail waits for its seal.
    pub fn wake(&self) {
        self.state.lock().awake = true;
        self.changed.notify_all();
    }

    /// Ends the thread; jobs that were not begun are dropped.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stop = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        drop(dropped);
        self.changed.notify_all();
    }

    /// Runs `work` on the thread, after all pending seals, and waits. `tick` is called now and then meanwhile.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> Result<T> + Send + 'static,
        mut tick: impl FnMut(),
    ) -> Result<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        {
            let mut state = self.state.lock();
            if state.stop {
                return Err(Error::Closed);
            }
            let job = move |core: &Core| drop(sender.send(work(core)));
            state.jobs.push_back(Box::new(job));
        }
        self.changed.notify_all();
        loop {
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(outcome) => return outcome,
                Err(mpsc::RecvTimeoutError::Timeout) => tick(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Error::Closed),
            }
        }
    }

    fn next(&self, wait: Duration) -> Next {
        let mut state = self.state.lock();
        if !state.awake && !state.stop && state.jobs.is_empty() {
            self.changed.wait_for(&mut state, wait);
        }
        state.awake = false;
        match (state.stop, state.jobs.pop_front()) {
            (true, _) => Next::Stop,
            (false, Some(job)) => Next::Job(job),
            (false, None) => Next::Nothing,
        }
    }
}

enum Next {
    Stop,
    Job(Job),
    Nothing,
}

/// Puts off the first seal after a quiet time: a burst that fits the tails is not to share the cores with it. Where tails
/// come one after another, a seal that waits would only make appends wait for it later.
struct FirstSeal {
    due: Option<Instant>,
    /// How many seals there were when last looked.
    seals: u64,
    quiet_from: Instant,
}

impl FirstSeal {
    fn new(now: Instant) -> FirstSeal {
        FirstSeal { due: None, seals: 0, quiet_from: now }
    }

    /// For how long a tail of so many bytes that waits alone is not sealed yet, after so many seals.
    fn put_off(&mut self, alone: Option<usize>, seals: u64, now: Instant) -> Duration {
        if std::mem::replace(&mut self.seals, seals) != seals {
            self.quiet_from = now + QUIET;
        }
        if now < self.quiet_from || alone.is_none_or(|bytes| bytes < PUT_OFF_BYTES) {
            self.due = None;
            return Duration::ZERO;
        }
        self.due.get_or_insert(now + PUT_OFF).saturating_duration_since(now)
    }
}

/// The thread. If it panics, nothing is written any more, and nobody waits for it.
pub fn run(core: &Core) {
    if catch_unwind(AssertUnwindSafe(|| work(core))).is_err() {
        core.poison("the maintenance thread panicked");
        core.jobs.stop();
        core.commits.room.notify_all();
    }
}

fn work(core: &Core) {
    // Linux takes this for the calling thread alone, on top of what the process has. Nothing depends on it.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
    let mut trimming_from = Instant::now();
    let mut wait = IDLE;
    let mut passed_over = BTreeSet::new();
    let mut first = FirstSeal::new(trimming_from);
    loop {
        let next = core.jobs.next(wait);
        if matches!(next, Next::Stop) {
            return;
        }
        let put_off = match next {
            Next::Nothing => first.put_off(alone(core), core.metrics.seals.load(Ordering::Relaxed), Instant::now()),
            _ => Duration::ZERO,
        };
        if !put_off.is_zero() {
            wait = put_off;
            continue;
        }
        wait = match seal_next(core) {
            Ok(()) if core.tails.pin().frozen().is_empty() => IDLE,
            Ok(()) => Duration::ZERO,
            Err(_) => RETRY,
        };
        if let Next::Job(job) = next {
            job(core);
            wait = Duration::ZERO;
        } else if core.options.background && core.poison.get().is_none() {
            let now = Instant::now();
            if now < trimming_from {
                wait = wait.min(trimming_from - now);
                continue;
            }
            match trim_one(core, &mut passed_over) {
                Ok(Some(bytes)) => {
                    let rate = core.options.compaction_bytes_per_s.max(1);
                    let pause = Duration::from_secs_f64(bytes as f64 / rate as f64);
                    trimming_from = now + pause;
                    wait = wait.min(pause);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "background compaction failed");
                    trimming_from = now + IDLE;
                }
            }
        }
    }
}

/// The bytes of a tail that waits for its seal alone, where nothing is in the way of that.
fn alone(core: &Core) -> Option<usize> {
    match core.tails.pin().frozen() {
        [tail] if core.seal_failure().is_none() => Some(tail.bytes()),
        _ => None,
    }
}

/// Seals the oldest tail that waits for it, if one does.
pub(super) fn seal_next(core: &Core) -> Result<()> {
    let tails = core.tails.pin();
    let Some(tail) = tails.frozen().first() else { return Ok(()) };
    let outcome = seal_tail(core, tail);
    core.note_seal(outcome.as_ref().err());
    outcome
}

fn seal_tail(core: &Core, tail: &Tail) -> Result<()> {
    let began = Instant::now();
    let (end, last_key) = {
        let inner = tail.read();
        (inner.end, inner.last_key)
    };
    core.commits.sync_upto(core, end);
    if let Some(cause) = core.poison.get() {
        return Err(Error::Poisoned { cause: cause.clone() });
    }
    let upto = Upto { key: last_key, pos: end };
    ready(core, tail.bytes() as u64)?;
    if !planted(Bug::SealingNotNoted) {
        core.ledger.lock().update(|state| state.sealing_upto = upto)?;
    }
    if planted(Bug::RecycledBeforeFlush) {
        core.commits.writer.lock().log.recycle(end)?;
    }
    let store = core.store();
    let sealing = Sealing::new(&core.options, core.clock.now_ms());
    let changes = seal(&store, &tail.read(), &sealing, &core.alive)?;
    store.commit(changes)?;
    if planted(Bug::AppliedBeforeFlush) {
        core.ledger.lock().update(|state| state.applied_upto = upto)?;
    }
    store.flush()?;
    core.ledger.lock().update(|state| state.applied_upto = upto)?;
    core.names.insert_created(core, &store, tail);
    drop(store);
    core.tails.sealed();
    // The tail is sealed; segments that are kept too long go with the next one.
    if let Err(error) = core.commits.writer.lock().log.recycle(end) {
        tracing::warn!(%error, "the log keeps segments that are sealed");
    }
    let elapsed_ms = began.elapsed().as_millis() as u64;
    core.metrics.seals.fetch_add(1, Ordering::Relaxed);
    core.metrics.last_seal_ms.store(elapsed_ms, Ordering::Relaxed);
    tracing::info!(last_key, bytes = tail.bytes(), elapsed_ms, "sealed");
    Ok(())
}

/// Makes sure of room for `more` bytes in the index store, which a full disk may have taken out of service.
pub(super) fn ready(core: &Core, more: u64) -> Result<()> {
    let at_least = core.ledger.lock().state().applied_upto.key;
    core.index.ready(&store_options(&core.options), at_least, more).map(|()| core.names.account(&core.store()))
}

/// Seals everything committed before this call, and runs `work` afterwards on the maintenance thread.
pub fn run_sealed<T: Send + 'static>(
    core: &Core,
    work: impl FnOnce(&Core) -> Result<T> + Send + 'static,
    tick: impl FnMut(),
) -> Result<T> {
    core.check_open()?;
    if let Some(cause) = core.poison.get() {
        return Err(Error::Poisoned { cause: cause.clone() });
    }
    let work = move |core: &Core| {
        seal_all(core)?;
        work(core)
    };
    core.jobs.run(work, tick)
}

/// Seals everything committed so far, and nothing that comes later but with it. On the maintenance thread alone, and after
/// what waits already: so tails do not pile up however often it is asked for.
pub(super) fn seal_all(core: &Core) -> Result<()> {
    let upto = core.last_written();
    while core.tails.pin().base() <= upto {
        if core.tails.pin().frozen().is_empty() {
            core.freeze_written();
        }
        seal_next(core)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_put_off_once_and_only_after_a_quiet_time() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let large = Some(PUT_OFF_BYTES);
        let mut first = FirstSeal::new(began);
        assert_eq!(first.put_off(None, 0, at(0)), Duration::ZERO);
        assert_eq!(first.put_off(large, 0, at(1)), PUT_OFF);
        assert_eq!(first.put_off(large, 0, at(201)), PUT_OFF - Duration::from_millis(200), "woken, it waits on");
        assert_eq!(first.put_off(large, 0, at(501)), Duration::ZERO, "it has waited");
        assert_eq!(first.put_off(large, 1, at(700)), Duration::ZERO, "tails come one after another");
        assert_eq!(first.put_off(large, 1, at(1_700)), PUT_OFF, "it was quiet again");
        assert_eq!(
            first.put_off(None, 1, at(1_701)),
            Duration::ZERO,
            "there is another, and appends may be about to wait"
        );
        assert_eq!(first.put_off(large, 1, at(1_702)), PUT_OFF, "another tail, which has not waited");
        assert_eq!(first.put_off(Some(PUT_OFF_BYTES - 1), 1, at(1_703)), Duration::ZERO, "a small one");
    }
}
