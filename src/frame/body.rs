//! Reading a frame's body. Its bytes may be hostile: every length, index and order is checked here, so that nothing
//! later has to.

use std::ops::Range;

use bytes::Bytes;

use crate::codec::{Malformed, Reader};
use crate::limits::{
    MAX_BODY_BYTES, MAX_COMMIT_CHANGES, MAX_CONSUMER_BYTES, MAX_DATASET_BYTES, MAX_ENTITY_BYTES,
    MAX_IDEMPOTENCY_ID_BYTES, MAX_KEY, MAX_ORIGIN_BYTES, MAX_PAYLOAD_BYTES, MAX_RECORD_BYTES,
};
use crate::meta;
use crate::types::{Op, Retention};

/// The first byte: this, with the two flags.
pub(super) const LEAD: u8 = 0x40;
pub(super) const HAS_ORIGIN: u8 = 0x01;
pub(super) const HAS_IDEMPOTENCY: u8 = 0x02;

/// Tags of records; 1, 2 and 3 are the ops of changes. 0 is never valid.
pub(super) const EXISTING: u8 = 4;
pub(super) const NEW: u8 = 5;
pub(super) const DELETE_DATASET: u8 = 6;
pub(super) const SET_RETENTION: u8 = 7;
pub(super) const ACK: u8 = 8;
pub(super) const REMOVE_CONSUMER: u8 = 9;
/// Set in the tag of each dataset's last change.
pub(super) const LAST: u8 = 0x80;

/// A commit: the bytes as they are stored, and where in them everything is. Ranges are offsets into `bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The stored form.
    pub bytes: Bytes,
    /// The client or device that made the commit.
    pub origin: Option<Range<u32>>,
    /// The idempotency id, and the fingerprint of the commit's content.
    pub idempotency: Option<(Range<u32>, [u8; 16])>,
    /// The datasets that the records name by index.
    pub datasets: Vec<DatasetRef>,
    /// The records, at least one; each takes one key: the frame's base and its index.
    pub records: Vec<Record>,
}

/// A dataset of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatasetRef {
    /// It was there before, with this id.
    Existing(u64),
    /// It begins here.
    New {
        /// Its id is the key of this record (an index).
        record: u32,
        /// Its name.
        name: Range<u32>,
    },
}

/// A record of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// An index into the frame's datasets.
    pub dataset: u32,
    /// What is recorded.
    pub kind: RecordKind,
}

/// What a record says about its dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind {
    /// An entity changed.
    Change {
        /// How.
        op: Op,
        /// Whether this is the dataset's last change in the frame.
        last: bool,
        /// The entity's id.
        entity: Range<u32>,
        /// The payload; empty for a delete.
        payload: Range<u32>,
    },
    /// The dataset ceases to exist.
    DeleteDataset,
    /// The dataset's retention; none is the store's default.
    SetRetention(Option<Box<Retention>>),
    /// A consumer acknowledged all up to a key.
    Ack {
        /// The consumer's name.
        consumer: Range<u32>,
        /// The key.
        position: u64,
        /// Where the consumer's first read from 0 ends, as long as it is below that; else 0.
        bound: u64,
    },
    /// A consumer is forgotten.
    RemoveConsumer {
        /// The consumer's name.
        consumer: Range<u32>,
    },
}

impl Body {
    /// Reads the stored form.
    ///
    /// # Errors
    ///
    /// If it is anything that [`BodyBuilder`](super::BodyBuilder) would not have written.
    pub fn parse(bytes: Bytes) -> Result<Body, Malformed> {
        if bytes.len() > MAX_BODY_BYTES {
            return Err(Malformed("a commit is above its size limit"));
        }
        let mut parser = Parser { reader: Reader::new(&bytes), datasets: Vec::new(), records: Vec::new() };
        let lead = parser.reader.u8()?;
        if lead & !(HAS_ORIGIN | HAS_IDEMPOTENCY) != LEAD {
            return Err(Malformed("this is not a commit"));
        }
        let origin = match lead & HAS_ORIGIN {
            0 => None,
            _ => Some(parser.name(MAX_ORIGIN_BYTES)?),
        };
        let idempotency = match lead & HAS_IDEMPOTENCY {
            0 => None,
            _ => Some((parser.name(MAX_IDEMPOTENCY_ID_BYTES)?, parser.reader.array()?)),
        };
        while parser.reader.remaining() > 0 {
            parser.record()?;
        }
        let Parser { datasets, records, .. } = parser;
        check_datasets(&datasets, records.len())?;
        check_last(&records, datasets.len())?;
        Ok(Body { bytes, origin, idempotency, datasets, records })
    }

    /// How many keys the commit takes.
    pub fn count(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }
}

struct Parser<'a> {
    reader: Reader<'a>,
    datasets: Vec<DatasetRef>,
    records: Vec<Record>,
}

