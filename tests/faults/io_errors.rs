//! Goals 8 and 11: operations fail, once or from then on, with EIO, ENOSPC, EINTR, or do a part. Never a panic, never a
//! wrong acknowledgement; also during seals, compaction and backups, which leave the old state and no orphans.

use std::ops::Range;

use tidelog::Engine;
use tidelog::testing::sim::{Fault, Trouble, When};

use crate::sim::{Run, SCRIPT, guarded, machine, one_put, options, over_seeds, recover, sound};
use crate::support::Suite;

/// Interrupted for ever, nothing would ever end.
const TROUBLES: [(Trouble, bool); 7] = [
    (Trouble::Io, false),
    (Trouble::Io, true),
    (Trouble::Full, false),
    (Trouble::Full, true),
    (Trouble::Short, false),
    (Trouble::Short, true),
    (Trouble::Interrupted, false),
];
/// Each seed takes another one of so many operations in a row.
const STEP: u64 = 24;

fn played(seed: u64, fault: Option<Fault>) -> Run {
    let mut run = Run::new(seed / STEP, machine());
    fault.into_iter().for_each(|fault| run.disk.plan(fault));
    run.play(SCRIPT);
    run
}

fn every_nth(seed: u64) -> (u64, u64) {
    let operations = played(seed, None).disk.operations();
    let (mut tries, mut fired) = (0, 0);
    for operation in (seed % STEP..operations).step_by(STEP as usize) {
        for (trouble, sticky) in TROUBLES {
            let mut run = played(seed, Some(Fault { when: When::Operation(operation), trouble, sticky }));
            let before = run.disk.clone();
            let (what, story) =
                (|| format!("seed {seed}, operation {operation}, {trouble:?}, sticky: {sticky}"), run.story.clone());
            guarded(
                || format!("{}: {story:#?}", what()),
                &[&before],
                || {
                    fired += run.disk.fired();
                    if matches!(trouble, Trouble::Short | Trouble::Interrupted) {
                        // Calls are repeated until they are through: nobody notices.
                        assert_eq!(run.past.history.pending.len(), 0);
                        run.engine().append(one_put()).expect("nothing really failed");
                    }
                    if run.engine.is_some() {
                        run.read();
                    }
                    let cut = run.disk.crash(seed ^ operation);
                    recover(&run.dir, &cut, seed, &mut run.past.clone());
                    run.kill();
                    let options = options(&run.disk, seed);
                    let engine = Engine::open(&run.dir, options.clone()).expect("it opens once the disk is well again");
                    run.past.check(&engine);
                    sound(engine, &run.dir, &run.disk, &options);
                },
            );
            tries += 1;
        }
    }
    (tries, fired)
}

pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, every_nth);
}

#[test]
fn every_nth_operation_fails() {
    let mut suite = Suite::begin("every n-th operation fails", "8, 11, 20");
    // Every operation of one script.
    run(0..STEP, &mut suite);
    suite.finish();
}
