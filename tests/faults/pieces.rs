//! Pieces of a store that are cut, gone, emptied, zeroed, swapped or put back from an earlier day: refused by name, or
//! made up for from the rest; never wrong, older or silently empty.
//!
//! Two things cannot be told, and are not tried: an older copy of the whole directory, and, in a store that was not
//! closed, an older copy of the log's last segment alone, which is what it would be had the newest commits never been
//! written (docs/format.md, "What recovery concludes").

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::support::{
    Change, Damage, End, Noticed, Sample, Suite, assert_untouched, first_of, memory_dir, share, suffer,
};

const BLOCK: usize = 4 << 10;
/// Files up to this length are cut to every length.
const SMALL: usize = 2 << 10;
/// Lengths to which a larger file is cut, beside those at its ends, with every run of the tests.
const CUTS: usize = 60;

type Case = (usize, String, Damage);

/// The samples and everything that is done to them. The cuts of large files come last, every one of them.
struct Cases {
    samples: [Sample; 2],
    cases: Vec<Case>,
    cuts: Vec<(usize, usize, usize)>,
}

fn cases() -> &'static Cases {
    static CASES: LazyLock<Cases> = LazyLock::new(|| {
        let samples = [Sample::make(End::Closed), Sample::make(End::Killed)];
        let (mut cases, mut cuts) = (Vec::new(), Vec::new());
        for (at, sample) in samples.iter().enumerate() {
            let mut add = |what: String, damage: Damage| cases.push((at, what, damage));
            for (file, (path, bytes)) in sample.files.iter().enumerate() {
                alone(path, bytes, &mut add);
                let (small, large) = (0..bytes.len().min(SMALL), SMALL..bytes.len());
                small.for_each(|len| add(format!("cut to {len}"), cut(path, bytes, len)));
                cuts.extend(large.map(|len| (at, file, len)));
            }
            swapped(&sample.files, &mut add);
            older(sample, &mut add);
        }
        Cases { samples, cases, cuts }
    });
    &CASES
}

fn cut(path: &Path, bytes: &[u8], len: usize) -> Damage {
    vec![(path.to_path_buf(), Change::Content(bytes[..len].to_vec()))]
}

/// What can happen to one file by itself.
fn alone(path: &Path, bytes: &[u8], add: &mut dyn FnMut(String, Damage)) {
    add("gone".to_owned(), vec![(path.to_path_buf(), Change::Gone)]);
    for at in (0..bytes.len()).step_by(BLOCK) {
        let mut zeroed = bytes.to_vec();
        let end = zeroed.len().min(at + BLOCK);
        zeroed[at..end].fill(0);
        add(format!("a block of zeros at {at}"), vec![(path.to_path_buf(), Change::Content(zeroed))]);
    }
}

/// Each two of a kind in each other's place.
fn swapped(files: &[(PathBuf, Vec<u8>)], add: &mut dyn FnMut(String, Damage)) {
    for (n, (one, first)) in files.iter().enumerate() {
        for (other, second) in files[n + 1..].iter().filter(|(other, _)| other.extension() == one.extension()) {
            let damage =
                vec![(one.clone(), Change::Content(second.clone())), (other.clone(), Change::Content(first.clone()))];
            add(format!("{} in its place, and the other way round", other.display()), damage);
        }
    }
}

/// Files of an earlier day, one by one and by folder.
fn older(sample: &Sample, add: &mut dyn FnMut(String, Damage)) {
    let now: BTreeMap<_, _> = sample.files.iter().map(|(path, bytes)| (path, bytes)).collect();
    let last = sample.segment();
    let told_apart = |path: &Path| sample.end == End::Closed || path != last;
    for (path, was) in &sample.older {
        let other = now.get(path).is_some_and(|is| *is != was);
        if other && told_apart(path) {
            add("of an earlier day".to_owned(), vec![(path.clone(), Change::Content(was.clone()))]);
        }
    }
    for folder in ["db", "log"] {
        let gone = sample.files.iter().filter(|(path, _)| path.starts_with(folder));
        let mut damage: BTreeMap<PathBuf, Change> = gone.map(|(path, _)| (path.clone(), Change::Gone)).collect();
        add(format!("all of {folder} gone"), damage.clone().into_iter().collect());
        let was = sample.older.iter().filter(|(path, _)| path.starts_with(folder));
        damage.extend(was.map(|(path, bytes)| (path.clone(), Change::Content(bytes.clone()))));
        if folder == "db" || sample.end == End::Closed {
            add(format!("all of {folder} of an earlier day"), damage.into_iter().collect());
        }
    }
}

pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    play(&seeds.collect::<Vec<_>>(), suite);
}

fn play(seeds: &[u64], suite: &mut Suite) {
    let all = cases();
    let scratch = memory_dir();
    let (noticed, failed) = (Mutex::new(BTreeMap::<Noticed, u64>::new()), Mutex::new(Vec::new()));
    let of = |seed: u64| {
        let count = (all.cases.len() + all.cuts.len()) as u64;
        let at = ((seed & 0xffff_ffff) % count) as usize;
        all.cases.get(at).cloned().unwrap_or_else(|| {
            let (sample, file, len) = all.cuts[at - all.cases.len()];
            let (path, bytes) = &all.samples[sample].files[file];
            (sample, format!("cut to {len}"), cut(path, bytes, len))
        })
    };
    let name = |seed| {
        let (sample, what, damage) = of(seed);
        let files: Vec<_> = damage.iter().map(|(path, _)| path.display().to_string()).collect();
        format!("seed {seed}, {:?} store: {what}: {}", all.samples[sample].end, files.join(", "))
    };
    let tries = seeds.len() as u64;
    share(seeds, &name, &|seed| {
        let (sample, _, damage) = of(seed);
        let dir = scratch.path().join(seed.to_string());
        match suffer(&all.samples[sample], &damage, &dir) {
            Ok(outcome) => *noticed.lock().entry(outcome.noticed).or_default() += 1,
            Err(why) => failed.lock().push(format!("{}: {why}", name(seed))),
        }
    });
    all.samples.iter().for_each(assert_untouched);
    let noticed = noticed.into_inner();
    println!("{noticed:?}");
    suite.fired(noticed.iter().filter(|(how, _)| **how != Noticed::Harmless).map(|(_, count)| count).sum());
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "{} of {tries} broke a promise:\n{}", failed.len(), first_of(&failed));
    suite.ran(tries);
}

#[test]
fn a_piece_that_is_missing_or_another_is_refused_by_name_or_made_up_for() {
    let mut suite = Suite::begin("pieces", "13");
    let (whole, cuts) = (cases().cases.len(), cases().cuts.len());
    println!("{whole} cases and {cuts} cuts of larger files");
    // Of the cuts to every length of small files, some; everything else.
    let (small, rest): (Vec<u64>, Vec<u64>) =
        (0..whole as u64).partition(|at| cases().cases[*at as usize].1.starts_with("cut to"));
    let some = small.iter().step_by((small.len() / 600).max(1));
    let large = (0..cuts).step_by((cuts / (2 * CUTS)).max(1)).map(|at| (whole + at) as u64);
    play(&rest.into_iter().chain(some.copied()).chain(large).collect::<Vec<_>>(), &mut suite);
    suite.finish();
}
