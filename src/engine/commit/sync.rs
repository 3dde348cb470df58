//! The stage of syncs: while one runs, the next group is written, and the next sync covers all that was written
//! meanwhile.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::super::core::{Core, Unbroken};
use super::super::request::Owed;
use super::{Admission, Admitted, Commits, Writer};
use crate::error::{Error, Result};
use crate::frame::LogPos;
use crate::log::SyncPoint;
use crate::planted::{Bug, planted};
use crate::types::{Commit, Durability};

/// What was written and not synced yet.
pub(super) struct Written {
    point: SyncPoint,
    end: LogPos,
    last_key: u64,
    pub(super) synced: LogPos,
    waiting: Vec<Waiting>,
}

/// A request to answer after the sync that covers it.
pub(super) struct Waiting {
    pub(super) request: Owed,
    pub(super) answer: Result<Commit>,
    /// Whether it wrote something: a failed sync makes its outcome unknown.
    pub(super) wrote: bool,
    pub(super) heads: Vec<(Bytes, u64)>,
}

impl Written {
    pub(super) fn new(point: SyncPoint, end: LogPos, last_key: u64) -> Written {
        Written { point, end, last_key, synced: end, waiting: Vec::new() }
    }
}

impl Commits {
    /// Notes what waits for a sync now, and answers what does not need to wait.
    pub(super) fn note_written(
        &self,
        core: &Core,
        writer: &Writer,
        admitted: Vec<Admitted>,
        refused: Vec<Waiting>,
    ) -> Option<LogPos> {
        let end = writer.log.end();
        let mut buffered = false;
        let mut someone_waits = !refused.is_empty();
        let mut written = self.written.lock();
        for Admitted { request, admission: Admission { commit, bytes, heads, count, .. } } in admitted {
            core.metrics.commits.fetch_add(1, Ordering::Relaxed);
            core.metrics.entries.fetch_add(u64::from(count), Ordering::Relaxed);
            core.metrics.log_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if request.durability == Durability::Buffered || planted(Bug::AckBeforeSync) {
                buffered = true;
                request.answer(Ok(commit));
            } else {
                someone_waits = true;
            }
            written.last_key = commit.last.get();
            written.waiting.push(Waiting { request, answer: Ok(commit), wrote: true, heads });
        }
        written.waiting.extend(refused);
        (written.point, written.end) = (writer.log.sync_point(), end);
        if planted(Bug::VisibleBeforeSync) {
            core.publish(written.last_key);
        }
        drop(written);
        if buffered && !someone_waits {
            self.sync_in_background(core.options.sync_interval);
        }
        someone_waits.then_some(end)
    }

    /// Syncs the log up to `end` at least, publishes what that makes visible, and answers all who waited for it.
    pub fn sync_upto(&self, core: &Core, end: LogPos) {
        let turn = self.sync.lock();
        let mut written = self.written.lock();
        if core.poison.get().is_some() {
            drop(written);
            return self.fail_waiting(core);
        }
        if written.synced >= end && written.waiting.is_empty() {
            return;
        }
        let (point, target, last_key) = (written.point.clone(), written.end, written.last_key);
        let waiting = std::mem::take(&mut written.waiting);
        let needed = written.synced < target;
        drop(written);
        if needed {
            let unbroken = Unbroken::begin(core);
            let synced = point.sync();
            unbroken.end();
            if let Err(error) = synced {
                if !planted(Bug::SyncFailureForgotten) {
                    core.poison(&format!("syncing the log: {error}"));
                }
                fail(core, waiting);
                return self.fail_waiting(core);
            }
            core.metrics.syncs.fetch_add(1, Ordering::Relaxed);
            self.written.lock().synced = target;
            core.publish(last_key);
        }
        // Whoever is woken may commit at once, on this very thread.
        drop(turn);
        for Waiting { request, answer, heads, .. } in waiting {
            request.answer(answer);
            core.wake(&heads);
        }
    }

    /// Syncs everything written so far.
    pub fn sync_all(&self, core: &Core) {
        let end = self.written.lock().end;
        self.sync_upto(core, end);
    }

    pub(super) fn fail_waiting(&self, core: &Core) {
        let waiting = std::mem::take(&mut self.written.lock().waiting);
        fail(core, waiting);
    }
}

/// Answers those who wait for a sync that will not come.
pub(super) fn fail(core: &Core, waiting: Vec<Waiting>) {
    for Waiting { request, wrote, .. } in waiting {
        let cause = core.poison.get().cloned().unwrap_or_default();
        request.answer(Err(if wrote { Error::OutcomeUnknown { cause } } else { Error::Poisoned { cause } }));
    }
}
