//! Goal 18: the clock of a real process goes back an hour or ten years, forward a century, or stands still, between its
//! lives and during them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Checker, Child, PATIENCE, Told, command};
use crate::support::{Rng, Suite, skip};

/// What libfaketime is told. A date without a sign stands still.
const CLOCKS: &[&str] = &["-1h", "-3650d", "+36500d", "2031-03-05 07:00:00", "2011-03-05 07:00:00", "+1h", "+0"];

fn library() -> Option<PathBuf> {
    let libs = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    libs.iter().map(|lib| Path::new(lib).join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

/// One life for each seed, of one store; during every second one the clock jumps once more.
pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    let library = library().expect("libfaketime");
    let dir = tempfile::Builder::new().prefix("tidelog-clocks-").tempdir_in("/dev/shm").expect("room in /dev/shm");
    let (store, clock) = (dir.path().join("store"), dir.path().join("clock"));
    let mut checker = Checker::new(&store);
    for seed in seeds {
        let mut rng = Rng::new(seed);
        let set = |to: &str| {
            let beside = dir.path().join("clock.new");
            std::fs::write(&beside, format!("{to}\n"))
                .and_then(|()| std::fs::rename(&beside, &clock))
                .expect("a clock");
        };
        let now = CLOCKS[seed as usize % CLOCKS.len()];
        set(now);
        let mut process = command("aged", &store, seed);
        process.env("LD_PRELOAD", &library).env("FAKETIME_TIMESTAMP_FILE", &clock);
        process.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let child = Child::spawn(process);
        assert!(child.wait_for("ack", rng.within(20, 60) as usize, PATIENCE), "seed {seed}: no acknowledgement");
        if rng.chance(50) {
            set(rng.pick(CLOCKS));
            let from = child.heard();
            assert!(child.wait_from(from, "ack", 60, PATIENCE), "seed {seed}: stuck after a jump");
            suite.fired(1);
        }
        std::thread::sleep(Duration::from_micros(rng.below(5_000)));
        let id = child.id();
        let dead = child.kill();
        // What libfaketime leaves of a process that was killed.
        for left in [format!("faketime_shm_{id}"), format!("sem.faketime_sem_{id}")] {
            let _ = std::fs::remove_file(Path::new("/dev/shm").join(left));
        }
        suite.fired(u64::from(is_off(&dead.lines, now)));
        // Nothing is a month old: that all of it is there is what the looks find.
        checker.heard(Told::of(seed, &dead, usize::MAX).without_errors());
        checker.look();
        suite.ran(1);
    }
    checker.look_closely();
}

/// Whether the process saw another time than this one.
fn is_off(lines: &[String], set: &str) -> bool {
    let said = lines.iter().find_map(|line| line.strip_prefix("clock ")).expect("it says the time");
    let said: u128 = said.parse().expect("milliseconds");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let off = said.abs_diff(now) > 1_800_000;
    assert_eq!(off, set != "+0", "the clock was set to {set}, and {said} is the time where {now} is");
    off
}

#[test]
fn clocks_that_jump_or_stand_still_do_no_harm() {
    let name = "clocks that jump";
    if library().is_none() {
        return skip(name, "18, 20", "there is no libfaketime (scripts/setup-tests installs it)");
    }
    let mut suite = Suite::begin(name, "18, 20");
    run(0..42, &mut suite);
    suite.finish();
}
