//! After the verdict: what recovery changes on disk. A crash anywhere in here leaves a log from which recovery works
//! again, because one ledger update makes the whole difference, and all before it only adds files that nothing names.

use std::collections::BTreeSet;
use std::path::Path;

use parking_lot::Mutex;

use super::ledger::{Ledger, LedgerState};
use super::names::FileName;
use super::recovery::{Cut, Found, KEY_JUMP, Scan};
use super::scan::{Frame, SegmentReader, Step};
use super::segment::{FIRST_FRAME, LogDir, MAX_SPARES, Segment, SegmentHeader, Stored};
use super::{End, LogOptions, random};
use crate::error::{Error, Result};
use crate::frame::{ALIGN, FrameHeader};
use crate::limits::MAX_KEY;
use crate::planted::{Bug, planted};
use crate::vfs::{read_full_at, write_all_at};

/// Of a torn tail, at most so many bytes are kept.
const MAX_TORN_BYTES: usize = 1 << 20;
/// How many torn tails are kept.
const MAX_TORN_FILES: usize = 4;

/// The log as it is after recovery.
pub(super) struct Repaired {
    pub(super) segments: Vec<Stored>,
    /// The last of them, open for appending.
    pub(super) current: Segment,
    pub(super) end: End,
    pub(super) cut: Option<Cut>,
}

/// What recovery found that goes into the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recovered {
    pub(super) last_key: u64,
    pub(super) next_key: u64,
    pub(super) time_ms: u64,
    /// What the first header behind the proven position continues.
    pub(super) chain: u32,
}

/// Files that nothing names: what a crash left behind, and spares beyond the limit. Nothing of a crash becomes a spare:
/// if it was a sync of such a file that failed, its length is only in memory, and a later sync would not write it.
pub(super) fn tidy(log_dir: &LogDir, listed: &[u64]) -> Result<()> {
    let mut spares = 0;
    for name in log_dir.list()? {
        match name {
            FileName::Segment(id) if listed.binary_search(&id).is_err() => log_dir.discard(&log_dir.file(name)),
            FileName::Spare(_) => {
                spares += 1;
                if spares > MAX_SPARES {
                    log_dir.discard(&log_dir.file(name));
                }
            }
            FileName::Segment(_) | FileName::Torn { .. } => {}
        }
    }
    Ok(())
}

/// After an unclean stop: keeps the torn bytes aside, writes every frame that was not proven durable into a new
/// segment, and begins a new lineage.
pub(super) fn repair(
    log_dir: &LogDir,
    options: &LogOptions,
    ledger: &Mutex<Ledger>,
    found: &Found,
    scan: &Scan,
    recovered: Recovered,
) -> Result<Repaired> {
    let cut = match planted(Bug::TornNotKept) {
        true => None,
        false => keep_torn(log_dir, &found.last, scan.end.at)?,
    };
    let (header, drop_last) = successor(found, scan, options, recovered.chain)?;
    let segment = log_dir.create(header)?;
    let end = copy_unproven(found, scan, &segment)?;
    let lineage = new_lineage(&found.state, options)?;
    let dropped = found.last.header.id;
    ledger.lock().update(|state| {
        if drop_last {
            state.segments.retain(|id| *id != dropped);
        }
        state.segments.push(header.id);
        state.begin_lineage(lineage, recovered.last_key, recovered.next_key);
        state.lease = recovered.next_key.saturating_add(KEY_JUMP).min(MAX_KEY);
        state.synced_upto = segment.pos(end.at);
        state.clean = None;
        state.time_ms = recovered.time_ms;
    })?;
    let mut segments = found.segments.clone();
    if drop_last {
        segments.pop();
        log_dir.discard(&log_dir.file(FileName::Segment(dropped)));
    } else {
        trim(&found.last, &mut segments, header.predecessor_end);
    }
    segments.push(segment.stored());
    Ok(Repaired { segments, current: segment, end, cut })
}

/// Writes the bytes from `at` on, up to the last that is not zero, into a file of their own.
fn keep_torn(log_dir: &LogDir, last: &Segment, at: u64) -> Result<Option<Cut>> {
    let io = |source| Error::io(format!("read {}", last.path.display()), source);
    let rest = usize::try_from(last.limit().saturating_sub(at)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; rest.min(MAX_TORN_BYTES)];
    let count = read_full_at(&*last.file, &mut bytes, at).map_err(io)?;
    bytes.truncate(count);
    let Some(len) = bytes.iter().rposition(|byte| *byte != 0).map(|end| end + 1) else {
        return Ok(None);
    };
    bytes.truncate(len);
    let kept = log_dir.file(FileName::Torn { segment: last.header.id, offset: at });
    write_new(log_dir, &kept, &bytes)
        .map_err(|source| Error::io(format!("keep torn bytes in {}", kept.display()), source))?;
    let names = log_dir.list()?;
    let torn: Vec<&FileName> = names.iter().filter(|name| matches!(name, FileName::Torn { .. })).collect();
    for name in torn.iter().take(torn.len().saturating_sub(MAX_TORN_FILES)) {
        log_dir.discard(&log_dir.file(**name));
    }
    Ok(Some(Cut { file: last.path.clone(), offset: at, bytes: len as u64, kept }))
}

