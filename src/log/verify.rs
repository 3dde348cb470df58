//! Looking at the whole log without changing it: every listed segment from its first frame, and on after each damage.

use std::ops::ControlFlow;
use std::path::Path;

use super::DIR_NAME;
use super::ledger::{Ledger, LedgerState};
use super::recovery::{check_unlisted, proven_by_ledger};
use super::scan::{Frame, SegmentReader, Step, find_headers};
use super::segment::{FIRST_FRAME, Segment, Stored};
use crate::codec::Malformed;
use crate::error::{Error, Result};
use crate::frame::{Body, LogPos};
use crate::types::Finding;
use crate::vfs::Vfs;

/// What a read-only scan looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scanned {
    /// Frames that are sound.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Walks ledger and log of the store in `dir` and reports every damage. Nothing is changed. A torn tail is none.
///
/// # Errors
///
/// If the ledger cannot be read at all, or the system refuses to read a file.
pub fn scan_readonly(vfs: &dyn Vfs, dir: &Path, report: &mut dyn FnMut(Finding)) -> Result<Scanned> {
    let state = Ledger::inspect(vfs, dir, report)?;
    let log_dir = dir.join(DIR_NAME);
    let mut segments = Vec::with_capacity(state.segments.len());
    for id in &state.segments {
        let segment = Segment::open(vfs, &log_dir, *id, state.store, false);
        segments.push(reported(segment.map(|segment| segment.stored()), report)?);
    }
    reported(check_unlisted(vfs, &log_dir, &state), report)?;
    let (scanned, proven) = (Scanned::default(), proven_by_ledger(&state));
    let mut verify = Verify { report, state: &state, scanned, last_key: 0, chain: None, proven };
    for (index, segment) in segments.iter().enumerate() {
        let next = segments.get(index + 1);
        match segment {
            Some(segment) => verify.segment(&segment.open(vfs, false)?, next.map(Option::as_ref))?,
            None => verify.chain = None,
        }
    }
    Ok(verify.scanned)
}

/// Damage as a finding; any other error stays one.
fn reported<T>(result: Result<T>, report: &mut dyn FnMut(Finding)) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Damaged { file, offset, what }) => {
            report(Finding { file: Some(file), offset, dataset: None, key: None, what });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

struct Verify<'a> {
    report: &'a mut dyn FnMut(Finding),
    state: &'a LedgerState,
    scanned: Scanned,
    last_key: u64,
    /// The last header's own CRC, if the frames up to here were sound.
    chain: Option<u32>,
    /// The greatest position that was synced, as far as the ledger and the frames up to here say.
    proven: LogPos,
}

impl Verify<'_> {
    /// One segment. `next` is none for the last one, and holds none if the next one cannot be read.
    fn segment(&mut self, segment: &Segment, next: Option<Option<&Stored>>) -> Result<()> {
        let header = &segment.header;
        if self.chain.is_some_and(|chain| chain != header.chain) {
            self.found(&segment.path, 0, "the segment does not continue the one before it");
        }
        if let Some(Some(next)) = next
            && next.header.predecessor != header.id
        {
            self.found(&next.path, 0, "the segment follows another one than the ledger lists before it");
        }
        if next.is_none() && segment.len < header.capacity {
            self.found(&segment.path, segment.len, "the segment is cut short");
        }
        let limit = next.flatten().map(|next| next.header.predecessor_end);
        let mut reader = SegmentReader::new(segment, limit, self.last_key);
        let mut sound = true;
        loop {
            match reader.step()? {
                Step::Frame(frame) => self.frame(segment, &frame),
                Step::End => break,
                Step::Bad(why) => {
                    let at = reader.at();
                    if limit.is_none() && !self.was_synced(segment, at)? {
                        break;
                    }
                    sound = false;
                    self.found(&segment.path, at, why);
                    match self.resume(segment, at, limit)? {
                        Some(at) => reader.skip_to(at),
                        None => break,
                    }
                }
            }
        }
        self.last_key = reader.link().last_key;
        self.chain = reader.link().chain.filter(|_| sound);
        match next {
            Some(_) => Ok(()),
            None => self.check_proven(segment, reader.at()),
        }
    }

    /// What was synced ends between two frames of the last segment.
    fn check_proven(&mut self, segment: &Segment, end: u64) -> Result<()> {
        find_headers(segment, end, &mut |_, header| {
            self.proven = self.proven.max(header.synced);
            ControlFlow::Continue(())
        })?;
        let proven = self.proven;
        let mut reader = SegmentReader::new(segment, Some(end), 0);
        while let Step::Frame(frame) = reader.step()? {
            if segment.pos(frame.at) < proven && proven < segment.pos(reader.at()) {
                self.found(&segment.path, frame.at, "the log was synced up to within this frame");
            }
        }
        Ok(())
    }

    fn frame(&mut self, segment: &Segment, frame: &Frame) {
        self.scanned.frames += 1;
        self.scanned.bytes += frame.header.frame_len();
        self.last_key = frame.header.last_key();
        self.proven = self.proven.max(frame.header.synced);
        match Body::parse(frame.body.clone()) {
            Ok(body) if body.count() == frame.header.count => {}
            Ok(_) => {
                self.found(&segment.path, frame.at, "a commit holds another number of records than its header says")
            }
            Err(Malformed(why)) => self.found(&segment.path, frame.at, why),
        }
    }

    /// Whether the log was once durable beyond this place of its last segment.
    fn was_synced(&self, segment: &Segment, at: u64) -> Result<bool> {
        let at_pos = segment.pos(at);
        let mut proven: LogPos = proven_by_ledger(self.state).max(segment.pos(FIRST_FRAME));
        find_headers(segment, at, &mut |_, header| {
            proven = proven.max(header.synced);
            match proven > at_pos {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        Ok(proven > at_pos)
    }

    /// Where, behind a bad frame, the next one stands.
    fn resume(&self, segment: &Segment, bad: u64, limit: Option<u64>) -> Result<Option<u64>> {
        let mut next = None;
        find_headers(segment, bad.saturating_add(1), &mut |at, header| {
            if limit.is_none_or(|limit| at < limit) && header.base > self.last_key {
                next = Some(at);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(next)
    }

    fn found(&mut self, path: &Path, offset: u64, what: &str) {
        let (file, offset) = (Some(path.to_path_buf()), Some(offset));
        (self.report)(Finding { file, offset, dataset: None, key: None, what: what.into() });
    }
}
