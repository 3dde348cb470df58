//! Goal 4: `kill -9` of a real process under load.

use std::ops::Range;

use crate::process::{Checker, Child, Told};
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
        let child = Child::under_load(&store, seed, &mut rng, 60_000);
        let dead = child.kill();
        assert!(!dead.status.success(), "seed {seed}: it was killed");
        checker.heard(Told::of(seed, &dead, usize::MAX).without_errors());
        suite.fired(1);
        checker.look_now_and_then(seed, &mut rng, CLOSELY, seed + 1 == end);
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
