//! Lengths and counts that nobody would write, behind checksums that are right: no panic, and no memory asked for on
//! their word.

use std::path::{Path, PathBuf};

use tidelog::{Engine, restore, testing, verify};

use crate::support::{End, Sample, Suite, dump, memory_dir, options, peak_bytes, write};

/// Limits, what lies just above them, and where integers end.
fn hostile() -> Vec<u64> {
    let limits = [0, 1, 96, 255, 512, 1024, 4096, 16 << 10, 1 << 20, 256 << 20, 1 << 30, 1 << 31, 1 << 32];
    let edges = [u64::MAX >> 1, u64::MAX - 1, u64::MAX];
    let near = limits.into_iter().flat_map(|limit: u64| [limit.saturating_sub(1), limit, limit + 1]);
    near.chain(edges).collect()
}

/// The bytes with a number put over those at a place, in every form a format has for one.
fn forms(bytes: &[u8], at: usize, number: u64) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for width in [2, 4, 8] {
        if let Some(place) = bytes.get(at..at + width) {
            let mut form = bytes.to_vec();
            form[at..at + place.len()].copy_from_slice(&number.to_le_bytes()[..width]);
            forms.push(form);
        }
    }
    let len = bytes[at..].iter().position(|byte| byte & 0x80 == 0).map_or(1, |last| last + 1);
    let mut varint = Vec::new();
    let mut rest = number;
    while rest >= 0x80 {
        varint.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    varint.push(rest as u8);
    forms.push([&bytes[..at], &varint, &bytes[at + len..]].concat());
    forms
}

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(path).expect("a golden file")
}

/// A parser, an input, and where in it numbers may stand.
type Parser = (&'static str, fn(&[u8]) -> bool, Vec<u8>, usize);

fn parsers() -> Vec<Parser> {
    let slot = golden("ledger-slot.bin");
    let used = slot.iter().rposition(|byte| *byte != 0).expect("a slot says something") + 1;
    let ledger = [&[1, used as u8, (used >> 8) as u8], &slot[..used]].concat();
    let frame = [golden("frame-header.bin"), golden("frame-body.bin")].concat();
    // All checksums of its frames are put right but the chain's.
    let segment = [&[0b11_1100, 0, 0][..], &testing::sample_segment()].concat();
    vec![
        ("frame", testing::frame, frame, 0),
        ("body", testing::frame, golden("frame-body.bin"), 0),
        ("chunk", testing::chunk, golden("chunk.bin"), 5),
        ("counts", testing::chunk, golden("chunk-meta.bin"), 0),
        ("cursor", testing::cursor, golden("cursor-exact-middle.bin"), 0),
        ("ledger and its record", testing::ledger, ledger, 3),
        ("segment", testing::segment, segment, 3),
    ]
}

#[test]
fn no_length_is_believed() {
    let mut suite = Suite::begin("hostile lengths", "19");
    for (name, parse, input, from) in parsers() {
        let (mut worst, mut tries) = (0, 0);
        parse(&input); // what is made once is not counted
        let plain = peak_bytes(|| _ = parse(&input));
        // Each of these costs a file system in memory: some places of each frame.
        let step = if name == "segment" { 76 } else { 1 };
        for at in (from..input.len()).step_by(step) {
            for number in hostile() {
                for form in forms(&input, at, number) {
                    worst = worst.max(peak_bytes(|| _ = parse(&form)));
                    tries += 1;
                }
            }
        }
        println!("{name}: {tries} inputs, at most {worst} bytes at once, {plain} for the sound one");
        assert!(worst < 2 * plain + (4 << 20), "{name}: {worst} bytes for {} of input", input.len());
        suite.ran(tries);
        suite.fired(tries);
    }
    suite.finish();
}

/// Where a segment's header has its numbers; the same of a frame's header; and where a ledger's slot says its length.
const SEGMENT_FIELDS: [usize; 5] = [16, 32, 40, 48, 56];
const FRAME_FIELDS: [usize; 6] = [4, 8, 16, 24, 32, 40];
const SLOT_LEN_AT: usize = 12;

fn put_right_slot(slot: &mut [u8]) {
    let crc = crc32fast::hash(&[&slot[..28], &slot[32..]].concat());
    slot[28..32].copy_from_slice(&crc.to_le_bytes());
}

fn put_right_segment(file: &mut [u8]) {
    let crc = crc32fast::hash(&file[..124]);
    file[124..128].copy_from_slice(&crc.to_le_bytes());
}

/// Own CRC of a frame's header, which is bound to its place.
fn put_right_frame(file: &mut [u8], at: usize) {
    let place = [&file[16..24], &(at as u64).to_le_bytes(), &file[24..32], &file[at..at + 60]].concat();
    file[at + 60..at + 64].copy_from_slice(&crc32fast::hash(&place).to_le_bytes());
}

/// A store's files with one number in one of them changed, and the checksums right.
fn changed(files: &[(PathBuf, Vec<u8>)], newest: usize) -> Vec<(String, PathBuf, Vec<u8>)> {
    let mut cases = Vec::new();
    let numbers = [0, 1 << 20, (1 << 20) + 1, 1 << 30, (1 << 30) + 1, 1 << 31, u64::MAX >> 1, u64::MAX];
    let set = |bytes: &[u8], at: usize, width: usize, number: u64| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        bytes
    };
    for number in numbers {
        for (path, bytes) in files {
            if path == Path::new("ledger") {
                let mut bytes = set(&set(bytes, SLOT_LEN_AT, 4, number), 4096 + SLOT_LEN_AT, 4, number);
                bytes.chunks_mut(4096).for_each(put_right_slot);
                cases.push((format!("{number} as the ledger's length"), path.clone(), bytes));
            }
            if !path.starts_with("log") || path.extension().is_none_or(|ending| ending != "log") {
                continue;
            }
            for at in SEGMENT_FIELDS {
                let mut bytes = set(bytes, at, 8, number);
                put_right_segment(&mut bytes);
                cases.push((format!("{number} at {at} of a segment's header"), path.clone(), bytes));
            }
            for (frame, at) in [128, newest].into_iter().flat_map(|frame| FRAME_FIELDS.map(|at| (frame, at))) {
                let mut bytes = set(bytes, frame + at, if at < 16 { 4 } else { 8 }, number);
                put_right_frame(&mut bytes, frame);
                cases.push((format!("{number} at {at} of the frame at {frame}"), path.clone(), bytes));
            }
        }
    }
    cases
}

