//! Goal 4: `kill -9` of a real process under load.

use std::ops::Range;
use std::time::Duration;

use crate::process::{Checker, Child, PATIENCE, Told, command};
use crate::support::{Rng, Suite};

/// A close look after so many kills.
const CLOSELY: u64 = 25;

/// One kill for each seed, of processes that all work on one store. Most are reopened at once by the parent, which
/// looks; now and then the next one to be killed reopens it, and may be killed in its recovery.
pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    let dir = tempfile::Builder::new().prefix("tidelog-kill-").tempdir_in("/dev/shm").expect("room in /dev/shm");
    let store = dir.path().join("store");
    let mut checker = Checker::new(&store);
    let end = seeds.end;
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let child = Child::spawn(command("load", &store, seed));
        if rng.chance(15) {
            // Anywhere: while it opens or recovers, too.
            std::thread::sleep(Duration::from_micros(rng.below(60_000)));
        } else {
            let acks = rng.within(1, 60) as usize;
            assert!(child.wait_for("ack", acks, PATIENCE), "seed {seed}: no acknowledgement");
            std::thread::sleep(Duration::from_micros(rng.below(3_000)));
        }
        let dead = child.kill();
        assert!(!dead.status.success(), "seed {seed}: it was killed");
        checker.heard(Told::of(seed, &dead, usize::MAX).without_errors());
        suite.fired(1);
        if !rng.chance(20) || seed + 1 == end {
            checker.look();
        }
        if seed % CLOSELY == CLOSELY - 1 || seed + 1 == end {
            checker.look();
            checker.look_closely();
        }
        suite.ran(1);
    }
    println!("kill: {} looks, {} keys of which no two are the same", checker.looks(), checker.keys());
}

#[test]
fn killed_processes_lose_nothing_acknowledged() {
    let mut suite = Suite::begin("kill -9 under load", "4, 20");
    run(0..200, &mut suite);
    suite.finish();
}
