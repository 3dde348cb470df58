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
    /// Whether a thread is at it: one at a time.
    syncing: bool,
}

/// A request to answer after the sync that covers it.
pub(super) struct Waiting {
    pub(super) request: Owed,
    pub(super) answer: Result<Commit>,
    /// Whether it wrote something: a failed sync makes its outcome unknown.
    pub(super) wrote: bool,
    pub(super) heads: Vec<(Bytes, u64)>,
    /// Where the log ended when it began to wait.
    pub(super) upto: LogPos,
}

impl Written {
    pub(super) fn new(point: SyncPoint, end: LogPos, last_key: u64) -> Written {
        Written { point, end, last_key, synced: end, waiting: Vec::new(), syncing: false }
    }

    /// What need not wait any more: refusals that depend on nothing that is not synced.
    fn take_synced(&mut self) -> Vec<Waiting> {
        let (synced, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.upto <= self.synced);
        self.waiting = waiting;
        synced
    }
}

/// The turn to sync. It passes on also if the thread that has it panics.
struct Turn<'a>(&'a Commits);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.written.lock().syncing = false;
        self.0.synced.notify_all();
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
            written.waiting.push(Waiting { request, answer: Ok(commit), wrote: true, heads, upto: end });
        }
        written.waiting.extend(refused.into_iter().map(|refused| Waiting { upto: end, ..refused }));
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
    ///
    /// Of the threads that wrote while a sync ran, one does the next, for all of them; who was covered by that sync does
    /// not wait for another.
    pub fn sync_upto(&self, core: &Core, end: LogPos) {
        let mut written = self.written.lock();
        loop {
            if core.poison.get().is_some() {
                drop(written);
                return self.fail_waiting(core);
            }
            if written.synced >= end {
                let due = written.take_synced();
                drop(written);
                return answer(core, due);
            }
            if !written.syncing {
                break;
            }
            self.synced.wait(&mut written);
        }
        written.syncing = true;
        let (point, target, last_key) = (written.point.clone(), written.end, written.last_key);
        let waiting = std::mem::take(&mut written.waiting);
        drop(written);
        let turn = Turn(self);
        let unbroken = Unbroken::begin(core);
        let synced = point.sync();
        unbroken.end();
        if let Err(error) = synced {
            if !planted(Bug::SyncFailureForgotten) {
                core.poison(&format!("syncing the log: {error}"));
            }
            drop(turn);
            fail(core, waiting);
            return self.fail_waiting(core);
        }
        core.metrics.syncs.fetch_add(1, Ordering::Relaxed);
        core.publish(last_key);
        self.written.lock().synced = target;
        // Whoever is woken may commit at once, on this very thread.
        drop(turn);
        answer(core, waiting);
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

fn answer(core: &Core, waiting: Vec<Waiting>) {
    for Waiting { request, answer, heads, .. } in waiting {
        request.answer(answer);
        core.wake(&heads);
    }
}

/// Answers those who wait for a sync that will not come.
pub(super) fn fail(core: &Core, waiting: Vec<Waiting>) {
    for Waiting { request, wrote, .. } in waiting {
        let cause = core.poison.get().cloned().unwrap_or_default();
        request.answer(Err(if wrote { Error::OutcomeUnknown { cause } } else { Error::Poisoned { cause } }));
    }
}
