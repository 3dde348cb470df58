//! The lead: who has it, and how it goes on to the next.

use super::super::core::{Core, Unbroken};
use super::super::tails::MAX_FROZEN;
use super::sync::Turn;
use super::{Commits, Queue};
use crate::types::Durability;

/// As many commits, or as many bytes of them, are written while a sync runs. Fewer wait for its end, and for more to be
/// written with them: each write and each thread that is woken for it costs as much as a few commits.
const GATHERED: usize = 16;
const GATHERED_BYTES: usize = 64 << 10;

/// The lead. It goes on also if the thread that has it panics: others wait for it.
struct Lead<'a> {
    commits: &'a Commits,
    core: &'a Core,
    over: bool,
}

impl<'a> Lead<'a> {
    /// Hands the lead on, and takes the turn to sync if someone waits for a sync and none runs. Whoever has that turn
    /// sees to it that someone leads when it ends.
    fn end(&mut self, someone_waits: bool) -> Option<Turn<'a>> {
        let Lead { commits, core, over } = self;
        let mut queue = commits.queue.lock();
        queue.unsynced |= someone_waits;
        let turn = (queue.unsynced && !queue.syncing).then(|| Turn::take(commits, core, &mut queue));
        commits.hand_on(&mut queue);
        *over = true;
        turn
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if self.core.poison.get().is_some() {
            self.commits.fail_waiting(self.core);
        }
        if !self.over {
            self.commits.hand_on(&mut self.commits.queue.lock());
        }
    }
}

impl Queue {
    /// Whether there is enough to be written without waiting for more, or someone who is answered before the sync.
    pub(super) fn is_gathered(&self, core: &Core) -> bool {
        let enough = GATHERED.min(core.options.max_queued / 2);
        self.requests.len() >= enough
            || self.bytes >= GATHERED_BYTES
            || self.requests.iter().any(|request| request.durability == Durability::Buffered)
    }
}

impl Commits {
    /// Writes one group, hands the lead on, and sees to the sync, unless another thread does.
    pub(super) fn lead(&self, core: &Core) {
        let mut lead = Lead { commits: self, core, over: false };
        let mut someone_waits = false;
        if self.gather(core) {
            let unbroken = Unbroken::begin(core);
            someone_waits = self.write_group(core);
            unbroken.end();
        }
        let turn = lead.end(someone_waits);
        drop(lead);
        if let Some(turn) = turn {
            self.sync(core, turn);
        }
    }

    /// Waits while a sync runs and little is to be written. False if nothing is to be written yet: what waits for a sync
    /// would wait for a seal too, which makes room for more.
    fn gather(&self, core: &Core) -> bool {
        let mut queue = self.queue.lock();
        while queue.syncing && (!queue.is_gathered(core) || (queue.unsynced && Self::is_full(core, &queue))) {
            self.changed.wait(&mut queue);
        }
        !queue.unsynced || !Self::is_full(core, &queue)
    }

    fn is_full(core: &Core, queue: &Queue) -> bool {
        let tails = core.tails.pin();
        tails.frozen().len() >= MAX_FROZEN && tails.active().bytes() + queue.bytes > core.options.tail_limit()
    }

    /// Gives the lead to whoever waits to be written next, or to no one.
    fn hand_on(&self, queue: &mut Queue) {
        queue.leading = false;
        if !queue.requests.is_empty() {
            self.call_leader(queue);
        } else {
            self.changed.notify_all();
        }
    }

    /// Makes someone lead: a thread that waits to be written, or for a sync, or else the background thread.
    pub(super) fn call_leader(&self, queue: &mut Queue) {
        queue.leading = true;
        let called = match queue.requests.is_empty() {
            true => self.written.lock().promote_one(),
            false => queue.requests.iter().take(GATHERED).any(|request| request.promote()),
        };
        if !called {
            self.lead_in_background();
        }
    }

    /// Refuses new commits and sees all queued ones through. Afterwards nothing is written any more.
    pub fn close(&self, core: &Core) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        while queue.leading || !queue.requests.is_empty() {
            if queue.leading {
                self.changed.wait(&mut queue);
            } else {
                queue.leading = true;
                drop(queue);
                self.lead(core);
                queue = self.queue.lock();
            }
        }
        drop(queue);
        self.sync_all(core);
        self.stop_background();
    }
}
