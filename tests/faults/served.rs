//! Goal 6: what recovery serves is durable first. A process is killed, the next one recovers and is asked, the power goes
//! at once, and whoever comes then finds what was served.

use std::ops::Range;
use std::time::Duration;

use crate::process::{Checker, Child, Disk, Kind, PATIENCE, Told, can_mount, clean_leftovers, command, tool_missing};
use crate::support::{Rng, Suite, skip};

/// One kill and one cut for each seed, the even ones on ext4 and the odd ones on XFS, if there are both.
pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    for kind in [Kind::Ext4, Kind::Xfs] {
        let parity = u64::from(kind == Kind::Xfs);
        on(kind, seeds.clone().filter(|seed| seed % 2 == parity), suite);
    }
}

fn on(kind: Kind, seeds: impl Iterator<Item = u64>, suite: &mut Suite) {
    clean_leftovers();
    let mut disk = Disk::new(kind);
    let store = disk.dir().join("store");
    let mut checker = Checker::new(&store);
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let child = Child::spawn(command("load", &store, 2 * seed));
        let acks = rng.within(1, 40) as usize;
        assert!(child.wait_for("ack", acks, PATIENCE), "seed {seed}: no acknowledgement");
        std::thread::sleep(Duration::from_micros(rng.below(3_000)));
        let dead = child.kill();
        checker.heard(Told::of(2 * seed, &dead, usize::MAX).without_errors());

        let child = Child::spawn(command("serve", &store, 2 * seed + 1));
        assert!(child.wait_for("served", 1, PATIENCE), "seed {seed}: {:?}", child.kill().lines);
        let before = child.heard();
        disk.cut_power(rng.chance(50));
        let dead = child.kill();
        let told = Told::of(2 * seed + 1, &dead, before).without_errors();
        assert!(told.seen() > 0, "seed {seed}: nothing was served");
        checker.heard(told);
        disk.restore_power();
        suite.fired(1);
        checker.look();
        suite.ran(1);
    }
    if checker.looks() > 0 {
        checker.look_closely();
    }
}

#[test]
fn what_recovery_serves_survives_a_power_cut() {
    let name = "power cuts after serving";
    if let Some(reason) = can_mount().err().or_else(|| tool_missing(&["mkfs.ext4", "mkfs.xfs", "xfs_io"])) {
        return skip(name, "6, 20", &reason);
    }
    let mut suite = Suite::begin(name, "6, 20");
    run(0..200, &mut suite);
    suite.finish();
}
