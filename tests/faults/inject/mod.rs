//! Goal 8 at the level of a process, RocksDB included: the n-th write, read, sync, rename, resize, unlink or open of the
//! store's files fails, once or from then on. Never a panic, never a wrong acknowledgement; what is opened afterwards
//! holds every acknowledged commit and nothing that was refused.

pub mod syscalls;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Checker, Child, End, Told, command, limited};
use crate::support::{Suite, skip};

/// Commits of each writer: enough for seals, rolls and a compaction.
const COMMITS: u64 = 12;

/// What fails, with what. 0 stands for a short call.
const CLASSES: &[(&str, &[i32])] = &[
    ("write", &[EIO, ENOSPC, EINTR, 0]),
    ("sync", &[EIO, ENOSPC, EINTR]),
    ("read", &[EIO, EINTR, 0]),
    ("rename", &[EIO, ENOSPC]),
    ("size", &[EIO, ENOSPC, EINTR]),
    ("unlink", &[EIO]),
    ("open", &[EIO, ENOSPC]),
];
const EINTR: i32 = 4;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Compiles the shim, and returns where it is.
fn shim() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/inject/shim.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shim.so");
    let beside = library.with_extension(format!("{}.so", std::process::id()));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-D_LARGEFILE64_SOURCE", "-o"]).arg(&beside).arg(source).arg("-ldl");
    let output = cc.output().map_err(|error| format!("there is no cc: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the shim does not compile: {said}");
    std::fs::rename(&beside, &library).expect("a place for the shim");
    Ok(library)
}

struct Fault {
    class: &'static str,
    errno: i32,
    nth: u64,
    sticky: bool,
}

/// One run with this fault: how many calls of its class there were, and how often it struck.
fn run_with(what: &str, shim: &Path, fault: &Fault, dir: &Path, life: u64) -> (End, u64, u64) {
    let mut process = limited(command("load", dir, life), COMMITS);
    process.env("LD_PRELOAD", shim).env("SHIM_DIR", dir).env("SHIM_CLASS", fault.class);
    process.env("SHIM_NTH", fault.nth.to_string()).env("SHIM_ERRNO", fault.errno.to_string());
    if fault.sticky {
        process.env("SHIM_STICKY", "1");
    }
    let end = Child::spawn(process).finish(what);
    let said = end.complaints.lines().find_map(|line| line.strip_prefix("shim: "));
    let said = said.unwrap_or_else(|| panic!("it ended otherwise ({}):\n{}", end.status, end.complaints));
    let mut numbers = said.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    let mut next = || numbers.next().expect("a number");
    let (calls, struck) = (next(), next());
    (end, calls, struck)
}

/// What must hold after any fault: the process ended by itself, and the store opens and holds what it must.
fn check(what: &str, end: &End, dir: &Path, life: u64) {
    assert!(end.status.success(), "{what}: {}\n{}", end.status, end.complaints);
    let mut checker = Checker::new(dir);
    checker.heard(Told::of(life, end, usize::MAX));
    checker.look();
    checker.look_closely();
}

/// One fault for each seed. Even ones begin with a new store, odd ones with one that is recovered.
pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    let shim = shim().expect("a shim");
    let root = tempfile::Builder::new().prefix("tidelog-inject-").tempdir_in("/dev/shm").expect("room in /dev/shm");
    let counts: Vec<u64> = CLASSES
        .iter()
        .map(|(class, _)| {
            let dir = root.path().join(format!("count-{class}"));
            let (end, calls, _) = run_with(class, &shim, &Fault { class, errno: EIO, nth: 0, sticky: false }, &dir, 0);
            check(class, &end, &dir, 0);
            assert!(calls > 0, "no call of class {class}");
            calls
        })
        .collect();
    for seed in seeds {
        let (at, turn) = (seed as usize % CLASSES.len(), seed / CLASSES.len() as u64);
        let (class, errors) = CLASSES[at];
        let errno = errors[turn as usize % errors.len()];
        let turn = turn / errors.len() as u64;
        // Spread over the run, and every one in the end: the step has no divisor in common with most counts.
        let fault = Fault { class, errno, nth: 1 + (turn / 2 * 37 + seed) % counts[at], sticky: turn % 2 == 1 };
        let what = format!(
            "seed {seed}: {class} {} of {} fails with {errno}{}",
            fault.nth,
            counts[at],
            if fault.sticky { " for ever" } else { "" }
        );
        let dir = root.path().join(format!("store-{seed}"));
        let (end, _, struck) = run_with(&what, &shim, &fault, &dir, seed);
        check(&what, &end, &dir, seed);
        suite.fired(struck);
        suite.ran(1);
        let _ = std::fs::remove_dir_all(&dir);
    }
}

#[test]
fn failing_calls_cost_nothing_acknowledged() {
    let name = "failing calls, preloaded";
    if let Err(reason) = shim() {
        return skip(name, "8, 11", &reason);
    }
    let mut suite = Suite::begin(name, "8, 11");
    run(0..84, &mut suite);
    suite.finish();
}
