//! Goal 2: what was not synced dropped, kept, torn, reordered, filled with zeros or garbage, lengths and names by
//! themselves, at a random place of random workloads.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tidelog::testing::sim::{CrashAt, Random, SimDisk};

use crate::sim::{Past, Run, guarded, machine, over_seeds, random_steps, recover};
use crate::support::Suite;

/// Images of each crash.
const IMAGES: u64 = 10;
/// The same where RocksDB itself lies beside.
const ROCKSDB_IMAGES: u64 = 4;

/// A workload that crashed somewhere. The engine may still be open.
pub fn crashed(mut run: Run, seed: u64) -> Run {
    let mut random = Random::new(seed ^ 0xc4a5);
    let count = 3 + random.below(30) as usize;
    let steps = random_steps(&mut random, count);
    let change = random.below(20 + 9 * count as u64);
    run.disk.crash_at(CrashAt { change, within: random.chance(50) });
    run.play(&steps);
    run
}

fn images(seed: u64) -> (u64, u64) {
    let run = crashed(Run::new(seed, machine()), seed);
    for image in 0..IMAGES {
        let disk = run.disk.crash(seed << 8 | image);
        let what = || format!("seed {seed}, image {image}: {:#?}", run.story);
        guarded(what, &[&run.disk, &disk], || recover(&run.dir, &disk, seed, &mut run.past.clone()));
    }
    (IMAGES, IMAGES)
}

pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, images);
}

/// What RocksDB wrote is as durable as it says: only log and ledger lie on the simulated disk.
fn rocksdb_images(seed: u64) -> (u64, u64) {
    let root = scratch();
    let dir = root.path().join("store");
    let disk = SimDisk::beside_rocksdb();
    disk.make_dir(root.path());
    let mut run = crashed(Run::on(seed, disk, dir.clone(), Past::default()), seed);
    // The process is gone before RocksDB could flush anything.
    let after = run.disk.kill();
    run.engine = None;
    run.past.copies.clear();
    let left = root.path().join("left");
    if dir.exists() {
        std::fs::rename(&dir, &left).expect("a directory to itself");
    } else {
        std::fs::create_dir(&left).expect("a directory");
    }
    for image in 0..ROCKSDB_IMAGES {
        copy(&left, &dir);
        let disk = after.crash(seed << 8 | image);
        let what = || format!("seed {seed}, image {image}: {:#?}", run.story);
        guarded(what, &[&run.disk, &disk], || recover(&dir, &disk, seed, &mut run.past.clone()));
        std::fs::remove_dir_all(&dir).expect("a directory to itself");
    }
    (ROCKSDB_IMAGES, ROCKSDB_IMAGES)
}

fn scratch() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let made = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

/// Files that RocksDB never writes to again are linked.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a new directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let path: PathBuf = entry.expect("an entry").path();
        let dest = to.join(path.file_name().expect("a name"));
        let is_table = path.extension().is_some_and(|extension| extension == "sst" || extension == "blob");
        match (path.is_dir(), is_table) {
            (true, _) => copy(&path, &dest),
            (false, true) => std::fs::hard_link(&path, &dest).expect("a link"),
            (false, false) => drop(std::fs::copy(&path, &dest).expect("a copy")),
        }
    }
}

pub fn run_rocksdb(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, rocksdb_images);
}

#[test]
fn images_of_random_crashes() {
    let mut suite = Suite::begin("crash images", "2, 20");
    run(0..1800, &mut suite);
    suite.finish();
}

#[test]
fn images_of_random_crashes_with_rocksdb() {
    let mut suite = Suite::begin("crash images with RocksDB", "2, 20");
    run_rocksdb(0..500, &mut suite);
    suite.finish();
}
