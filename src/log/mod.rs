//! The log: the only thing that is synced for each commit.
#![allow(unused_variables)]

mod ledger;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

pub use ledger::{CleanEnd, FORMAT_VERSION, Ledger, LedgerState, Lineage, Upto};

use crate::error::Result;
use crate::frame::{FrameHeader, LogPos};
use crate::types::Finding;
use crate::vfs::Vfs;

/// Where random numbers come from (salts, ids of lineages).
pub type Random = Arc<dyn Fn() -> io::Result<u64> + Send + Sync>;

/// How a log is opened.
#[derive(Clone)]
pub struct LogOptions {
    /// The size of a segment in bytes; a larger frame makes a larger one.
    pub segment_bytes: u64,
    /// The wall clock's time, below which `SyncKeys::Timestamp` gives no key after an unclean stop.
    pub now_ms: u64,
    /// Where random numbers come from.
    pub random: Random,
}

impl LogOptions {
    /// With the operating system's random numbers.
    pub fn new(segment_bytes: u64, now_ms: u64) -> LogOptions {
        LogOptions {
            segment_bytes,
            now_ms,
            random: Arc::new(|| getrandom::u64().map_err(|e| io::Error::other(e.to_string()))),
        }
    }
}

/// A frame to append.
#[derive(Debug, Clone, Copy)]
pub struct NewFrame<'a> {
    /// The body's stored form.
    pub body: &'a Bytes,
    /// Its CRC-32.
    pub body_crc: u32,
    /// How many keys it takes.
    pub count: u32,
    /// The first of them.
    pub base: u64,
    /// The time of the commit.
    pub time_ms: u64,
}

/// Why an append failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendError {
    /// The disk is full. Nothing was written, certainly; the log goes on working.
    NoSpace(String),
    /// Whether the frames will be found after reopening is unknown, and the log takes no more.
    Failed(String),
}

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The last key in the log (or applied before).
    pub last_key: u64,
    /// The next key to give out.
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
    /// How many bytes.
    pub bytes: u64,
    /// Where they are kept.
    pub kept: PathBuf,
}

/// Something to sync, apart from the log's lock.
#[derive(Clone)]
pub struct SyncPoint {}

impl SyncPoint {
    /// Where the log ended when this was made.
    pub fn end(&self) -> LogPos {
        todo!()
    }
    /// Makes everything before [`SyncPoint::end`] durable. After one failure every sync of this log fails.
    pub fn sync(&self) -> io::Result<()> {
        todo!()
    }
}

/// Segments are not recycled while one of these is there.
pub struct Pin {}

/// The open log. Lock order: the log, then the ledger.
pub struct Log {}

impl Log {
    /// Creates the log of a new store, whose ledger is there.
    pub fn create(vfs: Arc<dyn Vfs>, dir: &Path, options: LogOptions, ledger: Arc<Mutex<Ledger>>) -> Result<Log> {
        todo!()
    }
    /// Opens and recovers.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: LogOptions,
        ledger: Arc<Mutex<Ledger>>,
        applied: Upto,
        visit: &mut dyn FnMut(&FrameHeader, Bytes) -> Result<()>,
    ) -> Result<(Log, Recovery)> {
        todo!()
    }
    /// Appends frames with one write, and returns the new end.
    pub fn append(&mut self, frames: &[NewFrame<'_>]) -> Result<LogPos, AppendError> {
        todo!()
    }
    /// Where the log ends.
    pub fn end(&self) -> LogPos {
        todo!()
    }
    /// What to sync so that everything appended so far is durable.
    pub fn sync_point(&self) -> SyncPoint {
        todo!()
    }
    /// Everything before `pos` is durable: later headers say so.
    pub fn note_synced(&mut self, pos: LogPos) {
        todo!()
    }
    /// Syncs everything and marks the store as closed in the ledger. No append may follow.
    pub fn close(&mut self, next_key: u64) -> Result<()> {
        todo!()
    }
    /// Lets go of the segments wholly below `upto`, which must be in the index store.
    pub fn recycle(&mut self, upto: LogPos) -> Result<()> {
        todo!()
    }
    /// The live segments, ascending.
    pub fn segments(&self) -> Vec<u64> {
        todo!()
    }
    /// Bytes of the live segments.
    pub fn log_bytes(&self) -> u64 {
        todo!()
    }
    /// Blocks recycling until it is dropped.
    pub fn pin(&self) -> Pin {
        todo!()
    }
    /// The file of a segment.
    pub fn path_of(&self, segment: u64) -> PathBuf {
        todo!()
    }
}

/// What a read-only scan looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scanned {
    /// Frames that are sound.
    pub frames: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Walks the whole log and reports every damage; changes nothing.
pub fn scan_readonly(vfs: &dyn Vfs, dir: &Path, report: &mut dyn FnMut(Finding)) -> Result<Scanned> {
    todo!()
}
