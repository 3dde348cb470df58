//! The lead: who has it, and how it goes on to the next.

use super::super::core::{Core, Unbroken};
use super::super::request::{Owed, Wakes};
use super::super::tails::MAX_FROZEN;
use super::sync::Turn;
use super::{Commits, Queue};
use crate::types::Durability;

/// As many commits, or as many bytes of them, are written while a sync runs. Fewer wait for its end, and for more to be
/// written with them: each write and each thread that is woken for it costs as much as a few commits.
const GATHERED: usize = 16;
const GATHERED_BYTES: usize = 64 << 10;

/// Bodies that are written together, in bytes; one larger body goes alone.
const GROUP_BYTES: usize = 1 << 20;

/// The lead. It goes on also if the thread that has it panics: others wait for it.
struct Lead<'a> {
    commits: &'a Commits,
    core: &'a Core,
    over: bool,
}

impl<'a> Lead<'a> {
    /// Hands the lead on, and takes the turn to sync if something waits for a sync and none runs. Whoever has that turn
    /// sees to it that someone leads when it ends.
    fn end(&mut self, something_waits: bool) -> Option<Turn<'a>> {
        let Lead { commits, core, over } = self;
        let mut queue = commits.queue.lock();
        queue.unsynced |= something_waits;
        let turn = (queue.unsynced && !queue.syncing).then(|| Turn::take(commits, core, &mut queue));
        commits.hand_on(&mut queue);
        *over = true;
        turn
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.commits.hand_on(&mut self.commits.queue.lock());
        }
        if self.core.poison.get().is_some() {
            self.commits.fail_waiting(self.core);
        }
    }
}

impl Queue {
    /// Whether there is enough to be written without waiting for more, or someone who does not wait for a sync.
    pub(super) fn is_gathered(&self, core: &Core) -> bool {
        let enough = GATHERED.min(core.options.max_queued / 2);
        self.requests.len() >= enough
            || self.bytes >= GATHERED_BYTES
            || self.requests.iter().any(|request| request.durability == Durability::Buffered)
    }

    /// How many commits are written together next, and their bytes.
    fn next_group(&self) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for next in &self.requests {
            if count > 0 && bytes + next.bytes > GROUP_BYTES {
                break;
            }
            (count, bytes) = (count + 1, bytes + next.bytes);
        }
        (count, bytes)
    }

    /// Whether the next group would wait for a seal.
    fn waits_for_room(&self, core: &Core) -> bool {
        let tails = core.tails.pin();
        let limit = core.options.tail_limit();
        tails.frozen().len() >= MAX_FROZEN && !tails.active().has_room(self.next_group().1, limit)
    }
}

impl Commits {
    /// Writes one group, hands the lead on, and sees to the sync, unless another thread does.
    pub(super) fn lead(&self, core: &Core) {
        // Dropped last.
        let mut wakes = Wakes::default();
        let mut lead = Lead { commits: self, core, over: false };
        self.gather(core);
        let unbroken = Unbroken::begin(core);
        let something_waits = self.write_group(core, &mut wakes);
        unbroken.end();
        let turn = lead.end(something_waits);
        if let Some(turn) = turn {
            self.sync(core, turn);
        }
    }

    /// Waits while a sync runs and little is to be written, or there is no room for it.
    fn gather(&self, core: &Core) {
        let mut queue = self.queue.lock();
        while queue.syncing && (!queue.is_gathered(core) || queue.waits_for_room(core)) {
            self.changed.wait(&mut queue);
        }
    }

    /// Takes the next group. None if it would wait for a seal and something is written that is not synced: that would
    /// wait with it, and whoever leads cannot see to a sync meanwhile. All that is written must be in the tail.
    pub(super) fn take_group(&self, core: &Core) -> Option<Vec<Owed>> {
        let mut queue = self.queue.lock();
        // Nothing is synced any more once a sync failed.
        if queue.waits_for_room(core) && core.poison.get().is_none() && !self.written.lock().is_synced() {
            return None;
        }
        let (count, bytes) = queue.next_group();
        queue.bytes -= bytes;
        Some(queue.requests.drain(..count).map(Owed::new).collect())
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
