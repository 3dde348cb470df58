//! Faults: crashes, power cuts, failing and lying disks, damage, hostile neighbours. `docs/reliability.md` lists the
//! goals by number. Each suite runs a small part here, on every run of the tests, and any amount of it by
//! `make torture GOAL=n MINUTES=m`.

mod bad_device;
mod clocks;
mod flips;
mod full_disk;
mod golden;
mod hostile;
mod inject;
mod kill;
mod openers;
mod pieces;
mod planted;
mod power;
mod process;
mod readers;
mod rocksdb_weak_spots;
mod served;
mod support;
mod torture;

/// What can be tortured: the goal's number, the suite's name, and what runs it over a range of seeds.
const SUITES: &[(u32, &str, support::Run)] = &[
    (4, "kill -9 under load", kill::run),
    (5, "power cuts on ext4", power::ext4),
    (5, "power cuts on XFS", power::xfs),
    (6, "power cuts after serving", served::run),
    (8, "failing calls, preloaded", inject::run),
    (8, "failing calls, by strace", inject::syscalls::run),
    (8, "a failing device under ext4", bad_device::run),
    (10, "full disk of 8 MiB", full_disk::run),
    (12, "bit flips", flips::run),
    (13, "pieces", pieces::run),
    (16, "two openers", openers::run),
    (17, "readers during compaction", readers::run),
    (18, "clocks that jump", clocks::run),
];
