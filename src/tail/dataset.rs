//! One dataset's part of a tail.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::Versioned;
use super::blocks::Blocks;
use crate::types::{Op, Retention};
use crate::window::Born;

/// No version before or after.
const NONE: u32 = u32::MAX;
/// An entity's id is copied out of what is larger than this, if its payload is not wanted: it would keep all of it in memory.
pub const COPY_ABOVE_BYTES: usize = 64 << 10;

/// One entry, and the versions of its entity around it.
#[derive(Debug)]
pub struct TailEntry {
    pub key: u64,
    /// The commit's index among the tail's.
    pub frame: u32,
    pub op: Op,
    pub last: bool,
    entity_len: u16,
    payload_len: u32,
    /// Where the entity lies, and behind it the payload.
    block: u32,
    at: u32,
    /// Entity and payload bytes of this dataset's entries in this tail, up to and including this one.
    pub bytes_upto: u64,
    /// When its life began, once a reader had to ask the index store: 0 until then. What comes before an entry never
    /// changes, but that there was an older life is forgotten with its tombstone.
    born: AtomicU64,
    older: u32,
    newer: u32,
}

/// A change as it comes from a commit.
pub(super) struct Added<'a> {
    pub key: u64,
    pub frame: u32,
    pub op: Op,
    pub last: bool,
    pub entity: &'a [u8],
    pub payload: &'a [u8],
}

const _: () = assert!(size_of::<TailEntry>() == 56);

impl TailEntry {
    /// Entity and payload bytes.
    pub fn bytes(&self) -> u64 {
        self.len() as u64
    }

    /// The payload's length.
    pub fn payload_len(&self) -> usize {
        self.payload_len as usize
    }

    /// Whether it is a delete.
    pub fn is_delete(&self) -> bool {
        self.op == Op::Delete
    }

    /// Its block among the dataset's, where its entity is in that, and the lengths of that and of the payload behind it.
    pub fn place(&self) -> (u32, u32, u16, u32) {
        (self.block, self.at, self.entity_len, self.payload_len)
    }

    fn len(&self) -> usize {
        usize::from(self.entity_len) + self.payload_len as usize
    }

    fn entity_range(&self) -> Range<usize> {
        let at = self.at as usize;
        at..at + usize::from(self.entity_len)
    }

    fn payload_range(&self) -> Range<usize> {
        let at = self.entity_range().end;
        at..at + self.payload_len as usize
    }
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
    blocks: Blocks,
    /// The highest floor under which a life was found that is not known to be another one's successor.
    born_floor: AtomicU64,
}

