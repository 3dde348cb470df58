//! Faults: crashes, power cuts, failing and lying disks, damage, hostile neighbours. `docs/reliability.md` lists the
//! goals by number. Each suite runs a small part here, on every run of the tests, and any amount of it by
//! `make torture GOAL=n MINUTES=m`.

mod bad_device;
mod chains;
mod clocks;
mod crash;
mod flips;
mod full_disk;
mod golden;
mod hostile;
mod identity;
mod images;
mod inject;
mod io_errors;
mod kill;
mod openers;
mod pieces;
mod planted;
mod power;
mod process;
mod readers;
mod rocksdb_weak_spots;
mod served;
mod served_is_durable;
mod sim;
mod support;
mod sync_fails;
mod torn_or_rotten;
mod torture;

/// Whether a goal that has no suite here has one in the other program, `tests/shuttle`.
fn runs_elsewhere(goal: u32) -> bool {
    goal == 25
}

/// What can be tortured: the goal's number, the suite's name, and what runs it over a range of seeds.
const SUITES: &[(u32, &str, support::Run)] = &[
    (1, "crash at every operation", crash::run),
    (2, "crash images", images::run),
    (2, "crash images with RocksDB", images::run_rocksdb),
    (3, "crashes during recovery", chains::run),
    (4, "kill -9 under load", kill::run),
    (5, "power cuts on ext4", power::ext4),
    (5, "power cuts on XFS", power::xfs),
    (6, "power cuts after serving", served::run),
    (6, "served is durable, simulated", served_is_durable::run),
    (7, "each sync fails", sync_fails::run),
    (8, "failing calls, preloaded", inject::run),
    (8, "failing calls, by strace", inject::syscalls::run),
    (8, "a failing device under ext4", bad_device::run),
    (8, "every n-th operation fails", io_errors::run),
    (9, "torn or rotten", torn_or_rotten::run),
    (10, "full disk of 8 MiB", full_disk::run),
    (12, "bit flips", flips::run),
    (13, "pieces", pieces::run),
    (16, "two openers", openers::run),
    (17, "readers during compaction", readers::run),
    (18, "clocks that jump", clocks::run),
    (20, "one store, many crashes", identity::run_lives),
    (21, "lying syncs", identity::run_lying),
    (22, "restored backups", identity::run_restored),
];