fn write_new(log_dir: &LogDir, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if log_dir.vfs.exists(path)? {
        log_dir.vfs.remove(path)?;
    }
    let file = log_dir.vfs.create_new(path)?;
    write_all_at(&*file, bytes, 0)?;
    file.sync_all()
}

/// The header of the segment in which the log goes on, and whether it stands in for the last one: one without a
/// proven frame, at which no position points, is left out, so that crashing again and again does not pile up segments.
fn successor(found: &Found, scan: &Scan, options: &LogOptions, chain: u32) -> Result<(SegmentHeader, bool)> {
    let last = &found.last.header;
    let pointed_at = found.applied.pos.max(found.state.sealing_upto.pos).segment;
    let drop_last = scan.proven.offset == FIRST_FRAME && last.id > pointed_at;
    let (predecessor, predecessor_end) = match drop_last {
        true => (last.predecessor, last.predecessor_end),
        false => (last.id, scan.proven.offset),
    };
    let copied = scan.end.at.saturating_sub(scan.proven.offset);
    let header = SegmentHeader {
        id: last.id.saturating_add(1),
        salt: random(options)?,
        store: last.store,
        predecessor,
        predecessor_end,
        chain,
        capacity: options.segment_bytes.max(FIRST_FRAME.saturating_add(copied)),
    };
    Ok((header, drop_last))
}

/// The own CRC of the last header before the proven position.
///
/// # Errors
///
/// `Damaged` if that position does not lie between two frames.
pub(super) fn chain_at(found: &Found, scan: &Scan) -> Result<u32> {
    let mut chain = found.last.header.chain;
    for_each_frame(found, scan, &mut |frame| {
        if frame.at < scan.proven.offset {
            chain = frame.crc;
        }
        Ok(())
    })?;
    Ok(chain)
}

/// Copies the frames beyond the proven position, one at a time, and makes them durable.
fn copy_unproven(found: &Found, scan: &Scan, to: &Segment) -> Result<End> {
    let mut end = End { at: FIRST_FRAME, chain: to.header.chain, ..scan.end };
    let mut buffer = Vec::new();
    let write = |source| Error::io(format!("write {}", to.path.display()), source);
    for_each_frame(found, scan, &mut |frame| {
        if frame.at < scan.proven.offset {
            return Ok(());
        }
        // A position before this segment marks the frame as a copy; see `check_unlisted`.
        let header = FrameHeader { synced: scan.proven, prev_crc: end.chain, ..frame.header };
        let (bytes, crc) = header.encode(&to.header.place(end.at));
        buffer.clear();
        buffer.extend_from_slice(&bytes);
        buffer.extend_from_slice(&frame.body);
        buffer.resize(buffer.len().next_multiple_of(ALIGN as usize), 0);
        write_all_at(&*to.file, &buffer, end.at).map_err(write)?;
        end.at = end.at.saturating_add(header.frame_len());
        end.chain = crc;
        Ok(())
    })?;
    if planted(Bug::RecoveredNotSynced) {
        return Ok(end);
    }
    to.file.sync_all().map_err(|source| Error::Io { what: format!("sync {}", to.path.display()), source })?;
    Ok(end)
}

/// Every sound frame of the last segment. One that reaches over the proven position cannot be: positions lie between
/// frames.
fn for_each_frame(found: &Found, scan: &Scan, each: &mut dyn FnMut(Frame) -> Result<()>) -> Result<()> {
    let last = &found.last;
    let mut reader = SegmentReader::new(last, Some(scan.end.at), 0);
    loop {
        match reader.step()? {
            Step::Frame(frame) if frame.at < scan.proven.offset && reader.at() > scan.proven.offset => {
                let what = format!("offset {} was synced, which lies within this frame", scan.proven.offset);
                return Err(Error::damaged(&last.path, frame.at, what));
            }
            Step::Frame(frame) => each(frame)?,
            Step::End => return Ok(()),
            Step::Bad(why) => return Err(Error::damaged(&last.path, reader.at(), why)),
        }
    }
}

/// Gives back the space behind the end of the segment that nothing will be written to any more. It was kept aside,
/// if there was anything.
fn trim(last: &Segment, segments: &mut [Stored], end: u64) {
    match last.file.set_len(end) {
        Ok(()) => segments.iter_mut().filter(|segment| segment.header.id == last.header.id).for_each(|it| it.len = end),
        Err(error) => tracing::warn!(file = %last.path.display(), %error, "a log segment could not be cut"),
    }
}

/// A random id that no lineage of this store has.
fn new_lineage(state: &LedgerState, options: &LogOptions) -> Result<u64> {
    let taken: BTreeSet<u64> = state.earlier.iter().map(|lineage| lineage.id).chain([0, state.lineage]).collect();
    for _ in 0..100 {
        let id = random(options)?;
        if !taken.contains(&id) {
            return Ok(id);
        }
    }
    let source = std::io::Error::other("the same numbers again and again");
    Err(Error::Io { what: "get a random number".into(), source })
}
