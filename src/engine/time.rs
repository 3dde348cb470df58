//! The engine's idea of time. Nothing about order or safety depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::planted::{Bug, planted};

/// Wall time for stamps, and a time for retention that runs no faster than the monotonic clock.
pub struct EngineClock {
    clock: Arc<dyn Clock>,
    /// Retention time at a moment of the monotonic clock.
    anchor: Mutex<(u64, u64)>,
    /// The latest that the wall clock ever said. Commits are stamped with it, so no age is measured beyond it: a
    /// clock that stands still makes nothing older.
    latest: AtomicU64,
    /// How far ahead of retention time the wall clock is believed.
    jump_ms: u64,
}

impl EngineClock {
    /// Begins at the wall time, unless that is more than `jump_ms` ahead of the last time known from before: then
    /// retention goes on from there until the clock is confirmed.
    pub fn new(clock: Arc<dyn Clock>, last_ms: u64, jump_ms: u64) -> EngineClock {
        let wall = clock.wall_ms();
        let trusted = last_ms == 0 || wall <= last_ms.saturating_add(jump_ms);
        if !trusted {
            tracing::warn!(
                wall,
                last_ms,
                "the clock is far ahead of the last commit: commits are dated and retention by age goes on from \
                 that one until it is confirmed (`Engine::confirm_clock`, `--confirm-clock`)"
            );
        }
        let anchor = Mutex::new((if trusted { wall } else { last_ms }, clock.monotonic_ms()));
        EngineClock { clock, anchor, latest: AtomicU64::new(wall.max(last_ms)), jump_ms }
    }

    /// The stamp of a commit, not before that of the one before. What is committed now is not older than now: where the
    /// wall clock was set back, retention time goes back with it. Where it jumped ahead beyond the limit, commits are stamped
    /// with retention time, or the next opening would find the jump confirmed by them.
    pub fn stamp(&self, last_ms: u64) -> u64 {
        let wall = self.wall_ms();
        let mut anchor = self.anchor.lock();
        let now = self.clock.monotonic_ms();
        let passed = anchor.0.saturating_add(now.saturating_sub(anchor.1));
        let said = if wall > passed.saturating_add(self.jump_ms) { passed } else { wall };
        let stamp = said.max(if planted(Bug::TimeGoesBack) { 0 } else { last_ms });
        if stamp < passed {
            *anchor = (stamp, now);
        }
        stamp
    }

    /// The wall clock, in milliseconds since the Unix epoch.
    pub fn wall_ms(&self) -> u64 {
        let wall = self.clock.wall_ms();
        self.latest.fetch_max(wall, Ordering::Relaxed);
        wall
    }

    /// The time that ages are measured against.
    pub fn now_ms(&self) -> u64 {
        let (base, at) = *self.anchor.lock();
        self.wall_ms();
        let passed = self.clock.monotonic_ms().saturating_sub(at);
        base.saturating_add(passed).min(self.latest.load(Ordering::Relaxed))
    }

    /// Accepts the wall clock as it is.
    pub fn confirm(&self) {
        *self.anchor.lock() = (self.clock.wall_ms(), self.clock.monotonic_ms());
    }
}
