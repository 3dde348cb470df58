//! The index store: everything sealed, in RocksDB. The only place that knows so.
//!
//! One thread writes, in batches that are each consistent in themselves; RocksDB's own log is off, so a batch is durable
//! with the next flush, and what was not flushed is applied again from ours.

mod blobs;
mod cache;
mod check;
mod chunks;
mod crc32c;
mod entities;
mod errors;
mod families;
mod index;
mod keys;
mod kv;
mod manifest;
mod open;
mod pool;
mod recent;
mod record;
mod rows;
mod shares;
mod snapshot;
mod stretches;
mod tuning;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

pub use cache::CacheStat;
pub use index::Index;
pub use pool::Pool;
pub use recent::{Sealed, SealedChunk, SealedChunks};
pub use record::{Applied, ConsumerRecord, DatasetRecord, IdempotencyRecord, Version};
pub use rows::Rows;
pub use snapshot::Snapshot;
pub use stretches::Stretch;
pub use write::Changes;

use crate::chunk::Chunk;
use crate::codec::Malformed;
use crate::error::Error;
use crate::vfs::Vfs;
use cache::{ChunkCache, ChunkKey};
use families::Family;
use kv::{Batch, Kv};
use manifest::TornEnd;
use open::Mode;
use recent::Recent;
use shares::Shares;
use tuning::Shared;

use crate::error::Result;

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Bytes for RocksDB: block cache and memtables together. What it does not use is lent to decoded chunks.
    pub memory: usize,
    /// Bytes for decoded chunks, and a twelfth of them for what is remembered of datasets.
    pub cache_bytes: usize,
    /// Whether what is written is compressed.
    pub lz4: bool,
}

/// A blob file and an offset in it.
type BlobPlace = (PathBuf, u64);

/// An open index store.
pub struct Store {
    kv: Kv,
    /// Only its points are used here: see [`Vfs::point`].
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    /// The torn end of the MANIFEST, and where RocksDB reads instead.
    torn: Option<(TornEnd, tempfile::TempDir)>,
    cache: ChunkCache,
    recent: Recent,
    shared: Shared,
    shares: Shares,
    /// Rows of `chunks` that could not be read, with the blob file and offset of each, if it was found. A search costs
    /// a walk through all blob files, so it is made once.
    damaged_blobs: Mutex<BTreeMap<Vec<u8>, Option<BlobPlace>>>,
    mode: Mode,
    /// Whether compactions give back the space of dropped chunks, if that is known.
    collecting: Mutex<Option<bool>>,
    /// Set by a write or flush that found the disk full: RocksDB takes no more then. [`Index`] replaces it.
    stopped: AtomicBool,
}

impl Store {
    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How far the log has been applied, flushed or not.
    pub fn applied(&self) -> Result<Applied> {
        self.snapshot().applied()
    }

