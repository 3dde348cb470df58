//! Changes to the store: one atomic batch over all column families.

use super::families::Family;
use super::kv::Batch;
use super::record::{Applied, ConsumerRecord, DatasetRecord, IdempotencyRecord, Version};
use super::snapshot::Snapshot;
use super::{Result, Store, keys};
use crate::chunk::ChunkMeta;
use crate::codec::put_varint;
use crate::error::Error;
use crate::meta;

/// What one [`Store::commit`] will do, all of it or nothing. Later changes win over earlier ones of the same row.
pub struct Changes<'a> {
    pub(super) batch: Batch<'a>,
    /// The datasets of which records, chunks or marks change.
    pub(super) datasets: Vec<u64>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(store: &'a Store, capacity: usize) -> Changes<'a> {
        Changes { batch: store.kv.batch(capacity), datasets: Vec::new() }
    }

    /// About how many bytes this will write.
    pub fn len_bytes(&self) -> usize {
        self.batch.len_bytes()
    }

    /// A chunk and its counts, under its last key.
    pub fn put_chunk(&mut self, id: u64, meta: &ChunkMeta, chunk: &[u8]) {
        self.concerns(id);
        let row = keys::pair(id, meta.last);
        self.put(Family::Chunks, &row, chunk);
        self.put(Family::ChunkMeta, &row, &meta.encode());
    }

    /// New counts of a chunk that stays as it is.
    pub fn put_meta(&mut self, id: u64, meta: &ChunkMeta) {
        self.concerns(id);
        self.put(Family::ChunkMeta, &keys::pair(id, meta.last), &meta.encode());
    }

    /// Removes the chunk whose last key is `last`.
    pub fn delete_chunk(&mut self, id: u64, last: u64) {
        self.concerns(id);
        let row = keys::pair(id, last);
        self.delete(Family::Chunks, &row);
        self.delete(Family::ChunkMeta, &row);
    }

    /// The newest version of an entity.
    pub fn put_newest(&mut self, id: u64, entity: &[u8], version: &Version) {
        self.put(Family::Entities, &keys::entity(id, entity), &version.encode());
    }

    /// Removes an entity, of which no version is left.
    pub fn delete_entity(&mut self, id: u64, entity: &[u8]) {
        self.delete(Family::Entities, &keys::entity(id, entity));
    }

    /// Marks the entry at `old` as superseded by the one at `successor`.
    pub fn put_mark(&mut self, id: u64, old: u64, successor: u64) {
        self.concerns(id);
        let mut value = Vec::with_capacity(10);
        put_varint(&mut value, successor);
        self.put(Family::Superseded, &keys::pair(id, old), &value);
    }

    /// Removes a mark: only together with its entry.
    pub fn delete_mark(&mut self, id: u64, old: u64) {
        self.concerns(id);
        self.delete(Family::Superseded, &keys::pair(id, old));
    }

    /// Lets a name mean a dataset.
    pub fn put_name(&mut self, name: &[u8], id: u64) {
        self.put(Family::Datasets, &keys::name(name), &id.to_be_bytes());
    }

    /// Lets a name mean nothing.
    pub fn delete_name(&mut self, name: &[u8]) {
        self.delete(Family::Datasets, &keys::name(name));
    }

    /// A dataset's record, under its id.
    pub fn put_record(&mut self, record: &DatasetRecord) -> Result<()> {
        self.concerns(record.id);
        self.put_encoded(Family::Datasets, &keys::record(record.id), record)
    }

    /// Removes everything that belongs to a dataset in `snapshot`: chunks, entities, marks, record, consumers, and its
    /// places in the queues. Its name is left, since it may mean a newer incarnation by now.
    pub fn delete_dataset(&mut self, snapshot: &Snapshot<'_>, id: u64) -> Result<()> {
        self.concerns(id);
        for family in Family::BY_DATASET {
            let (from, to) = keys::dataset_range(id);
            self.batch.delete_range(family, from, to);
        }
        for consumer in snapshot.consumers_of(id) {
            self.delete_consumer(id, &consumer?.name);
        }
        if let Some(record) = snapshot.record(id)?
            && record.due_ms != 0
        {
            self.delete_due(record.due_ms, id);
        }
        self.delete_work(id);
        self.delete(Family::Datasets, &keys::record(id));
        Ok(())
    }

    /// A consumer of a dataset.
    pub fn put_consumer(&mut self, id: u64, name: &[u8], record: &ConsumerRecord) -> Result<()> {
        self.put_encoded(Family::Meta, &keys::consumer(id, name), record)?;
        self.put(Family::Meta, &keys::consumer_name(name, id), b"");
        Ok(())
    }

    /// Removes a consumer.
    pub fn delete_consumer(&mut self, id: u64, name: &[u8]) {
        self.delete(Family::Meta, &keys::consumer(id, name));
        self.delete(Family::Meta, &keys::consumer_name(name, id));
    }

    /// What a batch with this idempotency id was given.
    pub fn put_idempotency(&mut self, id: &[u8], record: &IdempotencyRecord) -> Result<()> {
        self.put_encoded(Family::Meta, &keys::idempotency(id), record)?;
        self.put(Family::Meta, &keys::expiry(record.time_ms, id), b"");
        Ok(())
    }

    /// Removes what [`Changes::put_idempotency`] wrote at `time_ms`.
    pub fn delete_idempotency(&mut self, id: &[u8], time_ms: u64) {
        self.delete(Family::Meta, &keys::idempotency(id));
        self.delete_expiry(id, time_ms);
    }

    /// Removes only the expiry row, where the id was used again since.
    pub fn delete_expiry(&mut self, id: &[u8], time_ms: u64) {
        self.delete(Family::Meta, &keys::expiry(time_ms, id));
    }

    /// Queues a dataset for retention by age. The caller removes the row of its former time.
    pub fn put_due(&mut self, due_ms: u64, id: u64) {
        self.put(Family::Meta, &keys::due(due_ms, id), b"");
    }

    /// Takes a dataset out of that queue.
    pub fn delete_due(&mut self, due_ms: u64, id: u64) {
        self.delete(Family::Meta, &keys::due(due_ms, id));
    }

    /// Queues a dataset for compaction.
    pub fn put_work(&mut self, id: u64) {
        self.put(Family::Meta, &keys::work(id), b"");
    }

    /// Takes a dataset out of that queue.
    pub fn delete_work(&mut self, id: u64) {
        self.delete(Family::Meta, &keys::work(id));
    }

    /// How far the log has been applied with this batch.
    pub fn set_applied(&mut self, applied: &Applied) -> Result<()> {
        self.put_encoded(Family::Meta, keys::APPLIED, applied)
    }

    fn concerns(&mut self, id: u64) {
        if self.datasets.last() != Some(&id) {
            self.datasets.push(id);
        }
    }

    pub(super) fn put(&mut self, family: Family, row: &[u8], value: &[u8]) {
        self.batch.put(family, row, value);
    }

    fn put_encoded<T: serde::Serialize>(&mut self, family: Family, row: &[u8], value: &T) -> Result<()> {
        let value = meta::encode(value).map_err(|malformed| Error::invalid(malformed.0))?;
        self.put(family, row, &value);
        Ok(())
    }

    pub(super) fn delete(&mut self, family: Family, row: &[u8]) {
        self.batch.delete(family, row);
    }
}
