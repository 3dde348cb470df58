//! Seeds over all cores, and a failure that says which seed it was.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidelog::testing::sim::SimDisk;

use crate::support::Suite;

/// Runs each seed on some thread; a seed returns how many tries it made and how many faults fired.
pub fn over_seeds(seeds: Range<u64>, suite: &mut Suite, run: impl Fn(u64) -> (u64, u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let (failed, failure) = (AtomicBool::new(false), Mutex::new(None));
    let (tries, faults) = (AtomicU64::new(0), AtomicU64::new(0));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                        Ok((ran, fired)) => {
                            tries.fetch_add(ran, Ordering::Relaxed);
                            faults.fetch_add(fired, Ordering::Relaxed);
                        }
                        Err(panic) => {
                            eprintln!("FAILED: seed {seed}");
                            failed.store(true, Ordering::Relaxed);
                            *failure.lock().expect("no panic under the lock") = Some(panic);
                        }
                    }
                }
            });
        }
    });
    if let Some(panic) = failure.into_inner().expect("no panic under the lock") {
        resume_unwind(panic);
    }
    suite.ran(tries.into_inner());
    suite.fired(faults.into_inner());
}

/// Runs a check; if it fails, prints how it came about, and what the disk was asked.
pub fn guarded<T>(what: impl FnOnce() -> String, disks: &[&SimDisk], check: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        eprintln!("FAILED: {}", what());
        for disk in disks {
            eprintln!("operations on the disk:");
            disk.story().iter().for_each(|operation| eprintln!("  {operation}"));
        }
        resume_unwind(panic)
    })
}
