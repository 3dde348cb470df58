//! Faults: crashes, power cuts, failing and lying disks, damage, hostile neighbours. `docs/reliability.md` lists the
//! goals by number. Each suite runs a small part here, on every run of the tests, and any amount of it by
//! `make torture GOAL=n MINUTES=m`.

mod chains;
mod crash;
mod identity;
mod images;
mod io_errors;
mod served_is_durable;
mod sim;
mod support;
mod sync_fails;
mod torn_or_rotten;
mod torture;

/// What can be tortured: the goal's number, the suite's name, and what runs it over a range of seeds.
const SUITES: &[(u32, &str, support::Run)] = &[
    (1, "crash at every operation", crash::run),
    (2, "crash images", images::run),
    (2, "crash images with RocksDB", images::run_rocksdb),
    (3, "crashes during recovery", chains::run),
    (6, "served is durable, simulated", served_is_durable::run),
    (7, "each sync fails", sync_fails::run),
    (8, "every n-th operation fails", io_errors::run),
    (9, "torn or rotten", torn_or_rotten::run),
    (20, "one store, many crashes", identity::run_lives),
    (21, "lying syncs", identity::run_lying),
    (22, "restored backups", identity::run_restored),
];
