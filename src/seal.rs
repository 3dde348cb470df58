//! Sealing: a tail becomes chunks, index rows and marks, in one batch.
//!
//! Everything is a function of the tail and of what is sealed below it, so that doing it again after a crash writes the
//! same. The batch is atomic over all column families and carries the key up to which it applies.

mod alive;

use crate::chunk::{ChunkBuilder, ChunkEntry};
use crate::error::{Error, Name, Result};
use crate::frame::LogPos;
use crate::options::Options;
use crate::planted::{Bug, planted};
use crate::store::{Applied, Changes, ConsumerRecord, DatasetRecord, IdempotencyRecord, Snapshot, Store, Version};
use crate::tail::{Acked, Inner, TailDataset};
use crate::types::{Keep, Op, Retention};
use crate::window::Born;

pub use alive::AliveCache;

/// What a seal needs to know beside the tail.
pub struct Sealing {
    /// The size to which entries are packed, in bytes.
    pub chunk_bytes: usize,
    /// The retention of datasets that have none of their own.
    pub retention: Retention,
    /// Idempotency ids used before this are forgotten.
    pub forget_before_ms: u64,
}

impl Sealing {
    /// What the options say, as of `now_ms`.
    pub fn new(options: &Options, now_ms: u64) -> Sealing {
        let window_ms = options.idempotency_window.as_millis() as u64;
        Sealing {
            chunk_bytes: options.chunk_bytes,
            retention: options.retention,
            forget_before_ms: now_ms.saturating_sub(window_ms),
        }
    }
}

/// Trailing small chunks that make a merge worth its while.
pub const MERGE_RUN: u32 = 8;
/// Expired idempotency ids that are forgotten per seal, at most.
const FORGET_PER_SEAL: usize = 100_000;

/// What precedes an entry: its entity's previous version, and when its life began.
#[derive(Clone, Copy, Default)]
struct Before {
    prev: u64,
    prev_bytes: u64,
    prev_delete: bool,
    born: u64,
    reborn: bool,
}

/// The batch that seals a tail. Its newest versions are in `alive` when this returns, before the batch is committed.
///
/// # Errors
///
/// Those of the index store.
pub fn seal<'s>(store: &'s Store, tail: &Inner, sealing: &Sealing, alive: &AliveCache) -> Result<Changes<'s>> {
    let snapshot = store.snapshot();
    let applied = snapshot.applied()?;
    if applied.key >= tail.last_key {
        // It was committed before, and only its flush failed.
        return Ok(store.changes(0));
    }
    let mut changes = store.changes(tail.bytes);
    let mut ids: Vec<u64> = tail.datasets.keys().copied().collect();
    ids.sort_unstable();
    let mut datasets = applied.datasets;
    for id in ids {
        let part = &tail.datasets[&id];
        let (snapshot, changes) = (&snapshot, &mut changes);
        let mut seal = DatasetSeal { snapshot, changes, tail, sealing, alive, applied: applied.key };
        datasets = datasets.saturating_add_signed(seal.dataset(id, part)?);
    }
    consumers(&snapshot, &mut changes, tail)?;
    for (id, used) in tail.idempotency.iter().filter(|_| !planted(Bug::IdempotencyNotSealed)) {
        let (hash, first, last, time_ms) = (used.hash, used.first, used.last, used.time_ms);
        changes.put_idempotency(id, &IdempotencyRecord { hash, first, last, time_ms })?;
    }
    forget(&snapshot, &mut changes, tail, sealing.forget_before_ms)?;
    let LogPos { segment, offset } = tail.end;
    changes.set_applied(&Applied { key: tail.last_key, segment, offset, datasets })?;
    Ok(changes)
}

struct DatasetSeal<'c, 's> {
    snapshot: &'c Snapshot<'s>,
    changes: &'c mut Changes<'s>,
    tail: &'c Inner,
    sealing: &'c Sealing,
    alive: &'c AliveCache,
    /// Everything up to this key is sealed.
    applied: u64,
}

impl DatasetSeal<'_, '_> {
    /// Seals a dataset's part, and returns by how much the number of datasets changes.
    fn dataset(&mut self, id: u64, part: &TailDataset) -> Result<i64> {
        // An id is the key of its first entry: what is not sealed yet has no record.
        let known = if id > self.applied { None } else { self.snapshot.record(id)? };
        if part.deleted.is_some() {
            let Some(record) = known else { return Ok(0) };
            if self.snapshot.name(&record.name)? == Some(id) {
                self.changes.delete_name(&record.name);
            }
            self.changes.delete_dataset(self.snapshot, id)?;
            return Ok(-1);
        }
        let created = i64::from(known.is_none());
        let mut record = match (known, &part.created) {
            (Some(record), _) => record,
            (None, Some(name)) => {
                self.changes.put_name(name, id);
                DatasetRecord { id, name: name.to_vec(), created_ms: self.time_of(part), ..DatasetRecord::default() }
            }
            // Deleted by a tail that was sealed before; what came after is nobody's.
            (None, None) => return Ok(0),
        };
        if let Some(set) = part.retention.newest() {
            record.retention = *set;
        }
        let before = self.versions(part, &mut record)?;
        self.chunks(part, &mut record, &before)?;
        self.retention(part, &mut record);
        self.changes.put_record(&record)?;
        Ok(created)
    }

