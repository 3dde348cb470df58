//! Faults: crashes, power cuts, failing and lying disks, damage, hostile neighbours. `docs/reliability.md` lists the
//! goals by number. Each suite runs a small part here, on every run of the tests, and any amount of it by
//! `make torture GOAL=n MINUTES=m`.

mod planted;
mod flips;
mod golden;
mod hostile;
mod pieces;
mod readers;
mod rocksdb_weak_spots;
mod support;
mod torture;

/// What can be tortured: the goal's number, the suite's name, and what runs it over a range of seeds.
const SUITES: &[(u32, &str, support::Run)] =
    &[(12, "bit flips", flips::run), (13, "pieces", pieces::run), (17, "readers during compaction", readers::run)];
