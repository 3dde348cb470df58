//! Reads: everything that one snapshot answers is of the same moment.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::families::Family;
use super::kv::{Moment, Value};
use super::record::{Applied, ConsumerRecord, DatasetRecord, IdempotencyRecord};
use super::rows::Rows;
use super::{Result, Store, keys};
use crate::codec::{Malformed, Reader};
use crate::meta;

/// The store at one moment.
pub struct Snapshot<'a> {
    pub(super) store: &'a Store,
    pub(super) moment: Moment<'a>,
}

/// A consumer, with whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRow {
    /// The dataset it consumes.
    pub id: u64,
    /// Its name.
    pub name: Bytes,
    /// What is remembered.
    pub record: ConsumerRecord,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(store: &'a Store) -> Snapshot<'a> {
        Snapshot { store, moment: store.kv.snapshot() }
    }

    /// The directory of the store.
    pub fn dir(&self) -> &std::path::Path {
        self.store.dir()
    }

    /// How far the log has been applied.
    pub fn applied(&self) -> Result<Applied> {
        let found = self.record_of(Family::Meta, keys::APPLIED)?;
        found.ok_or_else(|| self.store.malformed(Family::Meta, keys::APPLIED, Malformed("it is missing")))
    }

    /// The dataset that a name means.
    pub fn name(&self, name: &[u8]) -> Result<Option<u64>> {
        self.parsed(Family::Datasets, &keys::name(name), |_, value| parse_id(value))
    }

    /// A dataset's record.
    pub fn record(&self, id: u64) -> Result<Option<DatasetRecord>> {
        self.record_of(Family::Datasets, &keys::record(id))
    }

    /// All records from `id` on, in order of id.
    pub fn records(&self, id: u64) -> Rows<'_, DatasetRecord> {
        Rows::new(self, Family::Datasets, keys::records_range(id), |row, value| {
            let id = keys::parse_record(row)?;
            let record: DatasetRecord = meta::decode(value)?;
            if record.id == id { Ok(record) } else { Err(Malformed("a dataset's record names another id")) }
        })
    }

    /// Names that begin with `prefix` and sort behind `after`, at most `limit` of them, with their datasets.
    pub fn names(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Bytes, u64)>> {
        let (mut from, to) = keys::names_range(prefix);
        if let Some(after) = after {
            from = from.max(just_behind(keys::name(after)));
        }
        Rows::new(self, Family::Datasets, (from, to), |row, value| {
            Ok((Bytes::copy_from_slice(keys::parse_name(row)?), parse_id(value)?))
        })
        .take(limit)
        .collect()
    }

    /// The successor of the entry at `key`, if it has one.
    pub fn mark(&self, id: u64, key: u64) -> Result<Option<u64>> {
        self.parsed(Family::Superseded, &keys::pair(id, key), |_, value| parse_successor(key, value))
    }

    /// All marks of entries above `after`, in key order: the entry's key and its successor's.
    pub fn marks(&self, id: u64, after: u64) -> Rows<'_, (u64, u64)> {
        let (_, to) = keys::dataset_range(id);
        let from = keys::pair(id, after.saturating_add(1)).to_vec();
        Rows::new(self, Family::Superseded, (from, to), parse_mark)
    }

    /// The marks of entries from `first` to `last`.
    pub fn marks_of(&self, id: u64, first: u64, last: u64) -> Rows<'_, (u64, u64)> {
        let range = (keys::pair(id, first).to_vec(), keys::pair(id, last.saturating_add(1)).to_vec());
        Rows::new(self, Family::Superseded, range, parse_mark)
    }

    /// A consumer of a dataset.
    pub fn consumer(&self, id: u64, name: &[u8]) -> Result<Option<ConsumerRecord>> {
        self.record_of(Family::Meta, &keys::consumer(id, name))
    }

    /// All consumers of a dataset, in order of name.
    pub fn consumers_of(&self, id: u64) -> Rows<'_, ConsumerRow> {
        Rows::new(self, Family::Meta, keys::consumers_range(id), parse_consumer)
    }

    /// Consumers of all datasets in order of (name, dataset id), behind `after`, at most `limit` of them.
    pub fn consumers(&self, after: Option<(&[u8], u64)>, limit: usize) -> Result<Vec<ConsumerRow>> {
        let (mut from, to) = keys::consumer_names_range();
        if let Some((name, id)) = after {
            from = just_behind(keys::consumer_name(name, id));
        }
        let rows = Rows::new(self, Family::Meta, (from, to), |row, _| keys::parse_consumer_name(row));
        let mut found = Vec::new();
        for row in rows.take(limit) {
            let (name, id) = row?;
            let record = self.consumer(id, &name)?.ok_or_else(|| {
                let row = keys::consumer_name(&name, id);
                self.store.malformed(Family::Meta, &row, Malformed("it names a consumer that is not there"))
            })?;
            found.push(ConsumerRow { id, name: name.into(), record });
        }
        Ok(found)
    }

    /// What a batch with this idempotency id was given.
    pub fn idempotency(&self, id: &[u8]) -> Result<Option<IdempotencyRecord>> {
        self.record_of(Family::Meta, &keys::idempotency(id))
    }

    /// Idempotency ids used at or before `upto_ms`, oldest first: when, and which. An id used again since is listed
    /// with its former time too.
    pub fn expired(&self, upto_ms: u64, limit: usize) -> Result<Vec<(u64, Bytes)>> {
        Rows::new(self, Family::Meta, keys::expiries_range(upto_ms), |row, _| {
            keys::parse_expiry(row).map(|(time_ms, id)| (time_ms, Bytes::copy_from_slice(id)))
        })
        .take(limit)
        .collect()
    }

    /// Datasets whose retention by age is due at or before `upto_ms`, earliest first: when, and which.
    pub fn due(&self, upto_ms: u64, limit: usize) -> Result<Vec<(u64, u64)>> {
        Rows::new(self, Family::Meta, keys::dues_range(upto_ms), |row, _| keys::parse_due(row)).take(limit).collect()
    }

    /// Datasets queued for compaction, in order of id.
    pub fn work(&self, limit: usize) -> Result<Vec<u64>> {
        Rows::new(self, Family::Meta, keys::works_range(), |row, _| keys::parse_work(row)).take(limit).collect()
    }

    /// The value of one row.
    pub(super) fn get(&self, family: Family, row: &[u8]) -> Result<Option<Value<'_>>> {
        self.moment.get(self.dir(), family, row)
    }

    pub(super) fn parsed<T>(
        &self,
        family: Family,
        row: &[u8],
        parse: impl FnOnce(&[u8], &[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<T>> {
        match self.get(family, row)? {
            Some(value) => {
                parse(row, &value).map(Some).map_err(|malformed| self.store.malformed(family, row, malformed))
            }
            None => Ok(None),
        }
    }

    fn record_of<T: DeserializeOwned>(&self, family: Family, row: &[u8]) -> Result<Option<T>> {
        self.parsed(family, row, |_, value| meta::decode(value))
    }
}

/// The first bytes that sort behind `row`.
pub(super) fn just_behind(mut row: Vec<u8>) -> Vec<u8> {
    row.push(0);
    row
}

pub(super) fn parse_id(value: &[u8]) -> Result<u64, Malformed> {
    let id = value.try_into().map_err(|_| Malformed("a dataset's id is not 8 bytes long"))?;
    Ok(u64::from_be_bytes(id))
}

pub(super) fn parse_consumer(row: &[u8], value: &[u8]) -> Result<ConsumerRow, Malformed> {
    let (id, name) = keys::parse_consumer(row)?;
    Ok(ConsumerRow { id, name: Bytes::copy_from_slice(name), record: meta::decode(value)? })
}

pub(super) fn parse_mark(row: &[u8], value: &[u8]) -> Result<(u64, u64), Malformed> {
    let (_, old) = keys::parse_pair(row)?;
    Ok((old, parse_successor(old, value)?))
}

pub(super) fn parse_successor(old: u64, value: &[u8]) -> Result<u64, Malformed> {
    let mut reader = Reader::new(value);
    let successor = reader.varint()?;
    if reader.remaining() != 0 {
        return Err(Malformed("a mark is too long"));
    }
    if successor <= old {
        return Err(Malformed("a mark names a successor that is not newer"));
    }
    Ok(successor)
}
