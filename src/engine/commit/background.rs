//! The background thread: it leads for commits that no thread waits for, puts what is large into the tail while another
//! thread syncs it, and syncs buffered ones in time.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::super::core::Core;
use super::Commits;

/// What the background thread is to do.
#[derive(Default)]
pub(super) struct Background {
    lead: bool,
    insert: bool,
    sync_by: Option<Instant>,
    stop: bool,
}

impl Commits {
    /// Leads for a commit that no thread waits for.
    pub(super) fn lead_in_background(&self) {
        self.background.lock().lead = true;
        self.wake_background.notify_one();
    }

    /// Puts into the tail what is late for it.
    pub(super) fn insert_in_background(&self) {
        self.background.lock().insert = true;
        self.wake_background.notify_one();
    }

    /// Syncs within `interval`, unless it is to sync earlier.
    pub(super) fn sync_in_background(&self, interval: Duration) {
        let mut background = self.background.lock();
        if background.sync_by.is_none() {
            background.sync_by = Some(Instant::now() + interval);
            self.wake_background.notify_one();
        }
    }

    pub(super) fn stop_background(&self) {
        self.background.lock().stop = true;
        self.wake_background.notify_all();
    }

    /// Runs until it is told to stop.
    pub fn run_background(&self, core: &Core) {
        loop {
            let mut background = self.background.lock();
            let mut due = false;
            while !background.lead && !background.insert && !due {
                if background.stop {
                    return;
                }
                match background.sync_by {
                    Some(by) => due = self.wake_background.wait_until(&mut background, by).timed_out(),
                    None => self.wake_background.wait(&mut background),
                }
            }
            let lead = std::mem::take(&mut background.lead);
            let insert = std::mem::take(&mut background.insert);
            due |= background.sync_by.is_some_and(|by| by <= Instant::now());
            if due {
                background.sync_by = None;
            }
            drop(background);
            let attempt = |wanted: bool, work: &dyn Fn()| {
                if wanted {
                    // A panic ends what this thread was at, and nothing else: others count on it for the rest.
                    let _ = catch_unwind(AssertUnwindSafe(work));
                }
            };
            attempt(insert, &|| self.complete_tail(core));
            attempt(lead, &|| self.lead(core));
            attempt(due, &|| self.sync_all(core));
        }
    }
}
