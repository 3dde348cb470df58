//! The one thread that writes to the index store: it seals tails, trims what is due, and does whole-store jobs.
//!
//! A tail is sealed between any two steps of anything else, since appends may be waiting for that; and all else gets its
//! turn between any two seals, since appends may keep it sealing for ever.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::core::Core;
use super::open::store_options;
use crate::compact::{self, Done, Policy};
use crate::error::{Error, Result};
use crate::log::Upto;
use crate::planted::{Bug, planted};
use crate::seal::{Sealing, seal};
use crate::tail::Tail;
use crate::types::CompactionReport;

/// How long the thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(1);
/// How soon a failed seal is tried again.
const RETRY: Duration = Duration::from_millis(50);
/// Damaged datasets that background compaction passes over, at most.
const MAX_PASSED_OVER: usize = 1024;
/// By how much the thread yields to others: on a busy machine a seal is to be late rather than the commits that come
/// meanwhile, for which there are two tails more.
const NICE: i32 = 5;
/// Datasets that are looked at together when all are compacted.
const DATASETS_AT_ONCE: usize = 1024;

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
    loop {
        let next = core.jobs.next(wait);
        if matches!(next, Next::Stop) {
            return;
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

/// Seals the oldest tail that waits for it, if one does.
fn seal_next(core: &Core) -> Result<()> {
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
fn ready(core: &Core, more: u64) -> Result<()> {
    let at_least = core.ledger.lock().state().applied_upto.key;
    core.index.ready(&store_options(&core.options), at_least, more).map(|()| core.names.account(&core.store()))
}

fn policy(core: &Core) -> Policy {
    Policy {
        retention: core.options.retention,
        now_ms: core.clock.now_ms(),
        grace_ms: core.options.grace.as_millis() as u64,
        grace_bytes: core.options.grace_bytes,
        consumer_bytes: core.options.consumer_bytes,
        chunk_bytes: core.options.chunk_bytes,
    }
}

/// One step of background compaction, for a dataset that is queued or due: the bytes it read and wrote, or none if there
/// was nothing to do.
pub(super) fn trim_one(core: &Core, passed_over: &mut BTreeSet<u64>) -> Result<Option<u64>> {
    let store = core.store();
    let snapshot = store.snapshot();
    // One that cannot be trimmed is not to keep the others from it.
    let some = passed_over.len() + 1;
    let queued = snapshot.work(some)?.into_iter().find(|id| !passed_over.contains(id));
    let id = match queued {
        Some(id) => Some(id),
        None => {
            let due = snapshot.due(core.clock.now_ms(), some)?;
            due.into_iter().map(|(_, id)| id).find(|id| !passed_over.contains(id))
        }
    };
    drop(snapshot);
    drop(store);
    let Some(id) = id else { return Ok(None) };
    let mut report = CompactionReport::default();
    let done = match step(core, id, &mut report) {
        Err(error @ Error::Damaged { .. }) if passed_over.len() < MAX_PASSED_OVER => {
            passed_over.insert(id);
            return Err(error);
        }
        done => done?,
    };
    core.metrics.grace_held_bytes.store(done.held_bytes, Ordering::Relaxed);
    note(core, &report);
    Ok(Some(report.bytes_read + report.bytes_written))
}

/// One step of a dataset's compaction, by the retention that is in force now.
pub(super) fn step(core: &Core, id: u64, report: &mut CompactionReport) -> Result<Done> {
    Ok(steps(core, &[id], report)?.pop().unwrap_or_default())
}

/// The same for some datasets together, for as many of them as one batch takes.
fn steps(core: &Core, ids: &[u64], report: &mut CompactionReport) -> Result<Vec<Done>> {
    let tails = core.tails.pin();
    let steered = ids.iter().position(|id| tails.steers(*id));
    drop(tails);
    let ids = match steered {
        Some(0) => {
            seal_all(core)?;
            &ids[..1]
        }
        Some(first) => &ids[..first],
        None => ids,
    };
    ready(core, 0)?;
    compact::steps(&core.store(), ids, &policy(core), report, &|| core.alive.forget())
}

fn dropped(report: &CompactionReport) -> u64 {
    report.superseded_dropped + report.tombstones_dropped + report.window_dropped
}

fn note(core: &Core, report: &CompactionReport) {
    core.metrics.compaction_dropped.fetch_add(dropped(report), Ordering::Relaxed);
    if dropped(report) > 0 || report.chunks_rewritten > 0 {
        *core.metrics.last_compaction.lock() = *report;
        tracing::debug!(dropped = dropped(report), read = report.bytes_read, "a step of background compaction");
    }
}

/// How far a compaction of all datasets has come.
#[derive(Default)]
pub struct Progress {
    pub done: AtomicU64,
    pub total: AtomicU64,
}

/// Trims one dataset, or all, as far as retention demands now. Runs on the maintenance thread.
pub fn compact_now(core: &Core, dataset: Option<Bytes>, progress: &Progress) -> Result<CompactionReport> {
    let began = Instant::now();
    // Also if nothing is due: what ends it removes files, which a read of what was replaced may need.
    ready(core, 0)?;
    let mut report = CompactionReport::default();
    let all = dataset.is_none();
    match dataset {
        Some(name) => {
            let id = core.store().snapshot().name(&name)?;
            let id = id.ok_or_else(|| Error::DatasetNotFound { dataset: name.to_vec() })?;
            report.datasets = 1;
            compact_fully(core, vec![id], &mut report)?;
            let store = core.store();
            store.flush()?;
            store.reclaim(Some(id));
        }
        None => compact_all(core, progress, &mut report)?,
    }
    if all {
        let store = core.store();
        store.flush()?;
        store.reclaim(None);
    }
    report.elapsed_ms = began.elapsed().as_millis() as u64;
    tracing::info!(datasets = report.datasets, dropped = dropped(&report), elapsed_ms = report.elapsed_ms, "compacted");
    *core.metrics.last_compaction.lock() = report;
    Ok(report)
}

fn compact_all(core: &Core, progress: &Progress, report: &mut CompactionReport) -> Result<()> {
    progress.total.store(core.store().applied()?.datasets, Ordering::Relaxed);
    let mut from = 0;
    loop {
        let store = core.store();
        let records: Vec<_> = store.snapshot().records(from).take(DATASETS_AT_ONCE).collect::<Result<_>>()?;
        drop(store);
        let Some(last) = records.last() else { return Ok(()) };
        from = last.id + 1;
        let (policy, tails) = (policy(core), core.tails.pin());
        let due = records.iter().filter(|record| compact::is_due(record, &policy) || tails.steers(record.id));
        let due = due.map(|record| record.id).collect();
        drop(tails);
        compact_fully(core, due, report)?;
        report.datasets += records.len() as u64;
        progress.done.fetch_add(records.len() as u64, Ordering::Relaxed);
    }
}

/// Trims these datasets step by step until nothing more is due in any of them.
fn compact_fully(core: &Core, mut ids: Vec<u64>, report: &mut CompactionReport) -> Result<()> {
    while !ids.is_empty() {
        let before = dropped(report);
        let done = steps(core, &ids, report)?;
        core.metrics.compaction_dropped.fetch_add(dropped(report) - before, Ordering::Relaxed);
        if let Some(last) = done.last() {
            core.metrics.grace_held_bytes.store(last.held_bytes, Ordering::Relaxed);
        }
        report.held_back += done.iter().filter(|done| done.held_bytes > 0 && !done.more).count() as u64;
        let stepped: Vec<u64> = ids.drain(..done.len()).collect();
        ids.extend(stepped.into_iter().zip(&done).filter(|(_, done)| done.more).map(|(id, _)| id));
        seal_next(core)?;
    }
    Ok(())
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