#[test]
fn no_length_of_a_whole_store_or_backup_is_believed() {
    let mut suite = Suite::begin("hostile lengths of stores", "19");
    let sample = Sample::make(End::Killed);
    let newest = sample.unsealed.last().expect("a commit").range.start as usize;
    let scratch = memory_dir();
    let backup = scratch.path().join("backup");
    write(&sample.files, &scratch.path().join("source"));
    let engine = Engine::open(scratch.path().join("source"), options()).expect("it opens");
    engine.backup(&backup).expect("a backup");
    engine.close().expect("a clean close");
    let backup = crate::support::files(&backup);
    let (dir, restored) = (scratch.path().join("copy"), scratch.path().join("restored"));
    let (mut worst, mut refused) = (0, 0);
    for (files, is_backup) in [(&sample.files, false), (&backup, true)] {
        for (what, path, bytes) in changed(files, if is_backup { 128 } else { newest }) {
            write(files, &dir);
            std::fs::write(dir.join(&path), bytes).expect("a file");
            let mut outcome = Ok(());
            let peak = peak_bytes(|| {
                drop(verify(&dir, &options(), &mut |_, _| {}));
                outcome = match is_backup {
                    true => restore(&dir, &restored, &options()),
                    false => Engine::open(&dir, options().create_if_missing(false)).and_then(|it| dump(&it).map(drop)),
                };
            });
            let limit = 16 << 20;
            assert!(peak < limit, "{what} of {}: {peak} bytes at once, {outcome:?}", path.display());
            worst = worst.max(peak);
            refused += u64::from(outcome.is_err());
            suite.ran(1);
            for dir in [&dir, &restored] {
                let _ = std::fs::remove_dir_all(dir);
            }
        }
    }
    println!("{} stores, {refused} of them refused, at most {worst} bytes at once", suite.tries());
    suite.fired(refused);
    suite.finish();
}
