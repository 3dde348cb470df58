//! Faults: crashes, power cuts, failing and lying disks, damage, hostile neighbours. `docs/reliability.md` lists the
//! goals by number. Each suite runs a small part here, on every run of the tests, and any amount of it by
//! `make torture GOAL=n MINUTES=m`.

mod kill;
mod power;
mod process;
mod support;
mod torture;

/// What can be tortured: the goal's number, the suite's name, and what runs it over a range of seeds.
const SUITES: &[(u32, &str, support::Run)] =
    &[(4, "kill -9 under load", kill::run), (5, "power cuts on ext4", power::ext4), (5, "power cuts on XFS", power::xfs)];
