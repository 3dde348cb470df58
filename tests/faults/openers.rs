//! Goal 16: two processes that open one store at once, also while one of them is being killed.

use std::ops::Range;
use std::time::Duration;

use crate::process::{Checker, Child, PATIENCE, Told, command, limited, options};
use crate::support::{Rng, Suite};

/// For each seed, three processes: two begin together, one of which gets the store; and while that one is killed, a third
/// tries.
pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    let dir = tempfile::Builder::new().prefix("tidelog-openers-").tempdir_in("/dev/shm").expect("room in /dev/shm");
    let store = dir.path().join("store");
    let mut checker = Checker::new(&store);
    let (mut locked_out, mut got_it) = (0, 0);
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let life = |n| 3 * seed + n;
        let one = Child::spawn(command("load", &store, life(0)));
        std::thread::sleep(Duration::from_micros(rng.below(3_000)));
        let other = Child::spawn(command("load", &store, life(1)));
        for child in [&one, &other] {
            assert!(child.wait_for("opened", 1, PATIENCE) || child.wait_for("refused locked", 1, Duration::ZERO));
        }
        let other_is_first = other.wait_for("opened", 1, Duration::ZERO);
        let (first, second) = if other_is_first { (other, one) } else { (one, other) };
        assert!(first.wait_for("ack", rng.within(1, 30) as usize, PATIENCE), "seed {seed}: no acknowledgement");
        expect_locked(seed, second);
        suite.fired(1);
        let refused = tidelog::verify(&store, &options(), &mut |_, _| {});
        assert!(matches!(refused, Err(tidelog::Error::Locked { .. })), "seed {seed}: {refused:?}");

        let third = Child::spawn(limited(command("load", &store, life(2)), 5));
        std::thread::sleep(Duration::from_micros(rng.below(30_000)));
        let first_life = if other_is_first { life(1) } else { life(0) };
        checker.heard(Told::of(first_life, &first.kill(), usize::MAX).without_errors());
        suite.fired(1);
        let third = third.finish(&format!("seed {seed}"));
        match third.lines.iter().any(|line| line.starts_with("refused locked")) {
            true => locked_out += 1,
            false => {
                let told = Told::of(life(2), &third, usize::MAX).without_errors();
                assert!(told.closed, "seed {seed}: {:?}", third.lines);
                checker.heard(told);
                got_it += 1;
            }
        }
        checker.look();
        suite.ran(1);
    }
    checker.look_closely();
    println!("openers: beside a killed process, {locked_out} were locked out and {got_it} opened the store");
}

fn expect_locked(seed: u64, child: Child) {
    let end = child.finish(&format!("seed {seed}"));
    let is_locked = end.lines.iter().any(|line| line.starts_with("refused locked"));
    assert!(is_locked && !end.lines.iter().any(|line| line == "opened"), "seed {seed}: {:?}", end.lines);
}

#[test]
fn of_two_openers_one_gets_the_store() {
    let mut suite = Suite::begin("two openers", "16, 20");
    run(0..50, &mut suite);
    suite.finish();
}
