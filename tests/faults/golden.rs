//! A store of every released format, kept for ever: each opens and says what it said. A newer format is refused, and not
//! a byte is changed.
//!
//! `golden/v1/closed` and `golden/v1/killed` are the sample of `support/sample.rs` as the release wrote it, without the
//! zeros at the end of log segments and without RocksDB's notes of its options. For a new format,
//! `TIDELOG_GOLDEN=write cargo test --all-features --test faults golden` writes the folder of its version; one that
//! exists is never changed.

use std::path::{Path, PathBuf};

use tidelog::{Engine, Error, verify};

use crate::support::{End, Sample, Suite, dump, files, memory_dir, options, repeated, write};

type Files = Vec<(PathBuf, Vec<u8>)>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/golden")
}

/// The version that a store's ledger says.
fn version(files: &Files) -> u32 {
    let ledger = &files.iter().find(|(path, _)| path == Path::new("ledger")).expect("a ledger").1;
    u32::from_le_bytes(ledger[8..12].try_into().expect("four bytes"))
}

fn is_segment(path: &Path) -> bool {
    path.starts_with("log") && path.extension().is_some_and(|ending| ending == "log")
}

/// Writes the present format's folder, if there is none.
fn keep(sample: &Sample, name: &str) {
    let dir = root().join(format!("v{}", version(&sample.files)));
    let write_it = std::env::var_os("TIDELOG_GOLDEN").is_some_and(|value| value == "write");
    if dir.join(name).exists() || !write_it {
        assert!(dir.join(name).exists(), "{} is missing: TIDELOG_GOLDEN=write makes it", dir.join(name).display());
        return;
    }
    let mut kept = Files::new();
    for (path, bytes) in &sample.files {
        let needed = !path.starts_with("log") || is_segment(path);
        if needed && !path.to_string_lossy().contains("OPTIONS") {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            kept.push((path.clone(), if is_segment(path) { bytes[..used].to_vec() } else { bytes.clone() }));
        }
    }
    write(&kept, &dir.join(name));
    std::fs::write(dir.join(format!("{name}.dump")), &sample.dump).expect("a dump");
}

/// A kept store with its segments at their full length.
fn whole(dir: &Path) -> Files {
    let mut files = files(dir);
    for (_, bytes) in files.iter_mut().filter(|(path, _)| is_segment(path)) {
        let capacity = u64::from_le_bytes(bytes[56..64].try_into().expect("eight bytes"));
        bytes.resize(capacity as usize, 0);
    }
    files
}

/// The kept stores, by folder.
fn kept() -> Vec<PathBuf> {
    let mut stores = Vec::new();
    for version in std::fs::read_dir(root()).expect("the golden folder") {
        for entry in std::fs::read_dir(version.expect("a version").path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            stores.extend(path.is_dir().then_some(path));
        }
    }
    stores.sort();
    stores
}

#[test]
fn a_store_of_every_released_format_opens_and_says_what_it_said() {
    for (end, name) in [(End::Closed, "closed"), (End::Killed, "killed")] {
        keep(&Sample::make(end), name);
    }
    let mut suite = Suite::begin("golden stores", "23");
    let stores = kept();
    assert!(stores.len() >= 2, "{stores:?}");
    for golden in stores {
        let scratch = memory_dir();
        write(&whole(&golden), scratch.path());
        let want = std::fs::read_to_string(golden.with_extension("dump")).expect("a dump");
        let report = verify(scratch.path(), &options(), &mut |_, _| {}).expect("a verification");
        assert!(report.findings.is_empty() && report.entries > 0, "{}: {:?}", golden.display(), report.findings);
        // As it was left, and once more as this build leaves it.
        for _ in 0..2 {
            let engine = Engine::open(scratch.path(), options().create_if_missing(false)).expect("it opens");
            let said = dump(&engine).expect("it can be read");
            assert!(said == want, "{} says something else:\n{said}", golden.display());
            assert!(engine.append(repeated()).expect("a repeat").repeated, "an idempotency id is forgotten");
            engine.close().expect("a clean close");
            suite.ran(1);
        }
    }
    suite.fired(newer_formats());
    suite.finish();
}

/// What is raised, and how.
type Raised = (&'static str, fn(&Path));

/// Copies whose format was raised in one place are refused untouched; how many there were.
fn newer_formats() -> u64 {
    let mut refused = 0;
    for golden in kept().into_iter().filter(|golden| golden.ends_with("v1/closed") || golden.ends_with("v1/killed")) {
        let raised: [Raised; 4] = [
            ("the first slot", |dir| change(&dir.join("ledger"), |bytes| raise_slot(&mut bytes[..4096]))),
            ("the second slot", |dir| change(&dir.join("ledger"), |bytes| raise_slot(&mut bytes[4096..]))),
            ("a segment", |dir| change(&dir.join("log/00000000000000000001.log"), raise_segment)),
            ("the index store", raise_index_store),
        ];
        for (what, raise) in raised {
            let scratch = memory_dir();
            write(&whole(&golden), scratch.path());
            raise(scratch.path());
            let before = files(scratch.path());
            let looked = verify(scratch.path(), &options(), &mut |_, _| {}).map(drop);
            let opened = Engine::open(scratch.path(), options().create_if_missing(false)).map(drop);
            for outcome in [looked, opened] {
                let right =
                    matches!(outcome, Err(Error::FormatTooNew { found, supported, .. }) if found == supported + 1);
                assert!(right, "{what} of {}: {outcome:?}", golden.display());
            }
            assert!(files(scratch.path()) == before, "{what} of {}: a file was changed", golden.display());
            refused += 1;
        }
    }
    refused
}

fn change(file: &Path, how: impl FnOnce(&mut [u8])) {
    let mut bytes = std::fs::read(file).expect("a file");
    how(&mut bytes);
    std::fs::write(file, bytes).expect("a file");
}

fn raise_slot(slot: &mut [u8]) {
    slot[8] = 2;
    let crc = crc32fast::hash(&[&slot[..28], &slot[32..]].concat());
    slot[28..32].copy_from_slice(&crc.to_le_bytes());
}

fn raise_segment(segment: &mut [u8]) {
    segment[8] = 2;
    let crc = crc32fast::hash(&segment[..124]);
    segment[124..128].copy_from_slice(&crc.to_le_bytes());
}

/// Its row `F`, by RocksDB itself.
fn raise_index_store(dir: &Path) {
    let (dir, plain) = (dir.join("db"), rocksdb::Options::default());
    let families = rocksdb::DB::list_cf(&plain, &dir).expect("the column families");
    let db = rocksdb::DB::open_cf(&plain, &dir, families).expect("it opens");
    let meta = db.cf_handle("meta").expect("a column family");
    db.put_cf(&meta, b"F", 3_u32.to_be_bytes()).expect("a row");
    db.flush_cf(&meta).expect("a flush");
}
