//! Recovery of a log whose bytes were changed, against a plain reading of the same bytes.

mod expected;
mod sample;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::frame::fields;
use super::input::Input;
use super::sim::{Image, SimDisk};
use crate::error::{Error, Result};
use crate::frame::{Body, FrameHeader, HEADER_LEN, LogPos, frame_len};
use crate::limits::MAX_KEY;
use crate::log::scan_readonly;
use crate::log::{
    CleanEnd, FIRST_FRAME, Ledger, LedgerState, Log, LogOptions, NewFrame, Recovery, SegmentHeader, Upto,
};
use expected::{Expected, expected};
use sample::{DIR, SEGMENT_BYTES, Sample, sample};

pub use sample::sample_segment;

const FRAMES_AT: usize = FIRST_FRAME as usize;

/// A log of two segments of which one is changed, then recovered.
///
/// Byte 0 says what is changed and which checksums are put right after it, byte 1 what the ledger claims, byte 2 up to
/// where the index store has the log. The rest is the frames of the segment, or a list of changes to it.
pub fn segment(data: &[u8]) -> bool {
    header(data);
    let sample = sample();
    let mut input = Input::new(data);
    let (mode, claims, applied) = (input.u8(), input.u8(), input.u8());
    let mut image = sample.image.clone();
    let id = if mode & 1 == 0 { 2 } else { 1 };
    let file = image.get_mut(&segment_path(id)).expect("a segment of the sample");
    if mode & 2 == 0 {
        let frames = input.take(file.len() - FRAMES_AT);
        file[FRAMES_AT..].fill(0);
        file[FRAMES_AT..FRAMES_AT + frames.len()].copy_from_slice(frames);
    } else {
        while !input.is_empty() {
            edit(file, &mut input);
        }
    }
    put_right(file, mode >> 2);
    let applied = sample.ends[usize::from(applied) % sample.ends.len()];
    claim(&mut image, claims, sample);
    recovered(&image, applied)
}

/// A segment's header, as it is and with its checksum put right.
fn header(data: &[u8]) {
    let check = |bytes: &[u8]| {
        if let Ok(header) = SegmentHeader::decode(bytes) {
            assert_eq!(Some(&header.encode()[..]), bytes.get(..FRAMES_AT), "{header:?} has two forms");
        }
    };
    check(data);
    if let Some(bytes) = data.get(..FRAMES_AT) {
        check(&with_header_crc(bytes));
    }
}

fn with_header_crc(bytes: &[u8]) -> Vec<u8> {
    let body = &bytes[..FRAMES_AT - 4];
    [body, &crc32fast::hash(body).to_le_bytes()].concat()
}

/// One change: a place, a number of bytes, and the bytes; none cut the file there.
fn edit(file: &mut Vec<u8>, input: &mut Input<'_>) {
    let (at, len) = (usize::from(input.u16()) % SEGMENT_BYTES as usize, input.below(64));
    let bytes = input.take(len);
    match len {
        0 => file.truncate(at.max(FRAMES_AT)),
        _ => bytes.iter().zip(file.iter_mut().skip(at)).for_each(|(new, old)| *old ^= new),
    }
}

/// Walks the frames as far as their lengths go, and makes checksums right that are asked for: of headers (1), of
/// bodies (2), the chain (4), of the segment's header (8).
fn put_right(file: &mut [u8], which: u8) {
    if which & 8 != 0 {
        let header = with_header_crc(&file[..FRAMES_AT]);
        file[..FRAMES_AT].copy_from_slice(&header);
    }
    let Ok(header) = SegmentHeader::decode(file) else { return };
    let (mut at, mut chain) = (FRAMES_AT, header.chain);
    while let Some(bytes) = file.get(at..).filter(|bytes| bytes.len() > HEADER_LEN && bytes[0] != 0) {
        let mut frame = fields(bytes);
        let Some(body) = bytes[HEADER_LEN..].get(..frame.body_len as usize) else { return };
        if which & 2 != 0 {
            frame.body_crc = crc32fast::hash(body);
        }
        if which & 4 != 0 {
            frame.prev_crc = chain;
        }
        let end = at + usize::try_from(frame.frame_len()).unwrap_or(usize::MAX);
        if which & 1 != 0 {
            let (bytes, crc) = frame.encode(&header.place(at as u64));
            file[at..at + HEADER_LEN].copy_from_slice(&bytes);
            chain = crc;
        }
        at = end;
    }
}

/// What the ledger says was synced, or that the store was closed.
fn claim(image: &mut Image, claims: u8, sample: &Sample) {
    let memory = SimDisk::of(image);
    let mut ledger = Ledger::open(&memory, Path::new(DIR)).expect("the sample's ledger");
    let at = sample.ends[usize::from(claims >> 3) % sample.ends.len()];
    ledger
        .update(|state| match claims % 5 {
            0 => {}
            1 => state.synced_upto = at.pos,
            2 => state.sealing_upto = at,
            3 => state.clean = Some(CleanEnd { next_key: at.key + 1, last_key: at.key, end: at.pos }),
            _ => (state.sealing_upto, state.lease) = (at, 1),
        })
        .expect("an update");
    *image = memory.image();
}

