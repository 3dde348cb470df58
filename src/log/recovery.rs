//! Opening a log: what is there, and what follows from it. Nothing in this file changes anything on disk but by way of
//! `repair`, which is asked only after the verdict.
//!
//! The argument. Everything before a position that was *proven* synced must be there; if it is not, that is damage and
//! the log is refused. A position is proven by the ledger (a seal, a close or a recovery ended there), by the header of
//! the next segment, and by every frame header, which carries what had been synced when it was written. What lies
//! beyond the last proven position was perhaps never acknowledged: a bad frame there is where a write was torn. Frames
//! before the tear may have been acknowledged, so they stay, but what was read may be in memory only: they are written
//! again, into a new segment, and synced before anyone sees them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::ledger::{CleanEnd, Ledger, LedgerState, Upto};
use super::names::FileName;
use super::repair::{self, Repaired};
use super::scan::{Frame, SegmentReader, Step, find_headers};
use super::segment::{FIRST_FRAME, LogDir, Segment, Stored, list};
use super::{DIR_NAME, End, Live, Log, LogOptions};
use crate::error::{Error, Result};
use crate::frame::{FrameHeader, LogPos};
use crate::limits::MAX_KEY;
use crate::options::SyncKeys;
use crate::planted::{Bug, planted};
use crate::types::SyncKey;
use crate::vfs::Vfs;

/// How far keys jump after an unclean stop: more than one extension of the lease, so that a lease which the disk lost
/// in spite of a sync does no harm.
pub(super) const KEY_JUMP: u64 = 1 << 24;

/// Takes a recovered frame: its header, its body, and where the log goes on behind it.
pub type Visit<'v> = dyn FnMut(&FrameHeader, Bytes, LogPos) -> Result<()> + 'v;

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The last key in the log (or applied before).
    pub last_key: u64,
    /// The next key to give out. After an unclean stop it lies beyond the lease by a jump.
    pub next_key: u64,
    /// The last commit time known.
    pub time_ms: u64,
    /// Whether the store was not closed cleanly, so that a new lineage began.
    pub lineage_changed: bool,
    /// The torn tail that was cut off.
    pub cut: Option<Cut>,
}

/// Bytes cut off the end of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment's file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// How many bytes, up to the last that is not zero, at most 1 MiB.
    pub bytes: u64,
    /// Where they are kept.
    pub kept: PathBuf,
}

/// What is there, before anything is made of it.
pub(super) struct Found {
    pub(super) state: LedgerState,
    pub(super) applied: Upto,
    /// The listed segments; never empty.
    pub(super) segments: Vec<Stored>,
    /// The index of the one that holds the applied position.
    pub(super) first: usize,
    pub(super) last: Segment,
}

/// What a scan of all frames from the applied position on found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    /// Where sound frames end in the last segment.
    pub(super) end: End,
    /// Why they do.
    why: &'static str,
    /// The greatest position that is known to have been synced.
    pub(super) proven: LogPos,
}

/// A log that was looked at and found sound; nothing was changed yet.
pub struct Sound {
    log_dir: LogDir,
    dir: PathBuf,
    options: LogOptions,
    ledger: Arc<Mutex<Ledger>>,
    verdict: Verdict,
}

enum Verdict {
    /// The ledger lists no segment: there is no log yet.
    New(LedgerState),
    Clean(Box<Found>, Scan, CleanEnd),
    Unclean(Box<Found>, Scan, repair::Recovered),
}

/// All that can refuse a log.
pub(super) fn look(
    vfs: Arc<dyn Vfs>,
    dir: &Path,
    options: LogOptions,
    ledger: Arc<Mutex<Ledger>>,
    applied: Upto,
) -> Result<Sound> {
    let state = ledger.lock().state().clone();
    let log_dir = LogDir { vfs, path: dir.join(DIR_NAME) };
    check_applied(dir, &state, applied)?;
    let verdict = match state.segments.is_empty() {
        true => {
            check_unlisted(&*log_dir.vfs, &log_dir.path, &state)?;
            Verdict::New(state)
        }
        false => judge_segments(&log_dir, dir, state, applied, options.now_ms)?,
    };
    Ok(Sound { log_dir, dir: dir.to_path_buf(), options, ledger, verdict })
}

