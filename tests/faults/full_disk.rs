//! Goal 10: a disk of 8 MiB that is full and has room again, while eight writers work.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::process::{
    Checker, Child, PATIENCE, SmallDisk, Told, WRITERS, can_mount, clean_leftovers, command, resting,
};
use crate::support::{Rng, Suite, skip};

/// How often one process sees its disk fill up.
const CYCLES_OF_A_PROCESS: u64 = 10;
/// What the goal allows from the moment that there is space again until writes succeed.
const ALLOWED: Duration = Duration::from_secs(1);

/// One cycle for each seed: the disk is filled to the last page, kept full, and freed.
pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    let mut times = Vec::new();
    let mut from = seeds.start;
    let mut stuck_seals = 0;
    while from < seeds.end {
        let some = from..seeds.end.min(from + CYCLES_OF_A_PROCESS);
        from = some.end;
        stuck_seals += one_process(some, &mut times, suite);
    }
    times.sort_unstable();
    let (max, median) = (times[times.len() - 1], times[times.len() / 2]);
    println!(
        "full disk: {} cycles, {stuck_seals} with both frozen tails waiting; resumed after {median:?} (median), {max:?} (most)",
        times.len()
    );
    assert!(max <= ALLOWED, "writes resumed only after {max:?}: {times:?}");
    assert!(stuck_seals * 3 >= seeds.end - seeds.start || seeds.end - seeds.start < 10, "seals were hardly ever stuck");
}

fn one_process(seeds: Range<u64>, times: &mut Vec<Duration>, suite: &mut Suite) -> u64 {
    clean_leftovers();
    let disk = SmallDisk::new(8);
    let store = disk.dir().join("store");
    let life = seeds.start;
    let child = Child::spawn(resting(command("load", &store, life), 2));
    let mut stuck_seals = 0;
    for seed in seeds {
        let mut rng = Rng::new(seed);
        // More than tails hold: seals work.
        let from = child.heard();
        assert!(child.wait_from(from, "ack", 80, PATIENCE), "seed {seed}: writes do not go on");
        std::thread::sleep(Duration::from_micros(rng.below(5_000)));
        let from = child.heard();
        keep_full(&disk, || {
            assert!(
                child.wait_from(from, " NoSpace ", 1, PATIENCE),
                "seed {seed}: the disk is full, and no one is told"
            );
            if rng.chance(60) && child.wait_from(from, "index store", 1, Duration::from_secs(2)) {
                stuck_seals += 1;
            }
            std::thread::sleep(Duration::from_millis(rng.below(100)));
            let from = child.heard();
            assert!(child.wait_from(from, "quiet", 3, PATIENCE), "seed {seed}: reads do not go on");
        });
        suite.fired(1);
        let from = child.heard();
        disk.free();
        let freed = Instant::now();
        assert!(child.wait_from(from, "ack", WRITERS as usize, PATIENCE), "seed {seed}: writes do not resume");
        times.push(freed.elapsed());
        suite.ran(1);
    }
    let told = Told::of(life, &child.kill(), usize::MAX);
    assert!(told.errors.keys().all(|error| error == "NoSpace"), "{:?}", told.errors);
    let mut checker = Checker::new(&store);
    checker.heard(told);
    checker.look();
    checker.look_closely();
    stuck_seals
}

/// Fills the disk, and takes whatever room anyone frees, until `during` is over.
fn keep_full(disk: &SmallDisk, during: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                disk.fill();
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        // Also if it panics: the scope waits.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(during));
        over.store(true, Ordering::SeqCst);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn a_full_disk_heals_without_a_restart() {
    let name = "full disk of 8 MiB";
    if let Err(reason) = can_mount() {
        return skip(name, "10", &reason);
    }
    let mut suite = Suite::begin(name, "10");
    run(0..100, &mut suite);
    suite.finish();
}
