//! Commits that are not sealed yet, in memory: what recent reads are answered from.
//!
//! A tail holds per dataset a list of entries, with their bytes side by side, and the versions of each entity. It may
//! hold keys above `visible`; readers pass the bound they read up to, the commit path sees everything.

mod blocks;
mod dataset;
mod entities;
mod versioned;

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use foldhash::quality::RandomState;
use parking_lot::{RwLock, RwLockReadGuard};

pub use dataset::{COPY_ABOVE_BYTES, TailDataset, TailEntry};
pub use versioned::Versioned;

use crate::frame::{Body, DatasetRef, LogPos, RecordKind};
use crate::planted::{Bug, planted};
use dataset::Added;
use entities::Entities;

/// By a hash that is seeded, and faster than the standard library's: a commit looks up each of its entries.
type Map<K, V> = HashMap<K, V, RandomState>;

/// About what one entry costs beside its bytes: its row and its entity's slot.
const ENTRY_OVERHEAD_BYTES: usize = 184;
/// About what one dataset costs: its part with the tables of entries and entities, its name.
const DATASET_OVERHEAD_BYTES: usize = 640;
/// About what one commit costs beside its entries.
const FRAME_OVERHEAD_BYTES: usize = 112;
/// About what an idempotency id costs beside its bytes.
const IDEMPOTENCY_OVERHEAD_BYTES: usize = 160;

/// What an idempotency id was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    pub hash: [u8; 16],
    pub first: u64,
    pub last: u64,
    pub time_ms: u64,
}

/// What a consumer acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    pub position: u64,
    /// Where its first read from 0 ends, as long as it is below that; else 0.
    pub bound: u64,
}

impl Acked {
    /// This one after `before`: an acknowledgement never takes back a higher one, whichever was written last.
    pub fn onto(self, before: Acked) -> Acked {
        let position = match planted(Bug::AckGoesBack) {
            true => self.position,
            false => self.position.max(before.position),
        };
        // Where the first read ends is said once, by the fetch that began it.
        let bound = if before.bound > position { before.bound } else { 0 };
        Acked { position, bound }
    }
}

impl Versioned<Option<Acked>> {
    /// What is acknowledged as of `bound`, given what was before this tail. A removal forgets all before it.
    pub fn onto(&self, before: Option<Acked>, bound: u64) -> Option<Acked> {
        let Some((_, now)) = self.at(bound) else { return before };
        let before = before.filter(|_| self.upto(bound).all(Option::is_some));
        now.map(|now| before.map_or(now, |before| now.onto(before)))
    }
}

/// One tail: all keys at or above `base` and below the next tail's base.
pub struct Tail {
    base: u64,
    inner: RwLock<Inner>,
}

/// The content of a tail, for as long as it is looked at.
#[derive(Default)]
pub struct Inner {
    pub frames: Vec<Frame>,
    pub datasets: Map<u64, TailDataset>,
    /// The datasets created here. Whether one was deleted since, its own part says.
    pub names: Map<Bytes, Versioned<u64>>,
    /// What consumers acknowledged; none after a removal.
    pub consumers: Map<(u64, Bytes), Versioned<Option<Acked>>>,
    pub idempotency: Map<Bytes, Remembered>,
    entities: Entities,
    pub bytes: usize,
    pub last_key: u64,
    pub last_time_ms: u64,
    /// Where the log ends behind the last frame.
    pub end: LogPos,
}

/// One commit.
pub struct Frame {
    pub base: u64,
    pub time_ms: u64,
    /// Who made it.
    pub origin: Option<Bytes>,
    count: u32,
    cost: usize,
}

impl Tail {
    /// An empty tail for keys from `base` on.
    pub fn new(base: u64, end: LogPos) -> Tail {
        Tail { base, inner: RwLock::new(Inner { end, last_key: base.saturating_sub(1), ..Inner::default() }) }
    }

