//! The log: the only thing that is synced for each commit.
//!
//! Frames are appended to preallocated segments. Scanning, the verdict over what a scan found, and repair are three
//! things in three places: `scan`, `recovery` and `repair`. The layout is specified in `docs/format.md`.

mod ledger;
mod names;
mod options;
mod recovery;
mod repair;
mod scan;
mod segment;
mod sync;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use ledger::{CleanEnd, Ledger, LedgerState, Upto};
pub use options::{AppendError, LogOptions, NewFrame};
#[cfg(any(test, feature = "testing"))]
pub use recovery::Recovery;
pub use recovery::Sound;
pub use segment::{FIRST_FRAME, SegmentHeader};
pub use sync::SyncPoint;
pub use verify::scan_readonly;

use crate::error::{Error, Result};
use crate::frame::{FrameHeader, HEADER_LEN, LogPos};
use crate::limits::MAX_SEGMENTS;
use crate::vfs::{Vfs, is_full, write_all_at, write_zeros_at};
use names::FileName;
use scan::frames_len;
use segment::{LogDir, Segment};
use sync::Syncs;

/// The directory of the log within the store's.
const DIR_NAME: &str = "log";
/// A buffer that grew beyond this for one group is not kept.
const KEPT_BUFFER: usize = 4 << 20;
/// How much of a new segment is written ahead in one go, at most, and as a part of it. Space that is only reserved is turned
/// into written space by a change of metadata, and a sync that has to write that too takes twice as long.
const AHEAD_BYTES: u64 = 1 << 20;
const AHEAD_PART: u64 = 64;

/// The file of a segment of the store in `dir`.
pub fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(DIR_NAME).join(FileName::Segment(segment).to_string())
}

/// Segments are not recycled while one of these is there.
pub struct Pin {
    _held: Arc<()>,
}

/// A live segment.
#[derive(Debug, Clone, Copy)]
struct Live {
    id: u64,
    bytes: u64,
}

/// The open log. Lock order: the log, then the ledger.
pub struct Log {
    dir: LogDir,
    options: LogOptions,
    ledger: Arc<Mutex<Ledger>>,
    store: u64,
    /// Ascending; the last one is `current`.
    live: Vec<Live>,
    current: Segment,
    /// Where the next frame goes.
    at: u64,
    /// The last header's own CRC.
    chain: u32,
    last_key: u64,
    time_ms: u64,
    synced: LogPos,
    syncs: Arc<Syncs>,
    closed: bool,
    buffer: Vec<u8>,
    pins: Arc<()>,
}

impl Log {
    /// Creates the log of a new store, whose ledger is there.
    pub fn create(vfs: Arc<dyn Vfs>, dir: &Path, options: LogOptions, ledger: Arc<Mutex<Ledger>>) -> Result<Log> {
        let log_dir = LogDir { vfs, path: dir.join(DIR_NAME) };
        let made = log_dir.vfs.create_dir_all(&log_dir.path).and_then(|()| log_dir.vfs.sync_dir(dir));
        made.map_err(|source| log_dir.error("create", source))?;
        let store = ledger.lock().state().store;
        let salt = random(&options)?;
        let capacity = options.segment_bytes.max(FIRST_FRAME);
        let (predecessor, predecessor_end, chain) = (0, 0, 0);
        let header = SegmentHeader { id: 1, salt, store, predecessor, predecessor_end, chain, capacity };
        let segment = log_dir.create(header)?;
        ledger.lock().update(|state| state.segments = vec![1])?;
        let live = vec![Live { id: 1, bytes: segment.len }];
        Ok(Log::at(log_dir, options, ledger, live, segment, End { at: FIRST_FRAME, chain, last_key: 0, time_ms: 0 }))
    }

    /// Looks at a log that is to be opened: nothing is changed before [`Sound::open`], which this leads to. `applied` is
    /// what the index store holds.
    ///
    /// # Errors
    ///
    /// `Damaged`, with file and offset, if anything is missing or wrong that was once durable; `FormatTooNew`.
    pub fn look(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: LogOptions,
        ledger: Arc<Mutex<Ledger>>,
        applied: Upto,
    ) -> Result<Sound> {
        recovery::look(vfs, dir, options, ledger, applied)
    }

    fn at(
        dir: LogDir,
        options: LogOptions,
        ledger: Arc<Mutex<Ledger>>,
        live: Vec<Live>,
        current: Segment,
        end: End,
    ) -> Log {
        let End { at, chain, last_key, time_ms } = end;
        let (store, synced) = (current.header.store, current.pos(at));
        let (syncs, closed, buffer, pins) = (Arc::default(), false, Vec::new(), Arc::default());
        Log {
            dir,
            options,
            ledger,
            store,
            live,
            current,
            at,
            chain,
            last_key,
            time_ms,
            synced,
            syncs,
            closed,
            buffer,
            pins,
        }
    }