/// An opened log, and what it handed out.
struct Opened {
    log: Log,
    recovery: Recovery,
    frames: Vec<(u64, Bytes)>,
}

fn open(memory: &SimDisk, applied: Upto) -> Result<Opened> {
    let dir = Path::new(DIR);
    let ledger = Arc::new(Mutex::new(Ledger::open(memory, dir)?));
    let mut frames = Vec::new();
    let mut visit = |header: &FrameHeader, body: Bytes, _| {
        frames.push((header.base, body));
        Ok(())
    };
    let (log, recovery) =
        Log::look(Arc::new(memory.clone()), dir, sample::options(99), ledger, applied)?.open(&mut visit)?;
    Ok(Opened { log, recovery, frames })
}

fn state_of(memory: &SimDisk) -> LedgerState {
    Ledger::open(memory, Path::new(DIR)).expect("the ledger").state().clone()
}

fn recovered(image: &Image, applied: Upto) -> bool {
    let memory = SimDisk::of(image);
    let mut findings = Vec::new();
    let scanned = scan_readonly(&memory, Path::new(DIR), &mut |finding| findings.push(finding.what));
    assert!(memory.image() == *image, "looking at a log changed it");
    if let Err(error) = scanned {
        // Behind a checksum that was put right, a segment's version may be any.
        assert!(matches!(error, Error::FormatTooNew { .. }), "a ledger that can be read: {error:?}");
        let refused = open(&memory, applied).map(drop).expect_err("a newer format is refused");
        assert!(matches!(refused, Error::FormatTooNew { .. } | Error::Damaged { .. }), "{refused:?}");
        assert!(memory.image() == *image, "a log of a newer format was changed");
        return false;
    }
    let expected = expected(image, &state_of(&memory), applied);
    match (open(&memory, applied), expected) {
        (Ok(opened), Expected::Frames { frames, last_key }) => {
            assert_eq!(opened.frames, frames, "recovery hands out other frames than there are");
            assert_eq!(opened.recovery.last_key, last_key.max(applied.key));
            go_on(&memory, opened, applied);
            true
        }
        (Err(error), Expected::Damaged(why)) => {
            assert!(matches!(error, Error::Damaged { .. }), "{why}: {error:?}");
            assert!(memory.image() == *image, "a refused log was changed: {error}");
            // What the index store holds, and how far the lease goes, is not the scan's to know.
            let of_log_only = applied.key == 0 && !error.to_string().contains("older than the log");
            assert!(!findings.is_empty() || !of_log_only, "nothing found, but {error}");
            false
        }
        (Ok(opened), Expected::Damaged(why)) => panic!("{why}, but it opens: {:?}", opened.recovery),
        (Err(error), Expected::Frames { frames, .. }) => panic!("{} sound frames, but: {error}", frames.len()),
    }
}

/// What was recovered is durable, can be appended to, and is found again.
fn go_on(memory: &SimDisk, opened: Opened, applied: Upto) {
    let Opened { mut log, recovery, mut frames } = opened;
    let next = recovery.next_key;
    assert!(next > recovery.last_key && next <= MAX_KEY, "the next key is {next}");
    let lost = SimDisk::of(&memory.durable());
    let again = open(&lost, applied).expect("a recovered log opens after a power cut");
    assert_eq!(again.frames, frames, "what recovery hands out was not durable");

    let (body, body_crc) = sample::body(7);
    let new = NewFrame { body: &body.bytes, body_crc, count: body.count(), base: next, time_ms: 1 };
    if next > MAX_KEY / 2 {
        return;
    }
    log.append(&[new]).expect("a recovered log can be appended to");
    log.sync_point().sync().expect("a sync in memory");
    frames.push((next, body.bytes));
    let lost = SimDisk::of(&memory.durable());
    let again = open(&lost, applied).expect("it opens once more");
    assert_eq!(again.frames, frames, "an appended frame is not found again");
    let sound = |body: &Bytes| Body::parse(body.clone()).is_ok();
    if applied.key == 0 && frames.iter().all(|(_, body)| sound(body)) {
        let mut findings = Vec::new();
        scan_readonly(&lost, Path::new(DIR), &mut |finding| findings.push(finding.what)).expect("a scan");
        findings.retain(|what| !what.contains("another number of records"));
        assert!(findings.is_empty(), "a recovered log: {findings:?}");
    }
}

fn segment_path(id: u64) -> PathBuf {
    Path::new(DIR).join("log").join(format!("{id:020}.log"))
}
