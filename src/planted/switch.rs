//! The switch, where there is one.

use std::cell::Cell;

use super::Bug;

thread_local! {
    static HERE: Cell<u64> = const { Cell::new(0) };
}

/// What is planted in a thread, for the threads that it starts.
#[derive(Debug, Clone, Copy)]
pub struct Planted(u64);

impl Planted {
    /// In this thread.
    pub fn here() -> Planted {
        Planted(HERE.get())
    }

    /// In this thread too from now on.
    pub fn go_on(self) {
        HERE.set(self.0);
    }
}

/// Puts back what was planted before.
struct Before(Planted);

impl Drop for Before {
    fn drop(&mut self) {
        self.0.go_on();
    }
}

/// Runs `work` with this bug, besides those that are planted already.
pub fn with<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
    let _before = Before(Planted::here());
    HERE.set(HERE.get() | 1 << bug as u64);
    work()
}

/// Whether this bug is there.
pub fn planted(bug: Bug) -> bool {
    HERE.get() & 1 << bug as u64 != 0
}
