//! Goal 5: power cuts of real file systems under load.

use std::ops::Range;

use crate::process::{Checker, Child, Disk, Kind, Told, can_mount, clean_leftovers, tool_missing};
use crate::support::{Rng, Suite, skip};

/// A close look after so many cuts.
const CLOSELY: u64 = 10;

pub fn ext4(seeds: Range<u64>, suite: &mut Suite) {
    run(Kind::Ext4, seeds, suite);
}

pub fn xfs(seeds: Range<u64>, suite: &mut Suite) {
    run(Kind::Xfs, seeds, suite);
}

/// One cut for each seed, all of one file system with one store. Only what was heard before the cut counts.
fn run(kind: Kind, seeds: Range<u64>, suite: &mut Suite) {
    clean_leftovers();
    let mut disk = Disk::new(kind);
    let store = disk.dir().join("store");
    let mut checker = Checker::new(&store);
    let end = seeds.end;
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let child = Child::under_load(&store, seed, &mut rng, 80_000);
        let before = child.heard();
        disk.cut_power(rng.chance(50));
        let dead = child.kill();
        checker.heard(Told::of(seed, &dead, before).without_errors());
        disk.restore_power();
        suite.fired(1);
        checker.look_now_and_then(seed, &mut rng, CLOSELY, seed + 1 == end);
        suite.ran(1);
    }
    println!("power {kind:?}: {} looks, {} keys of which no two are the same", checker.looks(), checker.keys());
}

fn cuts(kind: Kind, name: &'static str, tools: &[&str]) {
    if let Some(reason) = can_mount().err().or_else(|| tool_missing(tools)) {
        return skip(name, "5, 20", &reason);
    }
    let mut suite = Suite::begin(name, "5, 20");
    run(kind, 0..50, &mut suite);
    suite.finish();
}

#[test]
fn power_cuts_of_ext4_lose_nothing_acknowledged() {
    cuts(Kind::Ext4, "power cuts on ext4", &["mkfs.ext4", "xfs_io"]);
}

#[test]
fn power_cuts_of_xfs_lose_nothing_acknowledged() {
    cuts(Kind::Xfs, "power cuts on XFS", &["mkfs.xfs", "xfs_io"]);
}
