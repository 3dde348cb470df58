//! One dataset's part of a tail.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::Versioned;
use crate::types::{Op, Retention};
use crate::window::Born;

/// No version before or after.
const NONE: u32 = u32::MAX;

/// One entry: where its bytes lie, and the versions of its entity around it.
#[derive(Debug, Clone, Copy)]
pub struct TailEntry {
    pub key: u64,
    pub frame: u32,
    pub op: Op,
    pub last: bool,
    pub entity: (u32, u32),
    pub payload: (u32, u32),
    /// Entity and payload bytes of this dataset's entries in this tail, up to and including this one.
    pub bytes_upto: u64,
    older: u32,
    newer: u32,
}

impl TailEntry {
    pub(super) fn new(
        key: u64,
        frame: u32,
        op: Op,
        last: bool,
        entity: &Range<u32>,
        payload: &Range<u32>,
    ) -> TailEntry {
        let (entity, payload) = ((entity.start, entity.end), (payload.start, payload.end));
        TailEntry { key, frame, op, last, entity, payload, bytes_upto: 0, older: NONE, newer: NONE }
    }

    /// Entity and payload bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.entity.1 - self.entity.0) + u64::from(self.payload.1 - self.payload.0)
    }

    /// Whether it is a delete.
    pub fn is_delete(&self) -> bool {
        self.op == Op::Delete
    }
}

/// The versions of one entity in this tail.
#[derive(Debug, Clone, Copy)]
struct Versions {
    oldest: u32,
    newest: u32,
}

/// One dataset's entries and settings in a tail.
#[derive(Default)]
pub struct TailDataset {
    /// Its name, if it was created in this tail.
    pub created: Option<Bytes>,
    /// The key at which it was deleted, if it was.
    pub deleted: Option<u64>,
    /// Retention set in this tail; none is "the default again".
    pub retention: Versioned<Option<Retention>>,
    entries: Vec<TailEntry>,
    /// Of each entry, when its life began, once a reader had to ask the index store: 0 until then. What comes before an
    /// entry never changes, but that there was an older life is forgotten with its tombstone.
    born: Vec<AtomicU64>,
    /// The highest floor under which a life was found that is not known to be another one's successor.
    born_floor: AtomicU64,
    entities: HashMap<Bytes, Versions>,
}

impl TailDataset {
    pub(super) fn push(&mut self, mut entry: TailEntry, entity: Bytes) {
        let at = self.entries.len() as u32;
        if at == 0 {
            // Most datasets of a store of many have one entry in a tail.
            self.entries.reserve_exact(1);
            self.born.reserve_exact(1);
        }
        entry.bytes_upto = self.entries.last().map_or(0, |last| last.bytes_upto) + entry.bytes();
        match self.entities.get_mut(&entity) {
            Some(versions) => {
                entry.older = versions.newest;
                self.entries[versions.newest as usize].newer = at;
                versions.newest = at;
            }
            None => {
                self.entities.insert(entity, Versions { oldest: at, newest: at });
            }
        }
        self.entries.push(entry);
        self.born.push(AtomicU64::new(0));
    }

    pub(super) fn take_back(&mut self, base: u64) {
        let keep = self.entries.partition_point(|entry| entry.key < base);
        self.entries.truncate(keep);
        self.born.truncate(keep);
        let entries = &mut self.entries;
        self.entities.retain(|_, versions| {
            if versions.oldest as usize >= keep {
                return false;
            }
            // Walk forward from the oldest: versions in this tail are few, and this is the rare path.
            let mut at = versions.oldest;
            while entries[at as usize].newer != NONE && (entries[at as usize].newer as usize) < keep {
                at = entries[at as usize].newer;
            }
            entries[at as usize].newer = NONE;
            versions.newest = at;
            true
        });
        self.retention.take_back(base);
        self.deleted = self.deleted.filter(|key| *key < base);
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.created.is_none() && self.deleted.is_none() && self.retention.is_empty()
    }

    /// All entries, in key order.
    pub fn entries(&self) -> &[TailEntry] {
        &self.entries
    }

    /// The entries with keys in `(position, bound]`.
    pub fn between(&self, position: u64, bound: u64) -> &[TailEntry] {
        let from = self.entries.partition_point(|entry| entry.key <= position);
        let to = self.entries.partition_point(|entry| entry.key <= bound);
        self.entries.get(from..to).unwrap_or_default()
    }

    /// When the life of the entry at `key` began, if that was found before by someone who knew no tombstones that a
    /// reader at this `floor` does not know.
    pub fn born(&self, key: u64, floor: u64) -> Option<Born> {
        let at = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        let known = self.born.get(at)?.load(Ordering::Acquire);
        let born = Born { born: known >> 1, reborn: known & 1 == 1 };
        (known != 0 && (born.reborn || self.born_floor.load(Ordering::Acquire) <= floor)).then_some(born)
    }

    /// Remembers when the life of the entry at `key` began, as a reader at `floor` found it.
    pub fn set_born(&self, key: u64, life: Born, floor: u64) {
        let Ok(at) = self.entries.binary_search_by_key(&key, |entry| entry.key) else { return };
        if !life.reborn {
            self.born_floor.fetch_max(floor, Ordering::Release);
        }
        if let (Some(born), Some(twice)) = (self.born.get(at), life.born.checked_mul(2)) {
            born.store(twice | u64::from(life.reborn), Ordering::Release);
        }
    }

    /// The newest key at or below `bound`.
    pub fn head(&self, bound: u64) -> Option<u64> {
        let to = self.entries.partition_point(|entry| entry.key <= bound);
        Some(self.entries[to.checked_sub(1)?].key)
    }

    /// How many entries lie in `(position, bound]`, and their bytes.
    pub fn due(&self, position: u64, bound: u64) -> (u64, u64) {
        let from = self.entries.partition_point(|entry| entry.key <= position);
        let to = self.entries.partition_point(|entry| entry.key <= bound);
        let upto = |at: usize| if at == 0 { 0 } else { self.entries[at - 1].bytes_upto };
        if to <= from { (0, 0) } else { ((to - from) as u64, upto(to) - upto(from)) }
    }

    /// The entity's oldest version here.
    pub fn oldest(&self, entity: &[u8]) -> Option<&TailEntry> {
        Some(&self.entries[self.entities.get(entity)?.oldest as usize])
    }

    /// The entity's newest version at or below `bound`.
    pub fn newest(&self, entity: &[u8], bound: u64) -> Option<&TailEntry> {
        let mut entry = &self.entries[self.entities.get(entity)?.newest as usize];
        while entry.key > bound {
            entry = self.older(entry)?;
        }
        Some(entry)
    }

    /// The version before this one, in this tail.
    pub fn older(&self, entry: &TailEntry) -> Option<&TailEntry> {
        self.entries.get(entry.older as usize)
    }

    /// The version after this one, in this tail.
    pub fn newer(&self, entry: &TailEntry) -> Option<&TailEntry> {
        self.entries.get(entry.newer as usize)
    }

    /// The entities that have a version here, in no order.
    pub fn entities(&self) -> impl Iterator<Item = &Bytes> {
        self.entities.keys()
    }
}
