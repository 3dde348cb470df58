//! Goal 6: what recovery serves is durable first. The process dies, its page cache stays; the next one serves what it
//! finds; then the power is cut.

use std::ops::Range;

use tidelog::Engine;

use crate::images::crashed;
use crate::sim::{Run, guarded, machine, options, over_seeds, recover};
use crate::support::Suite;

fn served(seed: u64) -> (u64, u64) {
    let mut run = crashed(Run::new(seed, machine()), seed);
    let before = run.disk.clone();
    run.kill();
    let (what, mut past) = (|| format!("seed {seed}: {:#?}", run.story), run.past.clone());
    guarded(what, &[&before], || {
        let engine = Engine::open(&run.dir, options(&run.disk, seed)).expect("a killed process's store opens");
        past.check(&engine);
        let after = engine.get("after", "entity").expect("a get").expect("it was written");
        // The engine is open when the power goes; whatever it does when it is dropped comes too late.
        let cut = run.disk.crash(seed);
        drop(engine);
        let engine = Engine::open(&run.dir, options(&cut, seed ^ 1)).expect("after the power cut");
        let again = engine.get("after", "entity").expect("a get").expect("it was served");
        assert_eq!(again, after, "served, and then not the same");
        drop(engine);
        recover(&run.dir, &cut, seed, &mut past);
    });
    (1, 1)
}

pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, served);
}

#[test]
fn what_is_served_survives_a_power_cut() {
    let mut suite = Suite::begin("served is durable, simulated", "6, 20");
    run(0..400, &mut suite);
    suite.finish();
}
