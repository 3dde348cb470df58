//! Time, behind a seam so that tests can turn it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the engine takes time from.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch, as the wall clock says. It may jump.
    fn wall_ms(&self) -> u64;
    /// Milliseconds that passed since some fixed moment of this process. It never runs backwards.
    fn monotonic_ms(&self) -> u64;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    fn monotonic_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}
