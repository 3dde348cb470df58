//! Chunks and their counts.
//!
//! A chunk is found through its counts: those rows are small and stay in the block cache, and with a chunk's last key
//! known the decoded chunk may be there already.

use std::sync::Arc;

use bytes::Bytes;

use super::families::Family;
use super::rows::{Position, Rows};
use super::snapshot::Snapshot;
use super::{Result, keys};
use crate::chunk::{Chunk, ChunkMeta};
use crate::codec::Malformed;

impl Snapshot<'_> {
    /// The chunk that holds the smallest key >= `key`. `epoch` is the dataset's as this snapshot has it.
    pub fn chunk_covering(&self, id: u64, epoch: u64, key: u64) -> Result<Option<Arc<Chunk>>> {
        match self.meta_covering(id, key)? {
            Some(meta) => self.chunk(id, epoch, meta.last).map(Some),
            None => Ok(None),
        }
    }

    /// The chunk that holds the greatest key < `key`.
    pub fn chunk_before(&self, id: u64, epoch: u64, key: u64) -> Result<Option<Arc<Chunk>>> {
        match self.meta_before(id, key)? {
            Some(meta) => self.chunk(id, epoch, meta.last).map(Some),
            None => Ok(None),
        }
    }

    /// The counts of the chunk that holds the smallest key >= `key`.
    pub fn meta_covering(&self, id: u64, key: u64) -> Result<Option<ChunkMeta>> {
        self.metas(id, key).next().transpose()
    }

    /// The counts of the chunk that holds the greatest key < `key`.
    pub fn meta_before(&self, id: u64, key: u64) -> Result<Option<ChunkMeta>> {
        let mut at = Position::new(self, Family::ChunkMeta, Some(keys::dataset_range(id)));
        at.seek(&keys::pair(id, key));
        match at.parsed(parse_meta)? {
            Some(meta) if meta.first < key => return Ok(Some(meta)),
            Some(_) => at.prev(),
            None => at.seek_last(),
        }
        at.parsed(parse_meta)
    }

    /// The counts of all chunks that hold a key >= `from`, in key order.
    pub fn metas(&self, id: u64, from: u64) -> Rows<'_, ChunkMeta> {
        let (_, to) = keys::dataset_range(id);
        Rows::new(self, Family::ChunkMeta, (keys::pair(id, from).to_vec(), to), parse_meta)
    }

    /// The chunks that hold a key >= `from`, in key order, past the cache and without their counts: to walk over the few
    /// bytes of a small dataset costs less than to look its chunks up one by one.
    pub fn walk_chunks(&self, id: u64, from: u64) -> Rows<'_, Chunk> {
        let (_, to) = keys::dataset_range(id);
        Rows::new(self, Family::Chunks, (keys::pair(id, from).to_vec(), to), parse_chunk)
    }

    /// The chunk with this last key, which exists: its counts do.
    pub fn chunk(&self, id: u64, epoch: u64, last: u64) -> Result<Arc<Chunk>> {
        match self.store.recent_chunk(id, epoch, last) {
            Some(chunk) => Ok(chunk),
            None => self.load_chunk(id, epoch, last),
        }
    }

    /// The same, known not to be in the cache.
    pub fn load_chunk(&self, id: u64, epoch: u64, last: u64) -> Result<Arc<Chunk>> {
        let chunk = Arc::new(self.read_chunk(id, last)?);
        self.store.insert_chunk((id, epoch, last), &chunk);
        Ok(chunk)
    }

    /// The same past the cache, for what reads everything once.
    pub fn read_chunk(&self, id: u64, last: u64) -> Result<Chunk> {
        let row = keys::pair(id, last);
        let wrong = |what| self.store.malformed(Family::Chunks, &row, what);
        let value = self.get(Family::Chunks, &row).map_err(|error| self.store.name_blob(&row, error))?;
        let value = value.ok_or_else(|| wrong(Malformed("it is missing")))?;
        parse_chunk(&row, &value).map_err(wrong)
    }
}

/// The counts in a row of `chunk_meta`.
pub(super) fn parse_meta(row: &[u8], value: &[u8]) -> Result<ChunkMeta, Malformed> {
    let (_, last) = keys::parse_pair(row)?;
    let meta = ChunkMeta::decode(value)?;
    if meta.last == last { Ok(meta) } else { Err(Malformed("a chunk's counts name another last key")) }
}

/// The chunk in a row of `chunks`.
pub(super) fn parse_chunk(row: &[u8], value: &[u8]) -> Result<Chunk, Malformed> {
    let (_, last) = keys::parse_pair(row)?;
    let chunk = Chunk::decode(Bytes::copy_from_slice(value))?;
    if chunk.last_key() == last { Ok(chunk) } else { Err(Malformed("a chunk ends with another key")) }
}
