mod damage;
mod faults;
mod recovering;
mod rolling;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::ledger::Lineage;
use super::verify::Scanned;
use super::*;
use crate::frame::{Body, BodyBuilder, frame_len};
use crate::options::SyncKeys;
use crate::types::{Finding, Op};
use crate::vfs::OsVfs;

const SEGMENT_BYTES: u64 = 4096;

/// What a frame is compared by.
type Seen = Vec<(u64, Bytes)>;

struct Opened {
    log: Log,
    recovery: Recovery,
    frames: Seen,
}

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        now_ms: 1_700_000_000_000,
        random: crate::options::Options::default().random,
    }
}

fn create_on(vfs: Arc<dyn Vfs>, dir: &Path) -> Log {
    let ledger = Ledger::create(&*vfs, dir, LedgerState::new(5, 6, SyncKeys::Counter)).unwrap();
    Log::create(vfs, dir, options(), Arc::new(Mutex::new(ledger))).unwrap()
}

fn create(dir: &Path) -> Log {
    create_on(Arc::new(OsVfs), dir)
}

fn open_on(vfs: Arc<dyn Vfs>, dir: &Path, applied: Upto) -> Result<Opened> {
    let ledger = Arc::new(Mutex::new(Ledger::open(&*vfs, dir)?));
    let mut frames = Vec::new();
    let (log, recovery) = Log::look(vfs, dir, options(), ledger, applied)?.open(&mut |header, body, _| {
        frames.push((header.base, body));
        Ok(())
    })?;
    Ok(Opened { log, recovery, frames })
}

fn open(dir: &Path) -> Result<Opened> {
    open_on(Arc::new(OsVfs), dir, Upto::default())
}

fn body(payload: &[u8]) -> (Body, u32) {
    let mut builder = BodyBuilder::new(None, None);
    let dataset = builder.existing(1);
    builder.change(dataset, Op::Update, b"entity", payload);
    builder.finish().unwrap()
}

/// Appends frames of one key each, as one group, without a sync.
fn append(log: &mut Log, frames: &[(u64, &[u8])]) -> Result<LogPos, AppendError> {
    let bodies: Vec<(u64, Body, u32)> = frames
        .iter()
        .map(|(key, payload)| {
            let (body, crc) = body(payload);
            (*key, body, crc)
        })
        .collect();
    let frames: Vec<NewFrame<'_>> = bodies
        .iter()
        .map(|(base, body, body_crc)| {
            let (body_crc, count, base) = (*body_crc, body.count(), *base);
            NewFrame { body: &body.bytes, body_crc, count, base, time_ms: 1000 + base }
        })
        .collect();
    log.append(&frames)
}

/// Appends one frame and syncs, as the leader of a group does.
fn commit(log: &mut Log, key: u64, payload: &[u8]) -> LogPos {
    append(log, &[(key, payload)]).unwrap();
    let end = log.end();
    log.sync_point().sync().unwrap();
    log.note_synced(end);
    end
}

/// Ends the current segment, as an append does that finds no room in it.
fn roll(log: &mut Log) -> Result<(), AppendError> {
    log.check()?;
    log.roll_for(0)
}

fn expected(keys: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Seen {
    keys.into_iter().map(|(key, payload)| (key, body(&payload).0.bytes)).collect()
}

/// Every file below `dir`, with its content.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(snapshot(&path)),
            false => drop(files.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    files
}

/// Makes `dir` hold exactly these files.
fn restore(dir: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for path in snapshot(dir).into_keys() {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

fn segment_path(dir: &Path, id: u64) -> PathBuf {
    dir.join("log").join(FileName::Segment(id).to_string())
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn names(dir: &Path, prefix: &str) -> Vec<OsString> {
    let names = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().starts_with(prefix)).collect()
}

fn assert_damaged<T>(result: Result<T>, file: &Path, offset: Option<u64>) {
    match result {
        Err(Error::Damaged { file: found, offset: at, what }) => {
            assert_eq!((found.as_path(), at), (file, offset), "{what}");
        }
        Err(error) => panic!("not Damaged: {error}"),
        Ok(_) => panic!("not refused"),
    }
}

fn findings(dir: &Path) -> (Scanned, Vec<Finding>) {
    let mut found = Vec::new();
    let scanned = scan_readonly(&OsVfs, dir, &mut |finding| found.push(finding)).unwrap();
    (scanned, found)
}

#[test]
fn the_segment_header_is_the_golden_one() {
    let (id, salt, store, predecessor, predecessor_end, chain, capacity) = (42, 7, 5, 41, 640, 0x1122_3344, 4096);
    let header = SegmentHeader { id, salt, store, predecessor, predecessor_end, chain, capacity };
    let bytes = header.encode();
    crate::frame::tests::assert_golden("segment-header.bin", &bytes);
    assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(SegmentHeader::decode(&bytes[..len]).is_err());
    }
}
