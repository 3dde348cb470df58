//! The lead: who has it, and how it goes on to the next.

use super::super::core::{Core, Unbroken};
use super::Commits;

/// The lead. It goes on also if the thread that has it panics: others wait for it.
struct Lead<'a> {
    commits: &'a Commits,
    core: &'a Core,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if self.core.poison.get().is_some() {
            self.commits.fail_waiting(self.core);
        }
        self.commits.hand_on();
    }
}

impl Commits {
    /// Writes one group, hands the lead on, and sees to the sync.
    pub(super) fn lead(&self, core: &Core) {
        let lead = Lead { commits: self, core };
        let unbroken = Unbroken::begin(core);
        let sync = self.write_group(core);
        unbroken.end();
        drop(lead);
        if let Some(end) = sync {
            self.sync_upto(core, end);
        }
    }

    fn hand_on(&self) {
        let mut queue = self.queue.lock();
        match queue.requests.front() {
            None => {
                queue.leading = false;
                self.idle.notify_all();
            }
            Some(next) if next.promote() => {}
            Some(_) => {
                drop(queue);
                self.lead_in_background();
            }
        }
    }

    /// Refuses new commits and sees all queued ones through. Afterwards nothing is written any more.
    pub fn close(&self, core: &Core) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        while queue.leading || !queue.requests.is_empty() {
            if queue.leading {
                self.idle.wait(&mut queue);
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