    /// Appends frames with one write, and returns the new end. Rolls to a new segment first if they do not fit.
    pub fn append(&mut self, frames: &[NewFrame<'_>]) -> Result<LogPos, AppendError> {
        self.check()?;
        let total = frames_len(frames.iter().map(|frame| frame.body.len()));
        if self.at.saturating_add(total) > self.current.limit() {
            self.roll_for(total)?;
        }
        let encoded = self.encode(frames)?;
        let end = self.at.saturating_add(total);
        let ahead = self.write_ahead(end);
        let written = ahead.and_then(|upto| write_all_at(&*self.current.file, &self.buffer, self.at).map(|()| upto));
        match written {
            Ok(upto) => (self.at, self.current.written) = (end, upto),
            Err(error) => return Err(self.refuse(&encoded.starts, error)),
        }
        (self.chain, self.last_key, self.time_ms) = (encoded.chain, encoded.last_key, encoded.time_ms);
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        Ok(self.end())
    }

    /// Writes zeros behind `end` if nothing was written there yet, and returns up to where the segment is written then.
    fn write_ahead(&self, end: u64) -> io::Result<u64> {
        let Segment { file, written, .. } = &self.current;
        if end <= *written {
            return Ok(*written);
        }
        let limit = self.current.limit();
        let upto = end.saturating_add(AHEAD_BYTES.min(limit / AHEAD_PART)).min(limit).max(end);
        write_zeros_at(&**file, end, upto)?;
        Ok(upto)
    }

    /// Fills the buffer with the frames as they will stand in the current segment.
    fn encode(&mut self, frames: &[NewFrame<'_>]) -> Result<Encoded, AppendError> {
        let (chain, last_key, time_ms) = (self.chain, self.last_key, self.time_ms);
        let mut encoded = Encoded { starts: Vec::with_capacity(frames.len()), chain, last_key, time_ms };
        self.buffer.clear();
        for frame in frames {
            let header = FrameHeader {
                body_len: u32::try_from(frame.body.len()).unwrap_or(u32::MAX),
                count: frame.count,
                base: frame.base,
                time_ms: frame.time_ms,
                body_crc: frame.body_crc,
                synced: self.synced,
                prev_crc: encoded.chain,
            };
            let start = self.at.saturating_add(self.buffer.len() as u64);
            let place = self.current.header.place(start);
            let (bytes, crc) = header.encode(&place);
            // What recovery would not read must not be acknowledged.
            if FrameHeader::decode(&bytes, &place).is_none() || header.base <= encoded.last_key {
                return Err(self.fail(format!("a frame at key {} is out of bounds or out of order", frame.base)));
            }
            self.buffer.extend_from_slice(&bytes);
            self.buffer.extend_from_slice(frame.body);
            let padded = usize::try_from(start + header.frame_len() - self.at).unwrap_or(usize::MAX);
            self.buffer.resize(padded, 0);
            encoded.starts.push(start);
            (encoded.chain, encoded.last_key) = (crc, header.last_key());
            encoded.time_ms = encoded.time_ms.max(frame.time_ms);
        }
        Ok(encoded)
    }

    /// After a failed write: makes sure that no frame of it is ever found, as far as that can be made sure. Space that
    /// was reserved can be overwritten also on a full disk. Only when that is durable the answer "nothing was written"
    /// is true.
    fn refuse(&mut self, starts: &[u64], error: io::Error) -> AppendError {
        let what = format!("write {}: {error}", self.current.path.display());
        let zeros = [0; HEADER_LEN];
        let zeroed = starts.iter().try_for_each(|start| write_all_at(&*self.current.file, &zeros, *start));
        if !is_full(&error) {
            return self.fail(what);
        }
        match zeroed.and_then(|()| self.syncs.sync(&*self.current.file)) {
            Ok(()) => AppendError::NoSpace(what),
            Err(error) => self.fail(format!("{what}, and it could not be undone: {error}")),
        }
    }

    /// Ends the current segment and begins a new one with room for `frames` bytes of frames.
    ///
    /// The old segment is synced before the new one's header says where it ends, and the new one is durable before
    /// the ledger names it; only then is it used.
    fn roll_for(&mut self, frames: u64) -> Result<(), AppendError> {
        if self.live.len() >= MAX_SEGMENTS {
            return Err(AppendError::NoSpace(format!("{MAX_SEGMENTS} log segments wait to be sealed")));
        }
        if let Err(error) = self.syncs.sync(&*self.current.file) {
            return Err(self.fail(format!("sync {}: {error}", self.current.path.display())));
        }
        let salt = match random(&self.options) {
            Ok(salt) => salt,
            Err(error) => return Err(self.fail(error.to_string())),
        };
        let header = SegmentHeader {
            id: self.current.header.id.saturating_add(1),
            salt,
            store: self.store,
            predecessor: self.current.header.id,
            predecessor_end: self.at,
            chain: self.chain,
            capacity: self.options.segment_bytes.max(FIRST_FRAME.saturating_add(frames)),
        };
        let segment = match self.dir.create(header) {
            Ok(segment) => segment,
            Err(AppendError::NoSpace(what)) => return Err(AppendError::NoSpace(what)),
            Err(AppendError::Failed(what)) => return Err(self.fail(what)),
        };
        let listed = self.ledger.lock().update(|state| state.segments.push(header.id));
        if let Err(error) = listed {
            return Err(self.fail(error.to_string()));
        }
        self.live.push(Live { id: header.id, bytes: segment.len });
        self.current = segment;
        self.at = FIRST_FRAME;
        self.note_synced(self.end());
        Ok(())
    }

    /// Where the log ends.
    pub fn end(&self) -> LogPos {
        self.current.pos(self.at)
    }

    /// What to sync so that everything appended so far is durable.
    pub fn sync_point(&self) -> SyncPoint {
        SyncPoint::new(Arc::clone(&self.current.file), Arc::clone(&self.syncs))
    }

    /// Everything before `pos` is durable: later headers say so.
    pub fn note_synced(&mut self, pos: LogPos) {
        self.synced = self.synced.max(pos);
    }

    /// Syncs everything and marks the store as closed in the ledger; no append can follow. Not to be called if a key
    /// was given out at or above `next_key`.
    pub fn close(&mut self, next_key: u64) -> Result<()> {
        self.check()?;
        self.closed = true;
        if let Err(source) = self.syncs.sync(&*self.current.file) {
            return Err(Error::Io { what: format!("sync {}", self.current.path.display()), source });
        }
        let clean = CleanEnd { next_key, last_key: self.last_key, end: self.end() };
        let time_ms = self.time_ms;
        self.ledger.lock().update(|state| {
            state.clean = Some(clean);
            state.synced_upto = state.synced_upto.max(clean.end);
            state.lease = state.lease.max(next_key);
            state.time_ms = state.time_ms.max(time_ms);
        })
    }

    /// Lets go of the segments wholly below `upto`, which must be in the index store durably. Nothing happens while
    /// there is a [`Pin`].
    pub fn recycle(&mut self, upto: LogPos) -> Result<()> {
        let keep_from = upto.segment.min(self.current.header.id);
        if Arc::strong_count(&self.pins) > 1 || self.live.first().is_none_or(|live| live.id >= keep_from) {
            return Ok(());
        }
        let time_ms = self.time_ms;
        self.ledger.lock().update(|state| {
            state.segments.retain(|id| *id >= keep_from);
            // What is left may hold no commit that tells it.
            state.time_ms = state.time_ms.max(time_ms);
        })?;
        for live in self.live.iter().filter(|live| live.id < keep_from) {
            self.dir.retire(live.id, self.options.segment_bytes);
        }
        self.live.retain(|live| live.id >= keep_from);
        Ok(())
    }

    /// The live segments, ascending.
    pub fn segments(&self) -> Vec<u64> {
        self.live.iter().map(|live| live.id).collect()
    }

    /// Bytes of the live segments.
    pub fn log_bytes(&self) -> u64 {
        self.live.iter().map(|live| live.bytes).sum()
    }

    /// Blocks recycling until it is dropped.
    pub fn pin(&self) -> Pin {
        Pin { _held: Arc::clone(&self.pins) }
    }

    /// The file of a segment.
    pub fn path_of(&self, segment: u64) -> PathBuf {
        self.dir.file(FileName::Segment(segment))
    }

    fn check(&self) -> Result<(), AppendError> {
        match self.syncs.failure() {
            Some(cause) => Err(AppendError::Failed(cause)),
            None if self.closed => Err(AppendError::Failed("the log is closed".into())),
            None => Ok(()),
        }
    }

    fn fail(&mut self, cause: String) -> AppendError {
        AppendError::Failed(self.syncs.fail(cause))
    }
}

/// What is known where a log ends.
#[derive(Debug, Clone, Copy)]
struct End {
    at: u64,
    chain: u32,
    last_key: u64,
    time_ms: u64,
}

/// What a group's frames add up to.
struct Encoded {
    starts: Vec<u64>,
    chain: u32,
    last_key: u64,
    time_ms: u64,
}

fn random(options: &LogOptions) -> Result<u64> {
    (options.random)().map_err(|source| Error::Io { what: "get a random number".into(), source })
}

#[cfg(test)]
mod tests;