fn judge_segments(log_dir: &LogDir, dir: &Path, state: LedgerState, applied: Upto, now_ms: u64) -> Result<Verdict> {
    let found = Box::new(find(log_dir, dir, state, applied)?);
    let mut scan = scan(&*log_dir.vfs, &found)?;
    judge(&found, &mut scan)?;
    check_unlisted(&*log_dir.vfs, &log_dir.path, &found.state)?;
    let end = found.last.pos(scan.end.at);
    if let Some(clean) = found.state.clean.filter(|clean| clean.end == end) {
        return Ok(Verdict::Clean(found, scan, clean));
    }
    let last_key = scan.end.last_key.max(applied.key);
    let time_ms = scan.end.time_ms.max(found.state.time_ms);
    let next_key = next_key(dir, &found.state, last_key, now_ms)?;
    let chain = repair::chain_at(&found, &scan)?;
    Ok(Verdict::Unclean(found, scan, repair::Recovered { last_key, next_key, time_ms, chain }))
}

impl Sound {
    /// Opens the log, with its repair if the stop was unclean. `visit` gets every frame that the index store does not
    /// hold, in order, and all of them are durable by then. Each body was compared with its checksum, not parsed.
    pub fn open(self, visit: &mut Visit<'_>) -> Result<(Log, Recovery)> {
        let Sound { log_dir, dir, options, ledger, verdict } = self;
        let (found, scan, clean, recovered) = match verdict {
            Verdict::New(state) => {
                ledger.lock().refresh(&*log_dir.vfs)?;
                let (last_key, next_key, time_ms) = (0, state.lease.max(1), state.time_ms);
                let recovery = Recovery { last_key, next_key, time_ms, lineage_changed: false, cut: None };
                return Ok((Log::create(log_dir.vfs, &dir, options, ledger)?, recovery));
            }
            Verdict::Clean(found, scan, clean) => (found, scan, Some(clean), None),
            Verdict::Unclean(found, scan, recovered) => (found, scan, None, Some(recovered)),
        };
        let last_key = scan.end.last_key.max(found.applied.key);
        let time_ms = scan.end.time_ms.max(found.state.time_ms);
        let next_key = match (&clean, &recovered) {
            (_, Some(recovered)) => recovered.next_key,
            (clean, None) => clean.map_or(0, |clean| clean.next_key).max(last_key.saturating_add(1)),
        };
        // What can refuse the log stands in `look`: from here on it is changed.
        ledger.lock().refresh(&*log_dir.vfs)?;
        repair::tidy(&log_dir, &found.state.segments)?;
        let repaired = match recovered {
            Some(recovered) => repair::repair(&log_dir, &options, &ledger, &found, &scan, recovered)?,
            None => {
                let end = found.last.pos(scan.end.at);
                ledger.lock().update(|state| {
                    state.clean = None;
                    state.synced_upto = state.synced_upto.max(end);
                })?;
                let (segments, current) = (found.segments.clone(), found.last.clone());
                Repaired { segments, current, end: scan.end, cut: None }
            }
        };
        replay(&*log_dir.vfs, &found, &repaired, visit)?;
        let recovery = Recovery { last_key, next_key, time_ms, lineage_changed: clean.is_none(), cut: repaired.cut };
        let live = repaired.segments.iter().map(|segment| Live { id: segment.header.id, bytes: segment.len }).collect();
        let end = End { last_key, time_ms, ..repaired.end };
        Ok((Log::at(log_dir, options, ledger, live, repaired.current, end), recovery))
    }
}

/// The index store must hold what the ledger says it does, and the ledger what it says itself.
fn check_applied(dir: &Path, state: &LedgerState, applied: Upto) -> Result<()> {
    let ledger = state.applied_upto;
    if applied.key < ledger.key || applied.pos < ledger.pos {
        let what = format!("it holds changes up to key {}, the ledger says {}", applied.key, ledger.key);
        return Err(Error::damaged(dir, None, format!("the index store is older than the ledger: {what}")));
    }
    if state.segments.is_empty() && (applied.key > 0 || state.sealing_upto.key > 0) {
        return Err(Error::damaged(Ledger::path(dir), None, "the ledger lists no log segment"));
    }
    Ok(())
}

