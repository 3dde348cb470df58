//! A bit flipped in every byte of every file of a small store, RocksDB's own included: either the damage is refused by
//! name, or everything that the store says is what it was. `verify` finds whatever any read would refuse, and writes
//! nothing.
//!
//! A seed names one flip. Seeds go through the live bytes first, in an order that is spread over all files; then
//! through those that nothing is meant to read: the log's space behind its frames, and RocksDB's notes of its options.
//! As many seeds in a row as [`Flips::count`] says are every bit of every byte, once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::support::{Change, End, Noticed, Sample, Suite, assert_untouched, first_of, memory_dir, share, suffer};

/// Flips with every run of the tests, of live bytes and of others.
const LIVE: u64 = 18_000;
const IDLE: u64 = 2_000;

/// The samples, and their bytes as stretches of files.
struct Flips {
    samples: [Sample; 2],
    live: Vec<Stretch>,
    idle: Vec<Stretch>,
}

/// Bytes of one file of one sample.
struct Stretch {
    sample: usize,
    file: usize,
    bytes: Range<u64>,
}

/// One bit.
struct Flip<'a> {
    sample: &'a Sample,
    file: &'a Path,
    at: u64,
    bit: u64,
}

impl Flips {
    fn of(samples: [Sample; 2]) -> Flips {
        let mut flips = Flips { samples, live: Vec::new(), idle: Vec::new() };
        for (sample, of) in flips.samples.iter().enumerate() {
            for (file, (path, content)) in of.files.iter().enumerate() {
                let all = content.len() as u64;
                let read = match kind(path) {
                    "OPTIONS" => 0,
                    "log" => content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1),
                    _ => all,
                };
                flips.live.push(Stretch { sample, file, bytes: 0..read });
                flips.idle.push(Stretch { sample, file, bytes: read..all });
            }
        }
        flips
    }

    fn live_count(&self) -> u64 {
        bits(&self.live)
    }

    /// Every bit there is.
    fn count(&self) -> u64 {
        bits(&self.live) + bits(&self.idle)
    }

    fn flip(&self, seed: u64) -> Flip<'_> {
        // The long runs' seeds begin far above those of every run of the tests.
        let at = (seed & 0xffff_ffff) % self.count();
        let (stretches, at) = match at.checked_sub(self.live_count()) {
            None => (&self.live, at),
            Some(at) => (&self.idle, at),
        };
        let mut at = spread(at, bits(stretches));
        for stretch in stretches {
            let here = 8 * (stretch.bytes.end - stretch.bytes.start);
            if at < here {
                let sample = &self.samples[stretch.sample];
                let file = &sample.files[stretch.file].0;
                return Flip { sample, file, at: stretch.bytes.start + at / 8, bit: at % 8 };
            }
            at -= here;
        }
        unreachable!("a place within all stretches lies in one of them")
    }
}

fn bits(stretches: &[Stretch]) -> u64 {
    stretches.iter().map(|stretch| 8 * (stretch.bytes.end - stretch.bytes.start)).sum()
}

/// The same numbers below `count` in another order, in which any few in a row are spread evenly.
fn spread(at: u64, count: u64) -> u64 {
    let coprime = |step: &u64| gcd(*step, count) == 1;
    let golden = (count as f64 * 0.618) as u64;
    let step = (golden.max(1)..).find(coprime).expect("the successor of a multiple is coprime to it");
    (u128::from(at) * u128::from(step) % u128::from(count)) as u64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Flip<'_> {
    fn damage(&self) -> Vec<(PathBuf, Change)> {
        let mut bytes = self.sample.file(&self.file.to_string_lossy()).to_vec();
        bytes[self.at as usize] ^= 1 << self.bit;
        vec![(self.file.to_path_buf(), Change::Content(bytes))]
    }

    fn name(&self) -> String {
        format!("{:?} store: bit {} of byte {} of {}", self.sample.end, self.bit, self.at, self.file.display())
    }
}

/// What a file is for, by its name.
fn kind(path: &Path) -> &'static str {
    let name = path.file_name().expect("a name").to_string_lossy();
    let kinds = ["MANIFEST", "OPTIONS", "CURRENT", "IDENTITY", "ledger", "torn", "spare"];
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("sst") => "sst",
        Some("blob") => "blob",
        Some("log") if path.starts_with("log") => "log",
        _ => kinds.into_iter().find(|kind| name.starts_with(kind)).unwrap_or("other"),
    }
}

fn flips() -> &'static Flips {
    static FLIPS: LazyLock<Flips> = LazyLock::new(|| Flips::of([Sample::make(End::Closed), Sample::make(End::Killed)]));
    &FLIPS
}

/// How flips in files of one kind were noticed; and how many of those had the file, and the offset, named.
#[derive(Default)]
struct Tally {
    noticed: BTreeMap<Noticed, u64>,
    file_named: u64,
    offset_named: u64,
}

pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    let flips = flips();
    let scratch = memory_dir();
    let (tally, failed) = (Mutex::new(BTreeMap::<&str, Tally>::new()), Mutex::new(Vec::new()));
    let name = |seed| flips.flip(seed).name();
    let tries = seeds.end - seeds.start;
    share(&seeds.collect::<Vec<_>>(), &name, &|seed| {
        let flip = flips.flip(seed);
        let dir = scratch.path().join(seed.to_string());
        match suffer(flip.sample, &flip.damage(), &dir) {
            Ok(outcome) => {
                let mut tally = tally.lock();
                let row = tally.entry(kind(flip.file)).or_default();
                *row.noticed.entry(outcome.noticed).or_default() += 1;
                row.file_named += u64::from(outcome.file_named);
                row.offset_named += u64::from(outcome.offset_named);
            }
            Err(why) => {
                let kept = kept(&dir, seed);
                failed.lock().push(format!("seed {seed}, {}: {why}; it is kept in {}", flip.name(), kept.display()));
            }
        }
    });
    flips.samples.iter().for_each(assert_untouched);
    for (kind, row) in tally.into_inner() {
        let Tally { noticed, file_named, offset_named } = row;
        println!("{kind:9} {noticed:?}, file named {file_named}, offset named {offset_named}");
        suite.fired(noticed.iter().filter(|(how, _)| **how != Noticed::Harmless).map(|(_, count)| count).sum());
    }
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "{} of {tries} flips broke a promise:\n{}", failed.len(), first_of(&failed));
    suite.ran(tries);
}

/// Keeps the damaged copy of a failure.
fn kept(dir: &Path, seed: u64) -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("failed-flip-{seed}"));
    let _ = std::fs::remove_dir_all(&kept);
    crate::support::write(&crate::support::files(dir), &kept);
    kept
}

#[test]
fn a_flipped_bit_is_refused_by_name_or_changes_nothing() {
    let mut suite = Suite::begin("bit flips", "12, 15");
    let live = flips().live_count();
    println!("{} bits in all, {live} of them of live bytes", flips().count());
    let n = std::env::var("TIDELOG_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(LIVE);
    run(0..n, &mut suite);
    run(live..live + IDLE.min(n), &mut suite);
    suite.finish();
}