    /// No key below this is in it.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Looks at the content.
    pub fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read()
    }

    /// About how many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.inner.read().bytes
    }

    /// Whether a commit of about so many bytes may come into it, if it is to hold `limit` at most: into an empty one always.
    pub fn has_room(&self, bytes: usize, limit: usize) -> bool {
        let inner = self.inner.read();
        inner.frames.is_empty() || inner.bytes + bytes <= limit
    }

    /// Whether nothing was committed into it.
    pub fn is_empty(&self) -> bool {
        self.inner.read().frames.is_empty()
    }

    /// About how many bytes a body will take at most: in a tail that has none of its datasets.
    pub fn cost(body: &Body) -> usize {
        cost_of_body(body, body.datasets.len())
    }

    /// Adds a commit whose records have the keys `base..`.
    pub fn insert(&self, base: u64, time_ms: u64, body: &Body) {
        let mut guard = self.inner.write();
        let inner = &mut *guard;
        let frame = inner.frames.len() as u32;
        let datasets_before = inner.datasets.len();
        let ids: Vec<u64> = body
            .datasets
            .iter()
            .map(|dataset| match dataset {
                DatasetRef::Existing(id) => *id,
                DatasetRef::New { record, .. } => base + u64::from(*record),
            })
            .collect();
        for dataset in &body.datasets {
            if let DatasetRef::New { record, name } = dataset {
                let id = base + u64::from(*record);
                let name = Bytes::copy_from_slice(part(body, name));
                inner.datasets.entry(id).or_default().created = Some(name.clone());
                inner.names.entry(name).or_default().push(id, id);
            }
        }
        for (index, record) in body.records.iter().enumerate() {
            let key = base + index as u64;
            let id = ids[record.dataset as usize];
            let dataset = inner.datasets.entry(id).or_default();
            match &record.kind {
                RecordKind::Change { op, last, entity, payload } => {
                    let (entity, payload) = (part(body, entity), part(body, payload));
                    let older = inner.entities.add(id, dataset, entity, dataset.next());
                    dataset.push(&Added { key, frame, op: *op, last: *last, entity, payload }, older);
                }
                RecordKind::DeleteDataset => dataset.deleted = Some(key),
                RecordKind::SetRetention(retention) => dataset.retention.push(key, retention.as_deref().copied()),
                RecordKind::Ack { consumer, position, bound } => {
                    let name = Bytes::copy_from_slice(part(body, consumer));
                    let acked = inner.consumers.entry((id, name)).or_default();
                    let now = Acked { position: *position, bound: *bound };
                    acked.push(key, Some(acked.newest().copied().flatten().map_or(now, |before| now.onto(before))));
                }
                RecordKind::RemoveConsumer { consumer } => {
                    let name = Bytes::copy_from_slice(part(body, consumer));
                    inner.consumers.entry((id, name)).or_default().push(key, None);
                }
            }
        }
        let cost = cost_of_body(body, inner.datasets.len() - datasets_before);
        inner.bytes += cost;
        let origin = body.origin.as_ref().map(|origin| Bytes::copy_from_slice(part(body, origin)));
        inner.frames.push(Frame { base, time_ms, origin, count: body.records.len() as u32, cost });
        let last = base + body.records.len() as u64 - 1;
        if let Some((id, hash)) = &body.idempotency {
            let id = Bytes::copy_from_slice(part(body, id));
            inner.idempotency.insert(id, Remembered { hash: *hash, first: base, last, time_ms });
        }
        inner.last_key = last;
        inner.last_time_ms = time_ms;
    }

    /// Takes back every commit from `base` on: its write was refused, and no one has seen it.
    pub fn take_back(&self, base: u64) {
        let mut guard = self.inner.write();
        let inner = &mut *guard;
        while inner.frames.last().is_some_and(|frame| frame.base >= base) {
            let Some(frame) = inner.frames.pop() else { break };
            inner.bytes -= frame.cost;
        }
        for dataset in inner.datasets.values_mut() {
            dataset.take_back(base);
        }
        let datasets = &inner.datasets;
        inner.entities.retain(|id, oldest| datasets.get(&id)?.newest_after(oldest));
        inner.datasets.retain(|id, _| *id < base);
        inner.datasets.retain(|_, dataset| !dataset.is_empty());
        inner.names.retain(|_, name| name.take_back(base));
        inner.consumers.retain(|_, consumer| consumer.take_back(base));
        inner.idempotency.retain(|_, remembered| remembered.first < base);
        let last = inner.frames.last();
        inner.last_key = last.map_or(self.base.saturating_sub(1), |f| f.base + u64::from(f.count) - 1);
    }

    /// Notes where the log ends behind the frames inserted so far.
    pub fn set_end(&self, end: LogPos) {
        self.inner.write().end = end;
    }
}

impl Inner {
    /// The entity's newest version at or below `bound`.
    pub fn newest(&self, id: u64, entity: &[u8], bound: u64) -> Option<&TailEntry> {
        let part = self.datasets.get(&id)?;
        let mut entry = part.at(self.entities.find(id, part, entity)?.newest)?;
        while entry.key > bound {
            entry = part.older(entry)?;
        }
        Some(entry)
    }

    /// The entity's oldest version.
    pub fn oldest(&self, id: u64, entity: &[u8]) -> Option<&TailEntry> {
        let part = self.datasets.get(&id)?;
        part.at(self.entities.find(id, part, entity)?.oldest)
    }
}

/// About how many bytes a commit takes in a tail: so many bytes of names and payloads in so many entries, over so many
/// datasets that the tail does not have yet. What blocks have to spare comes on top: [`spare`].
pub const fn size_of_commit(bytes: usize, entries: usize, datasets: usize) -> usize {
    bytes + entries * ENTRY_OVERHEAD_BYTES + datasets * DATASET_OVERHEAD_BYTES + FRAME_OVERHEAD_BYTES
}

/// The room that blocks have to spare at most: a fifth of theirs.
pub const fn spare(bytes: usize) -> usize {
    bytes / 4
}

fn cost_of_body(body: &Body, datasets: usize) -> usize {
    let idempotency = if body.idempotency.is_some() { IDEMPOTENCY_OVERHEAD_BYTES } else { 0 };
    let bytes = body.bytes.len();
    size_of_commit(bytes, body.records.len(), datasets) + spare(bytes) + idempotency
}

fn part<'b>(body: &'b Body, range: &Range<u32>) -> &'b [u8] {
    &body.bytes[range.start as usize..range.end as usize]
}