/// Opens every listed segment and checks how they are linked.
fn find(log_dir: &LogDir, dir: &Path, state: LedgerState, applied: Upto) -> Result<Found> {
    let mut segments: Vec<Stored> = Vec::with_capacity(state.segments.len());
    for id in &state.segments {
        let segment = Segment::open(&*log_dir.vfs, &log_dir.path, *id, state.store, false)?.stored();
        if let Some(before) = segments.last()
            && segment.header.predecessor != before.header.id
        {
            let what = format!("the segment follows {}, not {}", segment.header.predecessor, before.header.id);
            return Err(Error::damaged(segment.path, 0, what));
        }
        segments.push(segment);
    }
    let Some(last) = segments.last() else {
        return Err(Error::damaged(Ledger::path(dir), None, "the ledger lists no log segment"));
    };
    let last = last.open(&*log_dir.vfs, true)?;
    if last.len < last.header.capacity {
        let what = format!("the segment was {} bytes long and is cut short", last.header.capacity);
        return Err(Error::damaged(last.path, last.len, what));
    }
    let first = segments.iter().position(|segment| segment.header.id >= applied.pos.segment);
    match first.filter(|first| applied.pos.segment == 0 || state.segments.get(*first) == Some(&applied.pos.segment)) {
        Some(first) => Ok(Found { state, applied, segments, first, last }),
        None => {
            let what = format!("the ledger does not list log segment {}, which is needed", applied.pos.segment);
            Err(Error::damaged(Ledger::path(dir), None, what))
        }
    }
}

/// Reads every frame from the first needed segment on. A bad frame before the last segment is damage already: the
/// next segment's header says where this one ends.
fn scan(vfs: &dyn Vfs, found: &Found) -> Result<Scan> {
    let mut end = End { at: FIRST_FRAME, chain: 0, last_key: 0, time_ms: 0 };
    let mut proven = found.last.pos(FIRST_FRAME);
    let mut before = None;
    let needed = found.segments.get(found.first..).unwrap_or_default();
    for (index, segment) in needed.iter().enumerate() {
        if before.is_some_and(|chain| chain != segment.header.chain) {
            return Err(Error::damaged(&segment.path, 0, "the segment does not continue the one before it"));
        }
        let next = needed.get(index + 1);
        let segment = &segment.open(vfs, false)?;
        let mut reader = SegmentReader::new(segment, next.map(|next| next.header.predecessor_end), end.last_key);
        end.chain = segment.header.chain;
        let why = loop {
            match reader.step()? {
                Step::Frame(frame) => {
                    check_whole(segment, &frame, found.applied)?;
                    end.chain = frame.crc;
                    end.last_key = frame.header.last_key();
                    end.time_ms = end.time_ms.max(frame.header.time_ms);
                    proven = proven.max(frame.header.synced);
                }
                Step::End => break "the segment is full",
                Step::Bad(why) if next.is_some() => return Err(Error::damaged(&segment.path, reader.at(), why)),
                Step::Bad(why) => break why,
            }
        };
        end.at = reader.at();
        before = Some(end.chain);
        if next.is_none() {
            return Ok(Scan { end, why, proven });
        }
    }
    Err(Error::damaged(&found.last.path, None, "there is no segment"))
}

/// The index store takes whole commits.
fn check_whole(segment: &Segment, frame: &Frame, applied: Upto) -> Result<()> {
    match frame.header.base <= applied.key && frame.header.last_key() > applied.key {
        true => {
            let what = format!("the index store ends within a commit, at key {}", applied.key);
            Err(Error::damaged(&segment.path, frame.at, what))
        }
        false => Ok(()),
    }
}

/// Tells a torn tail from damage; only the latter is an error.
fn judge(found: &Found, scan: &mut Scan) -> Result<()> {
    let end = found.last.pos(scan.end.at);
    scan.proven = scan.proven.max(proven_by_ledger(&found.state)).max(found.applied.pos);
    find_headers(&found.last, scan.end.at, &mut |_, header| {
        scan.proven = scan.proven.max(header.synced);
        ControlFlow::Continue(())
    })?;
    if planted(Bug::RotTakenForTorn) {
        scan.proven = scan.proven.min(end);
    }
    match end < scan.proven {
        true => {
            let LogPos { segment, offset } = scan.proven;
            let what = format!("{}, but the log was synced up to offset {offset} of segment {segment}", scan.why);
            Err(Error::damaged(&found.last.path, scan.end.at, what))
        }
        false => Ok(()),
    }
}

