//! Goal 7: each sync fails once. Those who wait for it are told, nothing is acknowledged after it, reads go on.

use std::ops::Range;

use tidelog::testing::sim::{Fault, SimDisk, Trouble, When};
use tidelog::{Durability, Engine, Error};

use crate::sim::{Run, SCRIPT, guarded, machine, one_put, options, over_seeds, recover};
use crate::support::Suite;

fn played(seed: u64, fault: Option<Fault>) -> Run {
    let mut run = Run::new(seed, machine());
    fault.into_iter().for_each(|fault| run.disk.plan(fault));
    run.play(SCRIPT);
    run
}

/// Whether the fault struck a sync of the log itself.
fn struck_log(disk: &SimDisk) -> bool {
    let struck = disk.story().into_iter().find(|operation| operation.outcome.is_some());
    struck.is_some_and(|struck| struck.call == "sync_data" && struck.path.starts_with("/machine/store/log/"))
}

fn every_sync(seed: u64) -> (u64, u64) {
    let syncs = played(seed, None).disk.syncs();
    let mut tries = 0;
    for sync in 0..syncs {
        for trouble in [Trouble::Io, Trouble::Full] {
            let mut run = played(seed, Some(Fault { when: When::Sync(sync), trouble, sticky: false }));
            if run.disk.fired() == 0 {
                // What is committed together takes one sync or more: this time there were fewer.
                continue;
            }
            let what = || format!("seed {seed}, sync {sync}, {trouble:?}");
            let before = run.disk.clone();
            guarded(what, &[&before], || {
                if let Some(engine) = run.engine.as_ref().filter(|_| struck_log(&before)) {
                    let refused = engine.append(one_put());
                    assert!(matches!(refused, Err(Error::Poisoned { .. })), "after a failed sync: {refused:?}");
                    run.read();
                }
                let cut = run.disk.crash(seed ^ sync);
                recover(&run.dir, &cut, seed, &mut run.past.clone());
                // The process ends, and its page cache lies on: what is served then must survive a power cut too.
                run.kill();
                let engine = Engine::open(&run.dir, options(&run.disk, seed)).expect("it opens after a failed sync");
                let mut past = run.past.clone();
                past.check(&engine);
                let cut = run.disk.crash(seed ^ sync << 1);
                drop(engine);
                recover(&run.dir, &cut, seed ^ 1, &mut past);
            });
            tries += 1;
        }
    }
    (tries, tries)
}

pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, every_sync);
}

#[test]
fn each_sync_fails() {
    let mut suite = Suite::begin("each sync fails", "7, 11, 20");
    run(0..8, &mut suite);
    suite.finish();
}

#[test]
fn all_who_wait_for_a_failed_sync_are_told() {
    let mut run = Run::new(1, machine());
    run.open().expect("a new store");
    let engine = run.engine().clone();
    engine.append(one_put()).expect("a commit");
    run.disk.plan(Fault { when: When::Sync(run.disk.syncs()), trouble: Trouble::Io, sticky: false });
    let waiting: Vec<_> = (0..16).map(|_| engine.submit(one_put(), Durability::Synced)).collect();
    for receipt in waiting {
        match receipt.and_then(|receipt| receipt.wait()) {
            Err(Error::OutcomeUnknown { .. } | Error::Poisoned { .. }) => {}
            other => panic!("it waited for a failed sync, or came after it: {other:?}"),
        }
    }
    assert_eq!(run.disk.fired(), 1);
    assert!(matches!(engine.append(one_put()), Err(Error::Poisoned { .. })));
    assert_eq!(engine.visible().get(), 1, "nothing is shown that was not synced");
    assert!(engine.get("after", "entity").expect("reads go on").is_some());
}
