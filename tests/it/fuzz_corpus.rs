//! The fuzz targets on a stable compiler: the committed corpus, then mutations of it that are the same every time.
//!
//! `TIDELOG_FUZZ_INPUTS` says how many mutations each target sees, `TIDELOG_SEED` where they begin. An input that
//! fails is printed; put it into `fuzz/corpus/TARGET/` under any name, and it is played again for ever. With
//! `TIDELOG_GOLDEN=write`, seeds that are missing there are written.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tidelog::testing;

use crate::support::Rng;

type Target = (&'static str, fn(&[u8]) -> bool, usize);

/// Name, body, and how many mutations it sees by default.
const TARGETS: [Target; 6] = [
    ("frame", testing::frame, 20_000),
    ("segment", testing::segment, 6_000),
    ("chunk", testing::chunk, 20_000),
    ("cursor", testing::cursor, 20_000),
    ("ledger", testing::ledger, 6_000),
    ("operations", testing::operations, 200),
];

/// Values at which something changes.
const EDGES: [u64; 12] =
    [0, 1, 7, 0x7f, 0x80, 0xff, 1 << 20, u32::MAX as u64 >> 1, u32::MAX as u64, u64::MAX >> 1, u64::MAX - 1, u64::MAX];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(root("tests/golden").join(name)).expect("a golden file")
}

/// Where the search begins, as (target, name, bytes).
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let frames = testing::sample_segment();
    let slot = golden("ledger-slot.bin");
    let used = slot.iter().rposition(|byte| *byte != 0).expect("a slot says something") + 1;
    let slot = &slot[..used];
    let len = (used as u16).to_le_bytes();
    let with = |head: &[u8], rest: &[u8]| [head, rest].concat();
    vec![
        ("frame", "whole", with(&golden("frame-header.bin"), &golden("frame-body.bin"))),
        ("frame", "body", golden("frame-body.bin")),
        ("chunk", "chunk", golden("chunk.bin")),
        ("chunk", "smallest", golden("chunk-smallest.bin")),
        ("chunk", "counts", golden("chunk-meta.bin")),
        ("cursor", "middle", golden("cursor-exact-middle.bin")),
        ("cursor", "highest", golden("cursor-exact-highest.bin")),
        ("cursor", "since-time", golden("cursor-since-time.bin")),
        ("cursor", "key", b"1234567".to_vec()),
        ("cursor", "text", b"cAQXvzauJZ0UjAQfoB4QHiJsEkE4B3tAMzQ".to_vec()),
        ("ledger", "first", with(&[1, len[0], len[1]], slot)),
        ("ledger", "second", with(&[1, 0, 0], slot)),
        ("ledger", "both", [&[1, len[0], len[1]], slot, slot].concat()),
        ("segment", "as-it-is", with(&[0, 0, 0], &frames)),
        ("segment", "checksums", with(&[0b11_1100, 0, 0], &frames)),
        ("segment", "chain-kept", with(&[0b00_1100, 0, 4], &frames)),
        ("segment", "flips", vec![0b10, 8, 0, 0x80, 0, 3, 1, 2, 3, 0, 2, 5, 1, 1, 1, 1, 1]),
        ("segment", "flips-behind-checksums", vec![0b11_1110, 17, 7, 0x90, 0, 3, 1, 2, 3, 0x40, 1, 5, 1, 0, 0, 1, 1]),
        ("segment", "cut", vec![0b11, 0, 0, 0x00, 1, 0]),
        ("segment", "nothing", vec![0b10, 0x2b, 2]),
        ("operations", "writes", [[0, 0, 0, 0, 5], [0, 0, 16, 1, 9], [0, 0, 0x41, 0, 6]].concat().repeat(12)),
        ("operations", "everything", (0..=255).collect()),
        ("operations", "trimming", trimming()),
        ("operations", "random", Rng::new(24).bytes(200)),
    ]
}

/// Puts and deletes, a page here and there, and caps of 0 in between.
fn trimming() -> Vec<u8> {
    let mut bytes = Vec::new();
    for round in 0..6 {
        for entity in 0..4 {
            bytes.extend([0, 0, 0, entity, 5 + round, 6, 0, 1, 7, 2, 3]);
        }
        bytes.extend([0, 0, 0x40, round % 4, 11, 0, 0, 0, 0, 0, 0, 0, 10, 0, 7, 0, 2, 6, 1, 1, 13, round % 4]);
    }
    bytes
}

