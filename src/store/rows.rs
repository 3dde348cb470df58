//! Iterators over rows: bounded, checked, and silent after an error.

use super::Result;
use super::families::Family;
use super::kv::{Reach, Walk};
use super::snapshot::Snapshot;
use crate::codec::Malformed;

/// A position among the rows of a column family, within bounds.
pub(super) struct Position<'s> {
    snapshot: &'s Snapshot<'s>,
    family: Family,
    walk: Walk<'s>,
}

impl<'s> Position<'s> {
    pub(super) fn new(snapshot: &'s Snapshot<'s>, family: Family, range: Option<(Vec<u8>, Vec<u8>)>) -> Position<'s> {
        let reach = range.map_or(Reach::All, |(from, to)| Reach::Range(from, to));
        Position { snapshot, family, walk: snapshot.moment.walk(family, reach) }
    }

    /// The row here; none at the end.
    pub(super) fn row(&self) -> Result<Option<(&[u8], &[u8])>> {
        self.walk.item(self.snapshot.dir())
    }

    /// The row here, parsed.
    pub(super) fn parsed<T>(&self, parse: fn(&[u8], &[u8]) -> Result<T, Malformed>) -> Result<Option<T>> {
        match self.row()? {
            Some((row, value)) => parse(row, value)
                .map(Some)
                .map_err(|malformed| self.snapshot.store.malformed(self.family, row, malformed)),
            None => Ok(None),
        }
    }

    pub(super) fn seek(&mut self, row: &[u8]) {
        self.walk.seek(row);
    }

    pub(super) fn seek_first(&mut self) {
        self.walk.seek_first();
    }

    pub(super) fn seek_last(&mut self) {
        self.walk.seek_last();
    }

    pub(super) fn next(&mut self) {
        self.walk.next();
    }

    pub(super) fn prev(&mut self) {
        self.walk.prev();
    }
}

/// Parsed rows, in order. After an error there is nothing more.
pub struct Rows<'s, T> {
    at: Position<'s>,
    parse: fn(&[u8], &[u8]) -> Result<T, Malformed>,
    fresh: bool,
    ended: bool,
}

impl<'s, T> Rows<'s, T> {
    /// All rows within `range`.
    pub(super) fn new(
        snapshot: &'s Snapshot<'s>,
        family: Family,
        range: (Vec<u8>, Vec<u8>),
        parse: fn(&[u8], &[u8]) -> Result<T, Malformed>,
    ) -> Rows<'s, T> {
        let empty = range.0 >= range.1;
        let mut at = Position::new(snapshot, family, Some(range));
        if !empty {
            at.seek_first();
        }
        Rows { at, parse, fresh: true, ended: empty }
    }
}

impl<T> Iterator for Rows<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.ended {
            return None;
        }
        if !std::mem::take(&mut self.fresh) {
            self.at.next();
        }
        let row = self.at.parsed(self.parse).transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}
