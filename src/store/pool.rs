//! Iterators that serve again and again: to make one costs more than most datasets have to tell.
//!
//! RocksDB takes an iterator's bounds when it is made, so these have none but their family's, and a walk finds a dataset's
//! end by stepping beyond it, over whatever was deleted up to the next row that is there. That next dataset's own walk
//! passes the same again: together it is twice as much, whatever lies there. A walk alone, whose end would matter, has
//! bounds: see [`Rows`](super::rows::Rows).

use std::cell::RefCell;

use bytes::Bytes;

use super::entities::parse_entity;
use super::families::Family;
use super::record::Version;
use super::rows::Position;
use super::snapshot::{ConsumerRow, Snapshot, parse_consumer, parse_mark};
use super::{Result, chunks, keys};
use crate::chunk::ChunkMeta;
use crate::codec::Malformed;

/// Reads of one snapshot, for who asks about many datasets in turn.
pub struct Pool<'s> {
    snapshot: &'s Snapshot<'s>,
    spare: RefCell<Vec<(Family, Position<'s>)>>,
}

impl<'s> Pool<'s> {
    /// Nothing is made before it is asked for.
    pub fn new(snapshot: &'s Snapshot<'s>) -> Pool<'s> {
        Pool { snapshot, spare: RefCell::default() }
    }

    /// What is read.
    pub fn snapshot(&self) -> &'s Snapshot<'s> {
        self.snapshot
    }

    /// As [`Snapshot::metas`].
    pub fn metas(&self, id: u64, from: u64) -> PoolRows<'_, 's, ChunkMeta> {
        let (_, end) = keys::dataset_range(id);
        self.walk(Family::ChunkMeta, &keys::pair(id, from), end, chunks::parse_meta)
    }

    /// As [`Snapshot::meta_covering`].
    pub fn meta_covering(&self, id: u64, key: u64) -> Result<Option<ChunkMeta>> {
        self.metas(id, key).next().transpose()
    }

    /// As [`Snapshot::marks`].
    pub fn marks(&self, id: u64, after: u64) -> PoolRows<'_, 's, (u64, u64)> {
        let (_, end) = keys::dataset_range(id);
        self.walk(Family::Superseded, &keys::pair(id, after.saturating_add(1)), end, parse_mark)
    }

    /// As [`Snapshot::consumers_of`].
    pub fn consumers_of(&self, id: u64) -> PoolRows<'_, 's, ConsumerRow> {
        let (from, end) = keys::consumers_range(id);
        self.walk(Family::Meta, &from, end, parse_consumer)
    }

    /// All entities of a dataset in order, each with its newest version.
    pub(super) fn entities(&self, id: u64) -> PoolRows<'_, 's, (Bytes, Version)> {
        let (from, end) = keys::dataset_range(id);
        self.walk(Family::Entities, &from, end, parse_entity)
    }

    fn walk<T>(
        &self,
        family: Family,
        from: &[u8],
        end: Vec<u8>,
        parse: fn(&[u8], &[u8]) -> Result<T, Malformed>,
    ) -> PoolRows<'_, 's, T> {
        let mut at = self.take(family);
        at.seek(from);
        PoolRows { pool: self, at: Some(at), family, end, parse }
    }

    fn take(&self, family: Family) -> Position<'s> {
        let mut spare = self.spare.borrow_mut();
        if let Some(found) = spare.iter().position(|(of, _)| *of == family) {
            return spare.swap_remove(found).1;
        }
        // Behind the consumers lie rows that come and go by the million.
        let range = (family == Family::Meta).then(keys::all_consumers_range);
        Position::new(self.snapshot, family, range)
    }

    fn give_back(&self, family: Family, at: Position<'s>) {
        self.spare.borrow_mut().push((family, at));
    }
}

/// Parsed rows, in order. After an error there is nothing more.
pub struct PoolRows<'p, 's, T> {
    pool: &'p Pool<'s>,
    /// At the row that comes next; none at the end.
    at: Option<Position<'s>>,
    family: Family,
    end: Vec<u8>,
    parse: fn(&[u8], &[u8]) -> Result<T, Malformed>,
}

impl<T> PoolRows<'_, '_, T> {
    fn stop(&mut self) {
        if let Some(at) = self.at.take() {
            self.pool.give_back(self.family, at);
        }
    }
}

impl<T> Iterator for PoolRows<'_, '_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let at = self.at.as_mut()?;
        let row = match at.row() {
            Ok(Some((row, _))) if row < &self.end[..] => at.parsed(self.parse),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        };
        match row {
            Ok(Some(row)) => {
                at.next();
                Some(Ok(row))
            }
            Ok(None) => {
                self.stop();
                None
            }
            Err(error) => {
                self.stop();
                Some(Err(error))
            }
        }
    }
}

impl<T> Drop for PoolRows<'_, '_, T> {
    fn drop(&mut self) {
        self.stop();
    }
}