/// The committed inputs of a target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = root("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("an input"))
        })
        .collect();
    inputs.sort();
    inputs
}

/// A mutation of one input, or sometimes anything.
fn mutated(rng: &mut Rng, inputs: &[(String, Vec<u8>)]) -> Vec<u8> {
    if rng.chance(5) {
        let len = rng.index(300);
        return rng.bytes(len);
    }
    let mut bytes = inputs[rng.index(inputs.len())].1.clone();
    for _ in 0..rng.within(1, 5) {
        let at = rng.index(bytes.len().max(1));
        let rest = bytes.len() - at.min(bytes.len());
        let len = rng.index(rest.clamp(1, 40)).min(rest);
        match rng.below(9) {
            0..=2 if rest > 0 => bytes[at] ^= 1 << rng.below(8),
            3 if rest > 0 => bytes[at] = rng.next() as u8,
            4 => {
                let edge = rng.pick(&EDGES).wrapping_add(rng.below(3)).to_le_bytes();
                let width = rng.pick(&[1, 2, 4, 8]).min(rest);
                bytes[at..at + width].copy_from_slice(&edge[..width]);
            }
            5 => drop(bytes.drain(at..at + len)),
            6 => {
                let new = rng.bytes(len);
                bytes.splice(at..at, new);
            }
            7 => {
                let copied = bytes[at..at + len].to_vec();
                let to = rng.index(bytes.len().max(1));
                bytes.splice(to..to, copied);
            }
            _ => {
                let other = &inputs[rng.index(inputs.len())].1;
                let from = rng.index(other.len().max(1));
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

fn play(target: &str, body: fn(&[u8]) -> bool, name: &str, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| body(input))).unwrap_or_else(|panic| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{target} fails for {name}, {} bytes:\n{hex}", input.len());
        resume_unwind(panic)
    })
}

fn run(target: &str) {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (_, body, count) = TARGETS.into_iter().find(|(name, ..)| *name == target).expect("a target");
    let (seed, count) = (number("TIDELOG_SEED", 1), number("TIDELOG_FUZZ_INPUTS", count as u64));
    let (inputs, began) = (corpus(target), Instant::now());
    assert!(inputs.len() >= 2, "{target}: the corpus is committed");
    let mut taken = inputs.iter().filter(|(name, input)| play(target, body, name, input)).count();
    assert!(taken > 0, "{target}: nothing in the corpus is sound");
    for at in 0..count {
        let mut rng = Rng::new(seed.wrapping_add(at));
        let input = mutated(&mut rng, &inputs);
        let name = format!("TIDELOG_SEED={} TIDELOG_FUZZ_INPUTS=1", seed.wrapping_add(at));
        taken += usize::from(play(target, body, &name, &input));
    }
    let (committed, time) = (inputs.len(), began.elapsed());
    println!(
        "{target}: {committed} committed inputs and {count} mutations, {taken} of them taken for sound, in {time:.1?}"
    );
}

#[test]
fn seeds_are_committed() {
    let write = std::env::var_os("TIDELOG_GOLDEN").is_some_and(|value| value == "write");
    for (target, name, bytes) in seeds() {
        let path = root("fuzz/corpus").join(target).join(name);
        if write && !path.exists() {
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            std::fs::write(&path, &bytes).expect("a seed");
        }
        assert!(path.exists(), "{} is missing: TIDELOG_GOLDEN=write makes it", path.display());
    }
}

#[test]
fn every_target_has_a_corpus_and_a_binary() {
    for (target, ..) in TARGETS {
        let path = root("fuzz/fuzz_targets").join(format!("{target}.rs"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(text.contains(&format!("testing::{target}(")), "{} calls its body", path.display());
        assert!(!corpus(target).is_empty());
    }
}

#[test]
fn frame() {
    run("frame");
}

#[test]
fn segment() {
    run("segment");
}

#[test]
fn chunk() {
    run("chunk");
}

#[test]
fn cursor() {
    run("cursor");
}

#[test]
fn ledger() {
    run("ledger");
}

#[test]
fn operations() {
    run("operations");
}