    fn time_of(&self, part: &TailDataset) -> u64 {
        part.entries().first().map_or(self.tail.last_time_ms, |entry| self.tail.frames[entry.frame as usize].time_ms)
    }

    /// Writes index rows and marks, entity by entity, and finds what precedes each entry. What the index has is older than the
    /// tail: a seal is applied as a whole or not at all.
    fn versions(&mut self, part: &TailDataset, record: &mut DatasetRecord) -> Result<Vec<Before>> {
        let mut before = vec![Before::default(); part.entries().len()];
        let mut marks = Vec::with_capacity(part.entries().len());
        let mut entities: Vec<(&[u8], usize)> = part.firsts().map(|(at, entry)| (part.entity(entry), at)).collect();
        entities.sort_unstable();
        for (entity, oldest) in entities {
            let mut previous = match record.seq {
                // Nothing of this dataset is sealed yet.
                0 => None,
                _ => self.newest(record.id, entity)?,
            };
            let mut next = Some(oldest);
            while let Some((at, entry)) = next.and_then(|at| Some((at, part.entries().get(at)?))) {
                let mut row = follow(previous.as_ref(), entry.key, entry.is_delete());
                if entry.op == Op::Create && planted(Bug::BornByOp) {
                    (row.born, row.reborn) = (entry.key, false);
                }
                if let Some(previous) = &previous {
                    marks.push((previous.key, entry.key));
                    record.superseding += 1;
                    record.superseded_bytes += previous.bytes;
                    if previous.op == Op::Delete {
                        record.tombstones = record.tombstones.saturating_sub(1);
                        record.tombstone_bytes = record.tombstone_bytes.saturating_sub(previous.bytes);
                    }
                }
                let payload_len = entry.payload_len();
                let (op, born, reborn, bytes) = (entry.op, row.born, row.reborn, entry.bytes());
                let version = Version { key: entry.key, op, born, reborn, payload_len, bytes };
                if entry.is_delete() {
                    record.tombstones += 1;
                    record.tombstone_bytes += entry.bytes();
                }
                before[at] = row;
                previous = Some(version);
                next = part.newer_index(entry);
            }
            if let Some(newest) = &previous {
                self.alive.put(record.id, entity, newest);
                self.changes.put_newest(record.id, entity, newest);
            }
        }
        // Rows in order are cheaper to write than in disorder.
        marks.sort_unstable();
        for (old, successor) in marks.into_iter().filter(|_| !planted(Bug::MarksNotSealed)) {
            self.changes.put_mark(record.id, old, successor);
        }
        Ok(before)
    }

    /// The newest sealed version of an entity.
    fn newest(&self, id: u64, entity: &[u8]) -> Result<Option<Version>> {
        match self.alive.get(id, entity) {
            // A seal that failed has left something newer.
            Some(version) if version.key <= self.applied => Ok(Some(version)),
            _ => match self.snapshot.newest(id, entity)? {
                Some(version) if version.key > self.applied => {
                    let (entity, key, applied) = (Name(entity), version.key, self.applied);
                    let what =
                        format!("entity '{entity}' of dataset {id} is at key {key}, but only {applied} is sealed");
                    Err(Error::damaged(self.snapshot.dir(), None, what))
                }
                version => Ok(version),
            },
        }
    }

    /// Packs the entries into chunks.
    fn chunks(&mut self, part: &TailDataset, record: &mut DatasetRecord, before: &[Before]) -> Result<()> {
        let mut builder = ChunkBuilder::new();
        let mut packed = 0u32;
        let mut last_is_small = false;
        for (entry, before) in part.entries().iter().zip(before) {
            let frame = &self.tail.frames[entry.frame as usize];
            let row = ChunkEntry {
                key: entry.key,
                op: entry.op,
                last: entry.last,
                prev: before.prev,
                prev_bytes: before.prev_bytes,
                prev_delete: before.prev_delete,
                born: before.born,
                reborn: before.reborn,
                time_ms: frame.time_ms,
                origin: frame.origin.as_deref(),
                entity: part.entity(entry),
                payload: part.payload(entry),
            };
            if is_full(&builder, &row, self.sealing.chunk_bytes) {
                self.put(record, std::mem::take(&mut builder));
                (packed, last_is_small) = (packed + 1, false);
            }
            builder.push(&row).map_err(|wrong| {
                let what = format!("the entry at key {} of dataset {} cannot be: {}", row.key, record.id, wrong.0);
                Error::damaged(self.snapshot.dir(), None, what)
            })?;
            record.seq += 1;
            record.seq_bytes += entry.bytes();
            record.entries += 1;
            record.bytes += entry.bytes();
            (record.head, record.head_time_ms) = (entry.key, frame.time_ms);
        }
        if builder.count() > 0 {
            last_is_small = builder.bytes() < self.sealing.chunk_bytes / 2;
            self.put(record, builder);
            packed += 1;
        }
        record.small_run = match (packed, last_is_small) {
            (0, _) => record.small_run,
            (_, false) => 0,
            (1, true) => record.small_run + 1,
            (_, true) => 1,
        };
        Ok(())
    }

