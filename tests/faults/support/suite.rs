//! How a suite counts what it ran and says so.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Runs a suite over these seeds; each seed is one try, or a fixed number of them.
pub type Run = fn(Range<u64>, &mut Suite);

/// Held by the suite that runs: each takes processes, a disk or much of the machine for itself, and some look at how
/// long something takes.
static MACHINE: Mutex<()> = Mutex::new(());

/// One suite under way, the only one of this process. It ends well only by [`Suite::finish`].
pub struct Suite {
    _machine: MutexGuard<'static, ()>,
    name: &'static str,
    goals: &'static str,
    began: Instant,
    ran: u64,
    fired: u64,
}

impl Suite {
    /// `goals` are the numbers in docs/reliability.md, as "1, 3".
    pub fn begin(name: &'static str, goals: &'static str) -> Suite {
        let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        Suite { _machine: machine, name, goals, began: Instant::now(), ran: 0, fired: 0 }
    }

    /// So many more tries were made, and each ended as promised.
    pub fn ran(&mut self, tries: u64) {
        self.ran += tries;
    }

    /// So many more faults really happened.
    pub fn fired(&mut self, faults: u64) {
        self.fired += faults;
    }

    pub fn tries(&self) -> u64 {
        self.ran
    }

    pub fn faults(&self) -> u64 {
        self.fired
    }

    /// Prints the line of this suite, and leaves it for the summary that ends `make test`.
    ///
    /// Panics if nothing ran or no fault fired: such a suite proves nothing.
    pub fn finish(self) {
        let seconds = self.began.elapsed().as_secs_f64();
        let Suite { name, goals, ran, fired, .. } = self;
        assert!(ran > 0, "{name}: nothing ran");
        assert!(fired > 0, "{name}: {ran} tries, but no fault fired");
        record(name, &format!("run\t{name}\t{goals}\t{ran}\t{fired}\t{seconds:.1}"));
    }
}

/// Counts a suite as skipped, aloud. Where everything must run (`CI=true`), that is a failure.
pub fn skip(name: &'static str, goals: &'static str, reason: &str) {
    record(name, &format!("skipped\t{name}\t{goals}\t{reason}"));
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == *"true");
    assert!(!is_ci, "{name} cannot run here: {reason}");
}

fn record(name: &str, line: &str) {
    println!("faults: {}", line.replace('\t', "  "));
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults");
    let file = dir.join(name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    let written = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(file, format!("{line}\n")));
    written.expect("a place for the suite's line");
}
