//! The chunks of one dataset after another.

use super::super::chunks::parse_chunk;
use super::super::families::Family;
use super::super::keys;
use super::super::rows::Position;
use super::super::snapshot::Snapshot;
use super::Checked;
use crate::chunk::{Chunk, ChunkMeta};
use crate::error::{Error, Result};

/// A walk over all chunks, dataset by dataset in order of id. Where it stands, a chunk was read: so at the end of one
/// dataset it stays where the next one begins.
pub(super) struct ChunkWalk<'s> {
    snapshot: &'s Snapshot<'s>,
    at: Position<'s>,
    id: u64,
    /// Chunks of this dataset up to this key were passed.
    passed: u64,
}

impl<'s> ChunkWalk<'s> {
    pub(super) fn new(snapshot: &'s Snapshot<'s>) -> ChunkWalk<'s> {
        ChunkWalk { snapshot, at: Position::new(snapshot, Family::Chunks, None), id: 0, passed: 0 }
    }

    /// Goes to the first chunk of a dataset, whose id is above those before.
    pub(super) fn begin(&mut self, id: u64) {
        let (from, _) = keys::dataset_range(id);
        (self.id, self.passed) = (id, 0);
        if !matches!(self.at.row(), Ok(Some((row, _))) if row >= &from[..]) {
            self.at.seek(&from);
        }
    }

    /// The chunk here, none behind the dataset's last. An error names the chunk that `meta` announces, which is the one
    /// that could not be read.
    pub(super) fn chunk(&self, meta: Option<ChunkMeta>, checked: &mut Checked) -> Result<Option<Chunk>> {
        let store = self.snapshot.store;
        let (_, end) = keys::dataset_range(self.id);
        match self.at.row() {
            Ok(Some((row, value))) if row < &end[..] => {
                checked.bytes += (row.len() + value.len()) as u64;
                parse_chunk(row, value).map(Some).map_err(|what| store.malformed(Family::Chunks, row, what))
            }
            Ok(_) => Ok(None),
            Err(error) => match meta {
                Some(meta) => Err(store.name_blob(&keys::pair(self.id, meta.last), error)),
                None => self.unannounced(error),
            },
        }
    }

    /// An error where no chunk of this dataset is announced is mostly that of the next dataset, which will name it. Only
    /// a walk that ends with this dataset can tell.
    fn unannounced(&self, error: Error) -> Result<Option<Chunk>> {
        let (_, end) = keys::dataset_range(self.id);
        let rest = (keys::pair(self.id, self.passed.saturating_add(1)).to_vec(), end);
        let mut at = Position::new(self.snapshot, Family::Chunks, Some(rest));
        at.seek_first();
        match at.row()? {
            Some(_) => Err(error),
            None => Ok(None),
        }
    }

    /// Behind the chunk here, which ends with this key.
    pub(super) fn next(&mut self, last: u64) {
        self.passed = last;
        self.at.next();
    }

    /// Behind this key.
    pub(super) fn skip(&mut self, last: u64) {
        self.passed = last;
        self.at.seek(&keys::pair(self.id, last.saturating_add(1)));
    }
}
