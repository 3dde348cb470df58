//! Compaction by the engine: in the background a step at a time, and of one dataset or all when asked for. All of it runs
//! on the maintenance thread.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;

use super::core::Core;
use super::maintain::{ready, seal_all, seal_next};
use crate::compact::{self, Done, Policy};
use crate::error::{Error, Result};
use crate::types::CompactionReport;

/// Damaged datasets that background compaction passes over, at most.
const MAX_PASSED_OVER: usize = 1024;
/// Datasets that are looked at together when all are compacted.
const DATASETS_AT_ONCE: usize = 1024;

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