impl Parser<'_> {
    /// One record, or one entry of the dataset table.
    fn record(&mut self) -> Result<(), Malformed> {
        let tag = self.reader.u8()?;
        let last = tag & LAST != 0;
        if let Some(op) = Op::from_byte(tag & !LAST) {
            return self.change(op, last);
        }
        match tag {
            EXISTING => {
                let id = self.reader.varint()?;
                self.add_dataset(DatasetRef::Existing(id))
            }
            NEW => {
                let record = u32::try_from(self.records.len()).map_err(|_| Malformed("too many records"))?;
                let name = self.name(MAX_DATASET_BYTES)?;
                self.add_dataset(DatasetRef::New { record, name })
            }
            DELETE_DATASET => {
                let dataset = self.dataset()?;
                self.add(dataset, RecordKind::DeleteDataset)
            }
            SET_RETENTION => {
                let dataset = self.dataset()?;
                let len = self.reader.length(MAX_RECORD_BYTES)?;
                let retention = match self.reader.take(len)? {
                    [] => None,
                    bytes => Some(Box::new(canonical_retention(bytes)?)),
                };
                self.add(dataset, RecordKind::SetRetention(retention))
            }
            ACK => {
                let dataset = self.dataset()?;
                let consumer = self.name(MAX_CONSUMER_BYTES)?;
                let position = self.reader.varint()?;
                let bound = self.reader.varint()?;
                if position.max(bound) > MAX_KEY {
                    return Err(Malformed("a key is above its limit"));
                }
                self.add(dataset, RecordKind::Ack { consumer, position, bound })
            }
            REMOVE_CONSUMER => {
                let dataset = self.dataset()?;
                let consumer = self.name(MAX_CONSUMER_BYTES)?;
                self.add(dataset, RecordKind::RemoveConsumer { consumer })
            }
            _ => Err(Malformed("an unknown kind of record")),
        }
    }

    fn change(&mut self, op: Op, last: bool) -> Result<(), Malformed> {
        let dataset = self.dataset()?;
        let entity = self.name(MAX_ENTITY_BYTES)?;
        let payload = match op {
            Op::Delete => self.range(0)?,
            Op::Create | Op::Update => {
                let len = self.reader.length(MAX_PAYLOAD_BYTES)?;
                self.range(len)?
            }
        };
        self.add(dataset, RecordKind::Change { op, last, entity, payload })
    }

    fn add(&mut self, dataset: u32, kind: RecordKind) -> Result<(), Malformed> {
        if self.records.len() >= MAX_COMMIT_CHANGES {
            return Err(Malformed("too many records"));
        }
        self.records.push(Record { dataset, kind });
        Ok(())
    }

    fn add_dataset(&mut self, dataset: DatasetRef) -> Result<(), Malformed> {
        if self.datasets.len() >= MAX_COMMIT_CHANGES {
            return Err(Malformed("too many datasets"));
        }
        self.datasets.push(dataset);
        Ok(())
    }

    /// The index of a dataset that was introduced before.
    fn dataset(&mut self) -> Result<u32, Malformed> {
        let index = self.reader.varint()?;
        match u32::try_from(index) {
            Ok(dataset) if (dataset as usize) < self.datasets.len() => Ok(dataset),
            _ => Err(Malformed("a record names no dataset of its commit")),
        }
    }

    /// A length and as many bytes, at least one.
    fn name(&mut self, max: usize) -> Result<Range<u32>, Malformed> {
        match self.reader.length(max)? {
            0 => Err(Malformed("a name is empty")),
            len => self.range(len),
        }
    }

    fn range(&mut self, len: usize) -> Result<Range<u32>, Malformed> {
        let start = u32::try_from(self.reader.position()).map_err(|_| Malformed("too long"))?;
        self.reader.take(len)?;
        let end = u32::try_from(self.reader.position()).map_err(|_| Malformed("too long"))?;
        Ok(start..end)
    }
}

/// A retention of its only stored form.
fn canonical_retention(bytes: &[u8]) -> Result<Retention, Malformed> {
    let retention = meta::decode(bytes)?;
    match meta::encode(&retention)? == bytes {
        true => Ok(retention),
        false => Err(Malformed("a retention is not in its stored form")),
    }
}

/// Ids are keys, each named once, and two new datasets never begin at the same key.
pub(super) fn check_datasets(datasets: &[DatasetRef], records: usize) -> Result<(), Malformed> {
    let mut existing = Vec::new();
    let mut newest = None;
    for dataset in datasets {
        match dataset {
            DatasetRef::Existing(id) if (1..=MAX_KEY).contains(id) => existing.push(*id),
            DatasetRef::Existing(_) => return Err(Malformed("a dataset's id is not a key")),
            DatasetRef::New { record, .. } => {
                if (*record as usize) >= records || newest.is_some_and(|newest| newest >= *record) {
                    return Err(Malformed("a new dataset has no key of its own"));
                }
                newest = Some(*record);
            }
        }
    }
    existing.sort_unstable();
    match existing.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(Malformed("a dataset is named twice")),
        false if records == 0 => Err(Malformed("a commit is empty")),
        false => Ok(()),
    }
}

/// The flag stands at each dataset's last change and nowhere else.
fn check_last(records: &[Record], datasets: usize) -> Result<(), Malformed> {
    let mut seen = vec![false; datasets];
    for record in records.iter().rev() {
        if let RecordKind::Change { last, .. } = record.kind {
            let seen = seen.get_mut(record.dataset as usize).ok_or(Malformed("a record names no dataset"))?;
            if last == *seen {
                return Err(Malformed("a dataset's last change is not marked as it should be"));
            }
            *seen = true;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