impl TailDataset {
    /// The index that the next entry will have.
    pub(super) fn next(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Adds an entry, whose entity's version before it is at `older`.
    pub(super) fn push(&mut self, added: &Added<'_>, older: Option<u32>) {
        let at = self.next();
        if at == 0 {
            // Most datasets of a store of many have one entry in a tail.
            self.entries.reserve_exact(1);
        }
        if let Some(before) = older.and_then(|older| self.entries.get_mut(older as usize)) {
            before.newer = at;
        }
        let Added { key, frame, op, last, entity, payload } = *added;
        let (block, place) = self.blocks.add(entity, payload);
        let bytes = (entity.len() + payload.len()) as u64;
        self.entries.push(TailEntry {
            key,
            frame,
            op,
            last,
            // Entities and payloads are far shorter: `MAX_ENTITY_BYTES`, `MAX_PAYLOAD_BYTES`.
            entity_len: entity.len() as u16,
            payload_len: payload.len() as u32,
            block,
            at: place,
            bytes_upto: self.entries.last().map_or(0, |last| last.bytes_upto) + bytes,
            born: AtomicU64::new(0),
            older: older.unwrap_or(NONE),
            newer: NONE,
        });
    }

    pub(super) fn take_back(&mut self, base: u64) {
        self.entries.truncate(self.entries.partition_point(|entry| entry.key < base));
        let blocks = self.entries.iter().map(|entry| entry.block as usize + 1).max().unwrap_or(0);
        self.blocks.forget_all_but(self.entries.last().map_or(0, |last| last.bytes_upto), blocks);
        let kept = self.next();
        for entry in self.entries.iter_mut().filter(|entry| entry.newer >= kept) {
            entry.newer = NONE;
        }
        self.retention.take_back(base);
        self.deleted = self.deleted.filter(|key| *key < base);
    }

    /// The newest version after the one at `at`, if that one is here.
    pub(super) fn newest_after(&self, at: u32) -> Option<u32> {
        let (mut at, mut entry) = (at, self.at(at)?);
        while let Some(newer) = self.newer(entry) {
            (at, entry) = (entry.newer, newer);
        }
        Some(at)
    }

    /// The entry of this index.
    pub(super) fn at(&self, at: u32) -> Option<&TailEntry> {
        self.entries.get(at as usize)
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.created.is_none() && self.deleted.is_none() && self.retention.is_empty()
    }

    /// The entity of an entry, as it lies.
    pub fn entity(&self, entry: &TailEntry) -> &[u8] {
        &self.blocks.bytes(entry.block)[entry.entity_range()]
    }

    /// The payload of an entry, as it lies; empty for a delete.
    pub fn payload(&self, entry: &TailEntry) -> &[u8] {
        &self.blocks.bytes(entry.block)[entry.payload_range()]
    }

    /// The entity of an entry, to keep: detached from a large payload, which it would keep alive.
    pub fn entity_bytes(&self, entry: &TailEntry) -> Bytes {
        match self.blocks.shared(entry.block) {
            Some(block) if entry.len() <= COPY_ABOVE_BYTES => block.slice(entry.entity_range()),
            _ => Bytes::copy_from_slice(self.entity(entry)),
        }
    }

    /// The payload of an entry, to keep.
    pub fn payload_bytes(&self, entry: &TailEntry) -> Bytes {
        match self.blocks.shared(entry.block) {
            Some(block) => block.slice(entry.payload_range()),
            None => Bytes::copy_from_slice(self.payload(entry)),
        }
    }

    /// The block of an entry, to share. None while it is being filled.
    pub fn block(&self, entry: &TailEntry) -> Option<&Bytes> {
        self.blocks.shared(entry.block)
    }

    /// All entries, in key order.
    pub fn entries(&self) -> &[TailEntry] {
        &self.entries
    }

    /// The entries with keys in `(position, bound]`.
    pub fn between(&self, position: u64, bound: u64) -> &[TailEntry] {
        self.entries.get(self.upto(position)..self.upto(bound)).unwrap_or_default()
    }

    /// How many entries have keys at or below `bound`: all of them, unless a commit waits for its sync.
    fn upto(&self, bound: u64) -> usize {
        match self.entries.last() {
            Some(last) if last.key > bound => self.entries.partition_point(|entry| entry.key <= bound),
            _ => self.entries.len(),
        }
    }

    /// The entry at `key`.
    pub fn entry(&self, key: u64) -> Option<&TailEntry> {
        self.at(self.entries.binary_search_by_key(&key, |entry| entry.key).ok()? as u32)
    }

    /// When the life of this entry began, if that was found before by someone who knew no tombstones that a reader at
    /// this `floor` does not know.
    pub fn born(&self, entry: &TailEntry, floor: u64) -> Option<Born> {
        let known = entry.born.load(Ordering::Acquire);
        let born = Born { born: known >> 1, reborn: known & 1 == 1 };
        (known != 0 && (born.reborn || self.born_floor.load(Ordering::Acquire) <= floor)).then_some(born)
    }

    /// When the life of the entry at `key` began, if that is known of its entity's version before it.
    pub fn born_after_older(&self, key: u64, floor: u64) -> Option<Born> {
        let entry = self.entry(key)?;
        let older = self.older(entry)?;
        Some(Born::after(Some((self.born(older, floor)?, older.is_delete())), key, entry.is_delete()))
    }

    /// Remembers when the life of this entry began, as a reader at `floor` found it.
    pub fn set_born(&self, entry: &TailEntry, life: Born, floor: u64) {
        if !life.reborn {
            self.born_floor.fetch_max(floor, Ordering::Release);
        }
        if let Some(twice) = life.born.checked_mul(2) {
            entry.born.store(twice | u64::from(life.reborn), Ordering::Release);
        }
    }

    /// The newest key at or below `bound`.
    pub fn head(&self, bound: u64) -> Option<u64> {
        Some(self.entries[self.upto(bound).checked_sub(1)?].key)
    }

    /// How many entries lie in `(position, bound]`, and their bytes.
    pub fn due(&self, position: u64, bound: u64) -> (u64, u64) {
        let (from, to) = (self.upto(position), self.upto(bound));
        let upto = |at: usize| if at == 0 { 0 } else { self.entries[at - 1].bytes_upto };
        if to <= from { (0, 0) } else { ((to - from) as u64, upto(to) - upto(from)) }
    }

    /// The version before this one, in this tail.
    pub fn older(&self, entry: &TailEntry) -> Option<&TailEntry> {
        self.entries.get(entry.older as usize)
    }

    /// The version after this one, in this tail.
    pub fn newer(&self, entry: &TailEntry) -> Option<&TailEntry> {
        self.entries.get(entry.newer as usize)
    }

    /// Each entity's oldest version here, with its index.
    pub fn firsts(&self) -> impl Iterator<Item = (usize, &TailEntry)> {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.older == NONE)
    }

    /// The index of the version after this one.
    pub fn newer_index(&self, entry: &TailEntry) -> Option<usize> {
        Some(entry.newer as usize).filter(|at| *at < self.entries.len())
    }
}