/// Up to where the ledger says that the log is durable.
pub(super) fn proven_by_ledger(state: &LedgerState) -> LogPos {
    let clean = state.clean.map_or(LogPos::default(), |clean| clean.end);
    state.synced_upto.max(state.sealing_upto.pos).max(state.applied_upto.pos).max(clean)
}

/// A crash leaves segments behind that the ledger does not name yet: empty ones of a roll, and copies of an interrupted
/// recovery, which nobody was shown. A frame that was appended is told by its header, which says that its own segment's
/// beginning was synced; a copy's says less. If there is one, the ledger is older than the log, and to go on would
/// lose commits.
pub(super) fn check_unlisted(vfs: &dyn Vfs, log_dir: &Path, state: &LedgerState) -> Result<()> {
    let io = |source| Error::io(format!("look for {}", log_dir.display()), source);
    if !vfs.exists(log_dir).map_err(io)? {
        return Ok(());
    }
    let last = state.segments.last().copied().unwrap_or(0);
    for name in list(vfs, log_dir)? {
        let FileName::Segment(id) = name else { continue };
        if id <= last {
            continue;
        }
        let segment = match Segment::open(vfs, log_dir, id, state.store, false) {
            Ok(segment) => segment,
            Err(Error::Damaged { .. }) => continue,
            Err(error) => return Err(error),
        };
        let mut reader = SegmentReader::new(&segment, None, 0);
        while let Step::Frame(frame) = reader.step()? {
            if frame.header.synced.segment == id {
                let what = "it holds commits that the ledger does not know of: the ledger is older than the log";
                return Err(Error::damaged(&segment.path, frame.at, what));
            }
        }
    }
    Ok(())
}

/// Beyond the lease: every key below it may have been given out, and seen.
fn next_key(dir: &Path, state: &LedgerState, last_key: u64, now_ms: u64) -> Result<u64> {
    if last_key >= state.lease.saturating_add(KEY_JUMP) {
        let what = format!("keys up to {} may have been given out, but the log holds {last_key}", state.lease);
        return Err(Error::damaged(Ledger::path(dir), None, format!("the ledger is older than the log: {what}")));
    }
    let next = match state.lease.max(last_key.saturating_add(1)) {
        _ if planted(Bug::LeaseIgnored) => last_key.saturating_add(1),
        leased if planted(Bug::NoKeyJump) => leased,
        leased => leased.saturating_add(KEY_JUMP),
    };
    let now = match state.sync_keys {
        SyncKeys::Counter => 0,
        // A clock that is beyond what keys can tell is wrong.
        SyncKeys::Timestamp => Some(SyncKey::from_time_ms(now_ms).get()).filter(|now| *now < MAX_KEY).unwrap_or(0),
    };
    Ok(next.max(now).min(MAX_KEY))
}

/// Hands out what the index store does not hold, from segments that are durable.
fn replay(vfs: &dyn Vfs, found: &Found, repaired: &Repaired, visit: &mut Visit<'_>) -> Result<()> {
    let applied = found.applied.key;
    let needed = repaired.segments.get(found.first..).unwrap_or_default();
    let mut last_key = 0;
    for (index, segment) in needed.iter().enumerate() {
        let next = needed.get(index + 1);
        let limit = next.map_or(repaired.end.at, |next| next.header.predecessor_end);
        let segment = &segment.open(vfs, false)?;
        let mut reader = SegmentReader::new(segment, Some(limit), last_key);
        loop {
            match reader.step()? {
                Step::Frame(frame) if frame.header.base > applied => {
                    visit(&frame.header, frame.body, segment.pos(reader.at()))?;
                }
                Step::Frame(_) => {}
                Step::End => break,
                Step::Bad(why) => return Err(Error::damaged(&segment.path, reader.at(), why)),
            }
        }
        last_key = reader.link().last_key;
    }
    Ok(())
}
