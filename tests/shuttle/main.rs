//! Group commit under schedules that [shuttle] chooses: every lock and every wait is a place where another thread may go
//! on instead.
//!
//! The engine's own source files are compiled into this program a second time, with shuttle's locks under the name of
//! `parking_lot`. So what is tested is what ships, and nothing of it is there for the sake of this test. Atomics stay the
//! standard ones: no thread is interrupted at them.
//!
//! Without the usual harness, because under it those files would bring their own tests along.

#![allow(dead_code, unused_imports, missing_debug_implementations)]
// What is part of an interface there is none here.
#![allow(clippy::wrong_self_convention)]

extern crate self as parking_lot;

mod disk;
mod locks;
mod scenarios;
mod stage;
mod support;
#[path = "../faults/torture.rs"]
mod torture;

pub use locks::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// All of the crate but its front.
#[path = "../../src"]
mod tidelog_sources {
    pub mod chunk;
    pub mod clock;
    pub mod codec;
    pub mod compact;
    pub mod cursor;
    pub mod error;
    pub mod frame;
    #[cfg(test)]
    pub mod golden;
    pub mod limits;
    pub mod log;
    pub mod meta;
    pub mod options;
    pub mod planted;
    pub mod seal;
    pub mod store;
    pub mod tail;
    pub mod types;
    pub mod vfs;
    pub mod window;

    pub mod engine {
        pub mod check;
        pub mod commit;
        pub mod compaction;
        pub mod core;
        pub mod counters;
        pub mod maintain;
        pub mod names;
        pub mod open;
        pub mod pin;
        pub mod prepare;
        pub mod request;
        pub mod tails;
        pub mod time;
        pub mod watch;
    }

    pub mod testing {
        pub mod sim;
    }
}
use tidelog_sources::*;

/// What is run: the goal, the name, and what runs it over a range of seeds.
const SUITES: &[(u32, &str, support::Run)] = &[
    (7, "schedules of failing syncs", scenarios::failing_syncs),
    (7, "schedules of a dying leader", scenarios::dying_leader),
    (7, "schedules of a close", scenarios::closing),
    (7, "schedules of seals", scenarios::seals),
    (7, "schedules of receipts", scenarios::receipts),
    (25, "schedules that find planted bugs", scenarios::find_planted_bugs),
];

/// Whether a goal that has no suite here has one in the other program: that one is run first, and knows.
fn runs_elsewhere(_: u32) -> bool {
    true
}

/// Enough for every run of the tests; `make torture GOAL=7` goes on from there.
const SEEDS: u64 = 64;

/// What cargo and nextest expect of a test program, as far as they use it.
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| args.iter().any(|arg| arg == wanted);
    if has("torture::torture") {
        return torture::run();
    }
    let name = |(_, name, _): &(u32, &'static str, support::Run)| name.replace(' ', "_");
    if has("--list") {
        let listed = SUITES.iter().filter(|_| !has("--ignored"));
        return listed.for_each(|suite| println!("{}: test", name(suite)));
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    for suite in SUITES {
        if filters.is_empty() || filters.iter().any(|filter| name(suite).contains(filter.as_str())) {
            let goals = if suite.0 == 25 { "25" } else { "7" };
            let mut counts = support::Suite::begin(suite.1, goals);
            suite.2(0..SEEDS, &mut counts);
            counts.finish();
        }
    }
}
