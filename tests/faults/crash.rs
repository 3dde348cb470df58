//! Goal 1: a crash at every operation of a scripted workload.

use std::ops::Range;

use tidelog::testing::sim::CrashAt;

use crate::sim::{Run, SCRIPT, guarded, machine, over_seeds, recover};
use crate::support::Suite;

/// Ways in which each crash may come out.
const OUTCOMES: u64 = 8;

/// Runs the script with a crash at this change.
fn crashed(seed: u64, at: Option<CrashAt>) -> Run {
    let mut run = Run::new(seed, machine());
    if let Some(at) = at {
        run.disk.crash_at(at);
    }
    run.play(SCRIPT);
    run.engine = None;
    run
}

/// Every change of the script with this seed, not begun and begun, and for each so many outcomes.
fn every_operation(seed: u64) -> (u64, u64) {
    let calm = crashed(seed, None);
    let changes = calm.disk.changes();
    assert!(changes > 150, "{changes} changes: the script does too little");
    assert_eq!(calm.past.history.pending.len(), 0, "{:#?}", calm.story);
    let mut tries = 0;
    for change in 0..changes {
        for within in [false, true] {
            let run = crashed(seed, Some(CrashAt { change, within }));
            if !run.disk.is_crashed() {
                continue;
            }
            for outcome in 0..OUTCOMES {
                let disk = run.disk.crash(seed ^ change << 8 ^ outcome << 32);
                let what =
                    || format!("seed {seed}, change {change}, within: {within}, outcome {outcome}: {:#?}", run.story);
                guarded(what, &[&run.disk, &disk], || recover(&run.dir, &disk, seed, &mut run.past.clone()));
                tries += 1;
            }
        }
    }
    (tries, tries)
}

pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, every_operation);
}

#[test]
fn a_crash_at_every_operation() {
    let mut suite = Suite::begin("crash at every operation", "1, 20");
    run(0..2, &mut suite);
    suite.finish();
}
