//! Writing a frame's body in one pass, outside of every lock.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use foldhash::quality::RandomState;

use super::body::{
    ACK, Body, DELETE_DATASET, DatasetRef, EXISTING, HAS_IDEMPOTENCY, HAS_ORIGIN, LAST, LEAD, NEW, REMOVE_CONSUMER,
    Record, RecordKind, SET_RETENTION, check_datasets,
};
use crate::codec::{Malformed, put_varint};
use crate::limits::{
    MAX_BODY_BYTES, MAX_COMMIT_CHANGES, MAX_CONSUMER_BYTES, MAX_DATASET_BYTES, MAX_ENTITY_BYTES,
    MAX_IDEMPOTENCY_ID_BYTES, MAX_KEY, MAX_ORIGIN_BYTES, MAX_PAYLOAD_BYTES,
};
use crate::meta;
use crate::types::{Op, Retention};

/// Builds a [`Body`]: bytes and positions together, nothing is read again.
///
/// What is out of bounds is noted and refused by [`BodyBuilder::finish`].
#[derive(Debug)]
pub struct BodyBuilder {
    out: Vec<u8>,
    origin: Option<Range<u32>>,
    idempotency: Option<(Range<u32>, [u8; 16])>,
    datasets: Vec<DatasetRef>,
    records: Vec<Record>,
    /// Where each dataset's last change has its tag, and its index among the records.
    last: Vec<Option<(usize, usize)>>,
    known: HashMap<u64, u32, RandomState>,
    latest: Option<(u64, u32)>,
    bad: Option<Malformed>,
}

impl BodyBuilder {
    /// A commit by `origin`, with an idempotency id and the fingerprint of its content.
    pub fn new(origin: Option<&[u8]>, idempotency: Option<(&[u8], [u8; 16])>) -> BodyBuilder {
        let mut builder = BodyBuilder {
            out: vec![LEAD],
            origin: None,
            idempotency: None,
            datasets: Vec::new(),
            records: Vec::new(),
            last: Vec::new(),
            known: HashMap::default(),
            latest: None,
            bad: None,
        };
        if let Some(origin) = origin {
            builder.out[0] |= HAS_ORIGIN;
            builder.origin = Some(builder.name(origin, MAX_ORIGIN_BYTES));
        }
        if let Some((id, content)) = idempotency {
            builder.out[0] |= HAS_IDEMPOTENCY;
            builder.idempotency = Some((builder.name(id, MAX_IDEMPOTENCY_ID_BYTES), content));
            builder.out.extend_from_slice(&content);
        }
        builder
    }

    /// Makes room for this many records of so many bytes in all.
    pub fn reserve(&mut self, records: usize, bytes: usize) {
        self.records.reserve(records);
        self.out.reserve(bytes);
    }

    /// The index, within this frame, of the dataset with this id. Asking again is cheap and gives the same.
    pub fn existing(&mut self, id: u64) -> u32 {
        if let Some((_, index)) = self.latest.filter(|(latest, _)| *latest == id) {
            return index;
        }
        let index = match self.known.get(&id) {
            Some(index) => *index,
            None => {
                self.out.push(EXISTING);
                put_varint(&mut self.out, id);
                let index = self.add_dataset(DatasetRef::Existing(id));
                self.known.insert(id, index);
                index
            }
        };
        self.latest = Some((id, index));
        index
    }

    /// The index, within this frame, of a new dataset. Its id is the key of the next record, whatever that is; a
    /// record must follow before another dataset is created.
    pub fn create(&mut self, name: &[u8]) -> u32 {
        let record = position(self.records.len());
        self.out.push(NEW);
        let name = self.name(name, MAX_DATASET_BYTES);
        self.add_dataset(DatasetRef::New { record, name })
    }

    /// A change of an entity; a delete has no payload.
    pub fn change(&mut self, dataset: u32, op: Op, entity: &[u8], payload: &[u8]) {
        let mark = (self.out.len(), self.records.len());
        match self.last.get_mut(dataset as usize) {
            Some(last) => *last = Some(mark),
            None => self.refuse("a record names no dataset of its commit"),
        }
        self.begin(op as u8, dataset);
        let entity = self.name(entity, MAX_ENTITY_BYTES);
        match op {
            Op::Delete if payload.is_empty() => {}
            Op::Delete => self.refuse("a delete has a payload"),
            Op::Create | Op::Update => put_varint(&mut self.out, payload.len() as u64),
        }
        if payload.len() > MAX_PAYLOAD_BYTES {
            self.refuse("a payload is above its limit");
        }
        let payload = self.put(payload);
        self.add(dataset, RecordKind::Change { op, last: false, entity, payload });
    }

