//! The stage of syncs: while one runs, the next group is written, and the next sync covers all that was written
//! meanwhile.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::super::core::{Core, Unbroken};
use super::super::request::{Owed, Wakes};
use super::{Admission, Admitted, Commits, Queue, Writer};
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
    /// Where the log ended when it began to wait.
    pub(super) upto: LogPos,
}

impl Written {
    pub(super) fn new(point: SyncPoint, end: LogPos, last_key: u64) -> Written {
        Written { point, end, last_key, synced: end, waiting: Vec::new() }
    }

    /// Whether nothing is written that is not synced.
    pub(super) fn is_synced(&self) -> bool {
        self.synced >= self.end
    }

    /// Makes one of the threads that wait the leader; false if none does.
    pub(super) fn promote_one(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.request.promote())
    }

    /// What need not wait any more: refusals that depend on nothing that is not synced, and came while that was synced.
    fn take_synced(&mut self) -> Vec<Waiting> {
        let (synced, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.upto <= self.synced);
        self.waiting = waiting;
        synced
    }
}

/// The turn to sync. It passes on also if the thread that has it panics.
pub(super) struct Turn<'a> {
    commits: &'a Commits,
    core: &'a Core,
}

impl<'a> Turn<'a> {
    /// Takes the turn, which no one has: all that was written so far is to be synced.
    pub(super) fn take(commits: &'a Commits, core: &'a Core, queue: &mut Queue) -> Turn<'a> {
        (queue.syncing, queue.unsynced) = (true, false);
        Turn { commits, core }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Read once: if it comes after this, whoever is called to lead answers those who wait.
        let poisoned = self.core.poison.get().is_some();
        let mut queue = self.commits.queue.lock();
        queue.syncing = false;
        // Whoever has a commit in the queue leads by itself.
        if queue.unsynced && !queue.leading && queue.requests.is_empty() && !poisoned {
            self.commits.call_leader(&mut queue);
        }
        self.commits.changed.notify_all();
        drop(queue);
        if poisoned {
            self.commits.fail_waiting(self.core);
        }
    }
}

impl Commits {
    /// Notes what waits for a sync now, and answers what does not need to wait. Tells whether anyone waits.
    pub(super) fn note_written(
        &self,
        core: &Core,
        writer: &Writer,
        admitted: Vec<Admitted>,
        refused: Vec<Waiting>,
        wakes: &mut Wakes,
    ) -> bool {
        let end = writer.log.end();
        let (mut buffered, mut someone_waits) = (false, false);
        let mut written = self.written.lock();
        for Admitted { request, admission: Admission { commit, bytes, heads, count, .. } } in admitted {
            core.metrics.commits.fetch_add(1, Ordering::Relaxed);
            core.metrics.entries.fetch_add(u64::from(count), Ordering::Relaxed);
            core.metrics.log_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if request.durability == Durability::Buffered || planted(Bug::AckBeforeSync) {
                buffered = true;
                request.answer(Ok(commit), wakes);
            } else {
                someone_waits = true;
            }
            written.last_key = commit.last.get();
            written.waiting.push(Waiting { request, answer: Ok(commit), wrote: true, heads, upto: end });
        }
        (written.point, written.end) = (writer.log.sync_point(), end);
        // Also a refusal that depends on nothing that is not synced.
        someone_waits |= !refused.is_empty();
        written.waiting.extend(refused.into_iter().map(|refused| Waiting { upto: end, ..refused }));
        if planted(Bug::VisibleBeforeSync) {
            core.publish(written.last_key);
        }
        drop(written);
        if buffered && !someone_waits {
            self.sync_in_background(core.options.sync_interval);
        }
        someone_waits
    }

    /// Syncs the log up to `end` at least.
    pub fn sync_upto(&self, core: &Core, end: LogPos) {
        let mut queue = self.queue.lock();
        while core.poison.get().is_none() && self.written.lock().synced < end {
            if queue.syncing {
                self.changed.wait(&mut queue);
                continue;
            }
            let turn = Turn::take(self, core, &mut queue);
            drop(queue);
            return self.sync(core, turn);
        }
    }

    /// Syncs all that is written, publishes what that makes visible, and answers all who waited for it.
    pub(super) fn sync(&self, core: &Core, turn: Turn<'_>) {
        if core.poison.get().is_some() {
            // The turn answers all who wait.
            return drop(turn);
        }
        let mut written = self.written.lock();
        let (point, target, last_key) = (written.point.clone(), written.end, written.last_key);
        let waiting = std::mem::take(&mut written.waiting);
        let is_synced = written.is_synced();
        drop(written);
        let unbroken = Unbroken::begin(core);
        let synced = if is_synced { Ok(()) } else { point.sync() };
        unbroken.end();
        if let Err(error) = synced {
            if !planted(Bug::SyncFailureForgotten) {
                core.poison(&format!("syncing the log: {error}"));
            }
            return self.fail_and_end(core, waiting, turn);
        }
        core.metrics.syncs.fetch_add(u64::from(!is_synced), Ordering::Relaxed);
        if !planted(Bug::VisibleBeforeInTail) && !self.late.insert(core) {
            return self.fail_and_end(core, waiting, turn);
        }
        core.publish(last_key);
        let mut written = self.written.lock();
        written.synced = target;
        let due = written.take_synced();
        drop(written);
        drop(turn);
        answer(core, waiting.into_iter().chain(due));
    }

    /// Answers those whose sync failed, and gives the turn back before any waker is called.
    fn fail_and_end(&self, core: &Core, waiting: Vec<Waiting>, turn: Turn<'_>) {
        let mut wakes = Wakes::default();
        fail(core, waiting, &mut wakes);
        drop(turn);
    }

    /// Syncs everything written so far.
    pub fn sync_all(&self, core: &Core) {
        let end = self.written.lock().end;
        self.sync_upto(core, end);
    }

    pub(super) fn fail_waiting(&self, core: &Core) {
        let waiting = std::mem::take(&mut self.written.lock().waiting);
        fail(core, waiting, &mut Wakes::default());
    }
}

/// Answers all of them before any waker is called: one may wait for another.
fn answer(core: &Core, waiting: impl Iterator<Item = Waiting>) {
    let (mut wakes, mut all_heads) = (Wakes::default(), Vec::new());
    for Waiting { request, answer, heads, .. } in waiting {
        request.answer(answer, &mut wakes);
        all_heads.extend(heads);
    }
    core.wake(&all_heads);
}

/// Answers those who wait for a sync that will not come.
pub(super) fn fail(core: &Core, waiting: Vec<Waiting>, wakes: &mut Wakes) {
    for Waiting { request, wrote, .. } in waiting {
        let cause = core.poison.get().cloned().unwrap_or_default();
        request.answer(Err(if wrote { Error::OutcomeUnknown { cause } } else { Error::Poisoned { cause } }), wakes);
    }
}