    fn put(&mut self, record: &DatasetRecord, builder: ChunkBuilder) {
        let (bytes, meta) = builder.finish();
        self.changes.put_chunk(record.id, &meta.with_seq(record.seq, record.seq_bytes), &bytes);
    }

    /// Queues the dataset if a cap is exceeded, and sets when its retention by age is due.
    fn retention(&mut self, part: &TailDataset, record: &mut DatasetRecord) {
        let retention = record.retention.unwrap_or(self.sealing.retention);
        if record.small_run >= MERGE_RUN || is_over(record, &retention, a_tenth) || !part.retention.is_empty() {
            self.changes.put_work(record.id);
        }
        if let Some(age_ms) = age_of(record, &retention)
            && record.due_ms == 0
        {
            record.due_ms = self.time_of(part).saturating_add(age_ms).max(1);
            self.changes.put_due(record.due_ms, record.id);
        }
    }
}

/// Whether an entry begins another chunk.
pub fn is_full(builder: &ChunkBuilder, next: &ChunkEntry<'_>, chunk_bytes: usize) -> bool {
    builder.count() > 0
        && (builder.bytes() + ChunkBuilder::bytes_of(next) > chunk_bytes
            || builder.count() >= crate::limits::MAX_CHUNK_ENTRIES)
}

/// Whether a cap in entries or bytes is exceeded, each enlarged by `slack` of it.
pub fn is_over(record: &DatasetRecord, retention: &Retention, slack: impl Fn(u64) -> u64) -> bool {
    let over = |cap: Option<u64>, count: u64| cap.is_some_and(|cap| count > cap.saturating_add(slack(cap)));
    match retention.keep {
        Keep::Live => {
            over(retention.history.entries, record.superseding)
                || over(retention.history.bytes, record.superseded_bytes)
                || over(retention.tombstones.entries, record.tombstones)
                || over(retention.tombstones.bytes, record.tombstone_bytes)
        }
        Keep::Window => over(retention.history.entries, record.entries) || over(retention.history.bytes, record.bytes),
    }
}

/// By how much a cap is exceeded before compaction begins in the background, so that a chunk is not rewritten for every
/// entry.
fn a_tenth(cap: u64) -> u64 {
    cap / 10
}

/// The shortest age at which something of the dataset is due, if anything can be.
pub fn age_of(record: &DatasetRecord, retention: &Retention) -> Option<u64> {
    let history = retention.history.age_ms.filter(|_| match retention.keep {
        Keep::Live => record.superseding > 0,
        Keep::Window => record.entries > 0,
    });
    let tombstones = retention.tombstones.age_ms.filter(|_| retention.keep == Keep::Live && record.tombstones > 0);
    history.into_iter().chain(tombstones).min()
}

/// What precedes an entry at `key`, given its entity's previous version.
fn follow(previous: Option<&Version>, key: u64, is_delete: bool) -> Before {
    let life = previous.map(|v| (Born { born: v.born, reborn: v.reborn }, v.op == Op::Delete));
    let Born { born, reborn } = Born::after(life, key, is_delete);
    let before = Before { born, reborn, ..Before::default() };
    match previous {
        Some(v) => Before { prev: v.key, prev_bytes: v.bytes, prev_delete: v.op == Op::Delete, ..before },
        None => before,
    }
}

fn consumers(snapshot: &Snapshot<'_>, changes: &mut Changes<'_>, tail: &Inner) -> Result<()> {
    for ((id, name), acked) in &tail.consumers {
        let is_deleted = tail.datasets.get(id).is_some_and(|part| part.deleted.is_some());
        let before = snapshot.consumer(*id, name)?;
        let before = before.map(|record| Acked { position: record.position, bound: record.bound });
        match acked.onto(before, u64::MAX) {
            Some(Acked { position, bound }) if !is_deleted => {
                changes.put_consumer(*id, name, &ConsumerRecord { position, bound, time_ms: tail.last_time_ms })?;
            }
            _ => changes.delete_consumer(*id, name),
        }
    }
    Ok(())
}

/// Forgets idempotency ids that were used too long ago.
fn forget(snapshot: &Snapshot<'_>, changes: &mut Changes<'_>, tail: &Inner, before_ms: u64) -> Result<()> {
    let Some(upto_ms) = before_ms.checked_sub(1) else { return Ok(()) };
    for (time_ms, id) in snapshot.expired(upto_ms, FORGET_PER_SEAL)? {
        let used_since = tail.idempotency.contains_key(&id)
            || snapshot.idempotency(&id)?.is_some_and(|record| record.time_ms > time_ms);
        match used_since {
            true => changes.delete_expiry(&id, time_ms),
            false => changes.delete_idempotency(&id, time_ms),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