    /// The dataset ceases to exist.
    pub fn delete_dataset(&mut self, dataset: u32) {
        self.begin(DELETE_DATASET, dataset);
        self.add(dataset, RecordKind::DeleteDataset);
    }

    /// The dataset's retention; none is the store's default.
    pub fn set_retention(&mut self, dataset: u32, retention: Option<&Retention>) {
        self.begin(SET_RETENTION, dataset);
        match retention.map(meta::encode).transpose() {
            Ok(encoded) => {
                let encoded = encoded.unwrap_or_default();
                put_varint(&mut self.out, encoded.len() as u64);
                self.out.extend_from_slice(&encoded);
            }
            Err(Malformed(why)) => self.refuse(why),
        }
        self.add(dataset, RecordKind::SetRetention(retention.map(|retention| Box::new(*retention))));
    }

    /// A consumer acknowledges all up to `position`; its first read from 0 ends at `bound`.
    pub fn ack(&mut self, dataset: u32, consumer: &[u8], position: u64, bound: u64) {
        self.begin(ACK, dataset);
        let consumer = self.name(consumer, MAX_CONSUMER_BYTES);
        if position.max(bound) > MAX_KEY {
            self.refuse("a key is above its limit");
        }
        put_varint(&mut self.out, position);
        put_varint(&mut self.out, bound);
        self.add(dataset, RecordKind::Ack { consumer, position, bound });
    }

    /// A consumer is forgotten.
    pub fn remove_consumer(&mut self, dataset: u32, consumer: &[u8]) {
        self.begin(REMOVE_CONSUMER, dataset);
        let consumer = self.name(consumer, MAX_CONSUMER_BYTES);
        self.add(dataset, RecordKind::RemoveConsumer { consumer });
    }

    /// The body, and the CRC-32 of its bytes.
    ///
    /// # Errors
    ///
    /// If a limit was exceeded, or there is no record.
    pub fn finish(mut self) -> Result<(Body, u32), Malformed> {
        if let Some(bad) = self.bad {
            return Err(bad);
        }
        if self.out.len() > MAX_BODY_BYTES {
            return Err(Malformed("a commit is above its size limit"));
        }
        if self.records.len() > MAX_COMMIT_CHANGES || self.datasets.len() > MAX_COMMIT_CHANGES {
            return Err(Malformed("too many records"));
        }
        check_datasets(&self.datasets, self.records.len())?;
        for (tag_at, record) in self.last.iter().flatten() {
            if let Some(tag) = self.out.get_mut(*tag_at) {
                *tag |= LAST;
            }
            if let Some(RecordKind::Change { last, .. }) = self.records.get_mut(*record).map(|record| &mut record.kind)
            {
                *last = true;
            }
        }
        let crc = crc32fast::hash(&self.out);
        let BodyBuilder { out, origin, idempotency, datasets, records, .. } = self;
        Ok((Body { bytes: Bytes::from(out), origin, idempotency, datasets, records }, crc))
    }

    fn begin(&mut self, tag: u8, dataset: u32) {
        if dataset as usize >= self.datasets.len() {
            self.refuse("a record names no dataset of its commit");
        }
        self.out.push(tag);
        put_varint(&mut self.out, u64::from(dataset));
    }

    fn add(&mut self, dataset: u32, kind: RecordKind) {
        self.records.push(Record { dataset, kind });
    }

    fn add_dataset(&mut self, dataset: DatasetRef) -> u32 {
        self.datasets.push(dataset);
        self.last.push(None);
        position(self.datasets.len() - 1)
    }

    fn name(&mut self, name: &[u8], max: usize) -> Range<u32> {
        if name.is_empty() || name.len() > max {
            self.refuse("a name is empty or above its limit");
        }
        put_varint(&mut self.out, name.len() as u64);
        self.put(name)
    }

    fn put(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = position(self.out.len());
        self.out.extend_from_slice(bytes);
        start..position(self.out.len())
    }

    fn refuse(&mut self, why: &'static str) {
        self.bad.get_or_insert(Malformed(why));
    }
}

/// An index or offset; what saturates is beyond every limit and refused by `finish`.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
