//! What is written and not in the tail yet. To put a large commit there takes as long as a good part of its sync: another
//! thread does it meanwhile, or else whoever needs it done: the next leader before it writes, and whoever synced before
//! it publishes.

use parking_lot::Mutex;

use super::super::core::{Core, Unbroken};
use super::Commits;
use crate::frame::Body;
use crate::planted::{Bug, planted};

/// A commit of so many records is worth waking another thread for.
pub(super) const LATE_RECORDS: u64 = 32;

/// A commit that has its keys and is to go into the tail.
pub(super) struct Insertion {
    pub base: u64,
    pub time_ms: u64,
    pub body: Body,
}

impl Insertion {
    pub fn insert(self, core: &Core) {
        core.tails.pin().active().insert(self.base, self.time_ms, &self.body);
    }
}

/// Commits that are written and not in the tail, by key. None once a thread panicked amid them.
pub(super) struct Late(Mutex<Option<Vec<Insertion>>>);

impl Default for Late {
    fn default() -> Late {
        Late(Mutex::new(Some(Vec::new())))
    }
}

impl Late {
    fn add(&self, insertions: Vec<Insertion>) {
        if let Some(late) = self.0.lock().as_mut() {
            late.extend(insertions);
        }
    }

    /// Puts all of it into the tail, or waits until another thread has. False if that cannot be done any more: the store
    /// is poisoned then.
    pub(super) fn insert(&self, core: &Core) -> bool {
        let mut late = self.0.lock();
        // Poisons before the lock is let go of.
        let unbroken = Unbroken::begin(core);
        let insertions = late.take();
        let whole = insertions.is_some();
        if let Some(mut insertions) = insertions {
            insertions.drain(..).for_each(|insertion| insertion.insert(core));
            *late = Some(insertions);
        }
        unbroken.end();
        whole
    }
}

impl Commits {
    /// Lets what was written go into the tail later: at once in the background, unless a leader follows who does it.
    pub(super) fn add_late(&self, insertions: Vec<Insertion>) {
        if !insertions.is_empty() {
            self.late.add(insertions);
            if self.queue.lock().requests.is_empty() && !planted(Bug::VisibleBeforeInTail) {
                self.insert_in_background();
            }
        }
    }

    /// Puts all that is written into the tail.
    pub fn complete_tail(&self, core: &Core) {
        self.late.insert(core);
    }
}
