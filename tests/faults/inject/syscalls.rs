//! The same by strace, which sees the system calls that go past the C library. It counts the calls of each thread for
//! itself.

use std::ops::Range;
use std::process::Command;

use crate::process::{Child, command_under, limited, tool_missing};
use crate::support::{Suite, skip};

const CALLS: &[&str] = &["fallocate", "fdatasync", "fsync", "pwrite64", "rename", "pread64"];
const ERRORS: &[&str] = &["EIO", "ENOSPC", "EINTR"];

/// One fault for each seed.
pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    let root = tempfile::Builder::new().prefix("tidelog-strace-").tempdir_in("/dev/shm").expect("room in /dev/shm");
    for seed in seeds {
        let (call, turn) = (CALLS[seed as usize % CALLS.len()], seed / CALLS.len() as u64);
        let (error, turn) = (ERRORS[turn as usize % ERRORS.len()], turn / ERRORS.len() as u64);
        let nth = 1 + (turn / 2 * 3 + seed) % 12;
        let when = if turn % 2 == 0 { format!("{nth}") } else { format!("{nth}+") };
        // An interrupted call is made again: for ever would be for ever.
        let when = if error == "EINTR" { format!("{nth}..{}", nth + 3) } else { when };
        let (dir, trace) = (root.path().join(format!("store-{seed}")), root.path().join("trace"));
        let what = format!("seed {seed}: {call} {when} fails with {error}");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "--seccomp-bpf", "-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={call}:error={error}:when={when}"), "-o"]).arg(&trace);
        let end = Child::spawn(limited(command_under(strace, "load", &dir, seed), super::COMMITS)).finish(&what);
        let traced = std::fs::read_to_string(&trace).expect("a trace");
        suite.fired(traced.matches("(INJECTED)").count() as u64);
        super::check(&what, &end, &dir, seed);
        suite.ran(1);
        let _ = std::fs::remove_dir_all(&dir);
    }
}

#[test]
fn failing_system_calls_cost_nothing_acknowledged() {
    let name = "failing calls, by strace";
    if let Some(reason) = tool_missing(&["strace"]) {
        return skip(name, "8, 11", &reason);
    }
    let mut suite = Suite::begin(name, "8, 11");
    run(0..48, &mut suite);
    suite.finish();
}