    /// The store as it is now, for any number of reads.
    pub fn snapshot(&self) -> Snapshot<'_> {
        self.shares.count_read(&self.shared, &self.cache);
        Snapshot::new(self)
    }

    /// How often the store was changed; none while it is.
    pub fn count(&self) -> Option<u64> {
        self.recent.count()
    }

    /// What is remembered of a dataset. It is as in a snapshot of the present count, if that is the same before and after
    /// this.
    pub fn recent(&self, id: u64) -> Option<Arc<Sealed>> {
        self.recent.get(id)
    }

    /// Remembers what a snapshot of this count has of a dataset, as long as nothing changes it.
    pub fn remember(&self, count: u64, id: u64, sealed: &Arc<Sealed>) {
        self.recent.insert(count, id, sealed);
    }

    /// What is remembered of some of a dataset's chunks, from that on which holds the smallest key >= `key`. It is as of a
    /// count as in [`Store::recent`].
    pub fn stretch(&self, id: u64, key: u64, with_marks: bool) -> Option<Arc<Stretch>> {
        self.recent.stretches.get(id, key, with_marks)
    }

    /// How many of a dataset's chunks are to be read and remembered together from `key` on.
    pub fn stretch_chunks(&self, id: u64, key: u64) -> usize {
        self.recent.stretches.chunks_from(id, key)
    }

    /// Remembers what a snapshot of this count has of a dataset's chunks, as long as nothing changes them.
    pub fn remember_stretch(&self, count: u64, id: u64, stretch: &Arc<Stretch>) {
        self.recent.insert_stretch(count, id, stretch);
    }

    /// The chunk with this last key, if it was read lately.
    pub fn recent_chunk(&self, id: u64, epoch: u64, last: u64) -> Option<Arc<Chunk>> {
        self.cache.get((id, epoch, last))
    }

    fn insert_chunk(&self, key: ChunkKey, chunk: &Arc<Chunk>) {
        self.cache.insert(key, Arc::clone(chunk));
        self.shares.count_inserted(chunk.memory(), &self.shared, &self.cache);
    }

    /// Leaves so many bytes of what decoded chunks may take to others.
    pub fn leave(&self, bytes: usize) {
        self.shares.take(bytes, &self.shared, &self.cache);
    }

    /// An empty set of changes, with room for `capacity` bytes.
    pub fn changes(&self, capacity: usize) -> Changes<'_> {
        Changes::new(self, capacity)
    }

    /// Makes all of `changes` or none; readers see them at once. They are durable with the next [`Store::flush`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`] if the disk has no room for them: nothing was changed, try again any time.
    pub fn commit(&self, changes: Changes<'_>) -> Result<()> {
        self.point("commit to the index store")?;
        // What is in memtables goes to disk with the same flush.
        self.check_room(changes.len_bytes() as u64 + self.shared.buffers.get_usage() as u64)?;
        let _changing = self.recent.change(&changes.datasets);
        self.write(changes.batch)
    }

    /// Makes everything committed durable, in all column families together, and waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`] if the disk is full. What was committed stays readable, and neither commits nor flushes
    /// succeed until [`Index::ready`] does.
    pub fn flush(&self) -> Result<()> {
        self.point("flush the index store")?;
        // Once RocksDB has stopped, each flush asked for makes closing wait a second longer; a write is refused at once.
        self.write(self.kv.batch(0))?;
        self.kv.flush(&self.dir).map_err(|error| self.stop(error))?;
        self.collect(self.has_garbage());
        self.point("the index store is flushed")
    }

    /// Lets compactions give back the space of dropped chunks, or not.
    fn collect(&self, garbage: bool) {
        let mut collecting = self.collecting.lock();
        if *collecting != Some(garbage) {
            // If it fails it may have been done all the same.
            *collecting = Some(garbage).filter(|_| self.kv.set(Family::Chunks, &tuning::collect(garbage)));
        }
    }

    /// Whether so much of the blob files is garbage, as far as compactions have found it, that it should be collected.
    fn has_garbage(&self) -> bool {
        self.number(Family::Chunks, GARBAGE) > self.number(Family::Chunks, LIVE_BLOB_BYTES) / 4
    }

    /// A copy of the store as it is now in `dest`, which must not exist; its files are links where possible.
    pub fn checkpoint(&self, dest: &Path) -> Result<()> {
        self.kv.checkpoint(&self.dir, dest)
    }

    /// Bytes that RocksDB holds in memory, about: cache, memtables and table readers.
    pub fn memory_bytes(&self) -> u64 {
        let readers: u64 = Family::ALL.iter().map(|family| self.number(*family, TABLE_READERS)).sum();
        let blocks = self.shared.blocks.get_usage() as u64;
        blocks.max(self.shared.buffers.get_usage() as u64) + readers
    }

    /// Bytes of the store's files, about.
    pub fn disk_bytes(&self) -> u64 {
        let bytes = |family| self.number(family, TABLE_FILES) + self.number(family, BLOB_FILES);
        Family::ALL.into_iter().map(bytes).sum()
    }

    /// Gives the space of what was dropped back to the file system, as far as it concerns one dataset, or all.
    pub fn reclaim(&self, dataset: Option<u64>) {
        match dataset {
            Some(id) => {
                let (from, to) = keys::dataset_range(id);
                // Tiers know no ranges: this would write the marks of all datasets anew.
                for family in Family::BY_DATASET.into_iter().filter(|family| *family != Family::Superseded) {
                    self.kv.reclaim(family, Some(&from), Some(&to));
                }
            }
            None => {
                // What is dropped is garbage only once this has found it.
                self.collect(true);
                Family::ALL.into_iter().for_each(|family| self.kv.reclaim(family, None, None));
                self.collect(self.has_garbage());
            }
        }
    }

    /// Whether it takes no more writes.
    fn is_stopped(&self) -> bool {
        self.is_read_only() || self.stopped.load(Ordering::Acquire)
    }

    /// Whether a flush or a compaction in the background has failed since it was opened.
    fn has_failed(&self) -> bool {
        self.kv.rocks().and_then(|db| db.property_int_value(BACKGROUND_ERRORS).ok().flatten()).unwrap_or(0) > 0
    }

    fn is_read_only(&self) -> bool {
        self.mode == Mode::ReadOnly
    }

    /// The cache of decoded chunks.
    pub fn cache_stat(&self) -> CacheStat {
        self.cache.stat()
    }

    fn point(&self, what: &'static str) -> Result<()> {
        self.vfs.point(what).map_err(|source| Error::io(what, source))
    }

    fn write(&self, batch: Batch<'_>) -> Result<()> {
        if self.is_stopped() {
            let what = format!("the disk of {} was full; there is no room yet to open it again", self.dir.display());
            return Err(Error::NoSpace { what });
        }
        self.kv.write(&self.dir, batch).map_err(|error| self.stop(error))
    }

    /// RocksDB refused a write or a flush. After a full disk it refuses all later ones too, until its own recovery, which
    /// looks for space every five seconds and cannot be told to look now.
    fn stop(&self, error: Error) -> Error {
        if matches!(error, Error::NoSpace { .. }) {
            self.stopped.store(true, Ordering::Release);
        }
        error
    }

    /// Refuses what the disk would have no room for when it is flushed: a flush that fails takes RocksDB out of service,
    /// this does not.
    pub fn check_room(&self, more: u64) -> Result<()> {
        if self.kv.rocks().is_none() {
            return Ok(());
        }
        let disk = rustix::fs::statvfs(&self.dir)
            .map_err(|error| Error::io(format!("look at the disk of {}", self.dir.display()), error.into()))?;
        let room = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = more + ROOM_TO_SPARE;
        if room < needed {
            let what = format!("the index store in {} needs {needed} bytes, there are {room}", self.dir.display());
            return Err(Error::NoSpace { what });
        }
        Ok(())
    }

    fn number(&self, family: Family, property: &str) -> u64 {
        self.kv.number(family, property)
    }

    fn refused(&self, what: &str, error: &rocksdb::Error) -> Error {
        errors::refused(&self.dir, what, error)
    }

    /// Puts the blob file's name into an error that concerns this row of `chunks` and names no file.
    fn name_blob(&self, row: &[u8], error: Error) -> Error {
        let what = match error {
            Error::Damaged { file, offset: None, what } if file == self.dir => what,
            other => return other,
        };
        let mut known = self.damaged_blobs.lock();
        if known.len() >= 64 {
            known.clear();
        }
        let found = known.entry(row.to_vec()).or_insert_with(|| blobs::damaged(&self.dir, row));
        match found {
            Some((file, offset)) => Error::damaged(file.as_path(), *offset, what),
            None => Error::damaged(&self.dir, None, what),
        }
    }

    fn malformed(&self, family: Family, row: &[u8], what: Malformed) -> Error {
        errors::malformed(&self.dir, family.name(), row, what)
    }
}

const BACKGROUND_ERRORS: &str = "rocksdb.background-errors";

/// For files' ends, the MANIFEST, and what the log takes meanwhile.
const ROOM_TO_SPARE: u64 = 1 << 20;

const LIVE_BLOB_BYTES: &str = "rocksdb.live-blob-file-size";
const GARBAGE: &str = "rocksdb.live-blob-file-garbage-size";
const TABLE_READERS: &str = "rocksdb.estimate-table-readers-mem";
const TABLE_FILES: &str = "rocksdb.total-sst-files-size";
const BLOB_FILES: &str = "rocksdb.total-blob-file-size";
