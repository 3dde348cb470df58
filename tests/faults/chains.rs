//! Goal 3: a crash during recovery, and during the recovery from that, three deep.

use std::ops::Range;

use tidelog::Engine;
use tidelog::testing::sim::{CrashAt, Random};

use crate::images::crashed;
use crate::sim::{Run, guarded, machine, options, over_seeds, recover};
use crate::support::Suite;

const DEPTH: u64 = 3;

fn chain(seed: u64) -> (u64, u64) {
    let run = crashed(Run::new(seed, machine()), seed);
    let mut random = Random::new(seed ^ 0xc4a1);
    let (mut disks, mut fired) = (vec![run.disk.clone()], 0);
    for depth in 0..DEPTH {
        let disk = disks.last().expect("one at least").crash(seed << 8 | depth);
        disk.crash_at(CrashAt { change: random.below(24), within: random.chance(50) });
        let opened = Engine::open(&run.dir, options(&disk, seed << 8 | depth));
        assert!(opened.is_ok() || disk.is_crashed(), "seed {seed}, depth {depth}: {opened:?}");
        fired += u64::from(disk.is_crashed());
        disks.push(disk);
        // If opening got through, closing finds the crash, or nothing is left to crash.
        drop(opened);
    }
    let disk = disks.last().expect("one at least").crash(seed << 8 | DEPTH);
    let what = || format!("seed {seed}: {:#?}", run.story);
    let shown: Vec<_> = disks.iter().chain([&disk]).collect();
    guarded(what, &shown, || recover(&run.dir, &disk, seed, &mut run.past.clone()));
    (1, fired)
}

pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, chain);
}

#[test]
fn crashes_during_recovery() {
    let mut suite = Suite::begin("crashes during recovery", "3, 20");
    run(0..2000, &mut suite);
    suite.finish();
}
