//! One dataset: chunks against their counts, the index, the marks and the record.
//!
//! Chunks are in key order and versions in order of entity, so they are compared by sums over a hash of each row:
//! one pass over either, and constant memory. Only where the sums differ are rows looked up one by one, to name them.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::pool::{Pool, PoolRows};
use super::super::record::{DatasetRecord, Version};
use super::super::snapshot::Snapshot;
use super::walk::ChunkWalk;
use super::{Checked, Report, disagreement, finding};
use crate::chunk::{Chunk, ChunkEntry, ChunkMeta};
use crate::planted::{Bug, planted};
use crate::types::Op;

/// A sum over hashes: the same for the same rows in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    rows: u64,
    hash: u64,
}

impl Sum {
    pub(super) fn add(&mut self, row: impl Hash) {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        self.rows += 1;
        self.hash = self.hash.wrapping_add(hasher.finish());
    }
}

/// What one pass found, to be compared with what the other did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Totals {
    /// Newest entries of their entities, as the index has them (or must).
    newest: Sum,
    /// Pairs of superseded and superseding key, above the history floor.
    links: Sum,
    /// What superseded entries are, and what those say that superseded them.
    before: Sum,
    said_before: Sum,
    superseding: u64,
    superseded_bytes: u64,
    last: u64,
    seq: u64,
    seq_bytes: u64,
    /// Entries that are not dropped.
    entries: u64,
    bytes: u64,
    /// Whether something could not be read, so that the totals mean nothing.
    broken: bool,
}

/// One dataset while it is checked.
pub(super) struct Dataset<'c, 's> {
    pub(super) pool: &'c Pool<'s>,
    pub(super) record: &'c DatasetRecord,
}

impl<'c, 's> Dataset<'c, 's> {
    pub(super) fn new(pool: &'c Pool<'s>, record: &'c DatasetRecord) -> Dataset<'c, 's> {
        Dataset { pool, record }
    }

    pub(super) fn snapshot(&self) -> &'s Snapshot<'s> {
        self.pool.snapshot()
    }

    /// Checks one dataset in both directions: every newest entry of a chunk has its row in the index (unless it was
    /// dropped and only waits for its chunk to be rewritten) and every row its entry; every mark its entry and
    /// every superseded entry its mark; chunks their counts; and the record all sums.
    pub(super) fn check(&self, walk: &mut ChunkWalk<'_>, checked: &mut Checked, report: &mut Report<'_>) {
        let record = self.record;
        checked.datasets += 1;
        let chunks = self.read_chunks(walk, checked, report);
        let index = self.read_index(checked, report);
        if !chunks.broken && !index.broken && !planted(Bug::IndexNotVerified) {
            if chunks.newest != index.newest {
                self.compare_newest(report);
            }
            if chunks.links != index.links {
                self.compare_links(report);
            } else if chunks.before != chunks.said_before {
                self.compare_versions(report);
            }
        }
        if !chunks.broken {
            self.agree("entries", record.entries, chunks.entries, report);
            self.agree("bytes", record.bytes, chunks.bytes, report);
            self.agree("superseding entries", record.superseding, chunks.superseding, report);
            self.agree("bytes superseded", record.superseded_bytes, chunks.superseded_bytes, report);
            // The newest entries may have been dropped (purged deletes, a window): then the record alone remembers them.
            if chunks.last == record.head {
                self.agree("entries ever appended", record.seq, chunks.seq, report);
                self.agree("bytes ever appended", record.seq_bytes, chunks.seq_bytes, report);
            }
            if chunks.last > record.head {
                let what = format!("its head is {}, but it has an entry at key {}", record.head, chunks.last);
                self.report(chunks.last, what, report);
            }
        }
    }

    /// Whether a superseded entry must have a mark, and a mark its superseding entry.
    pub(super) fn must_be_linked(&self, old: u64, successor: u64) -> bool {
        self.record.has_before(successor, old)
    }

    pub(super) fn report(&self, key: u64, what: impl Into<String>, report: &mut Report<'_>) {
        report(disagreement(self.snapshot(), self.record, Some(key), what.into()));
    }

    fn agree(&self, what: &str, recorded: u64, found: u64, report: &mut Report<'_>) {
        if recorded != found {
            let what = format!("its record says {recorded} {what}, but there are {found}");
            report(disagreement(self.snapshot(), self.record, None, what));
        }
    }

    /// Walks chunks, their counts and the marks together; all three are in key order.
    fn read_chunks(&self, walk: &mut ChunkWalk<'_>, checked: &mut Checked, report: &mut Report<'_>) -> Totals {
        let id = self.record.id;
        let mut pass =
            ChunkPass { dataset: self, marks: Some(self.pool.marks(id, 0)), mark: None, totals: Totals::default() };
        pass.next_mark(report);
        let mut metas = self.pool.metas(id, 0).peekable();
        let mut metas_broken = false;
        walk.begin(id);
        loop {
            if let Some(Err(error)) = metas.next_if(Result::is_err) {
                report(finding(&error, Some(self.record)));
                metas_broken = true;
            }
            let meta = metas.peek().and_then(|meta| meta.as_ref().ok()).copied();
            let chunk = match walk.chunk(meta, checked) {
                Ok(chunk) => chunk,
                Err(error) => {
                    report(finding(&error, Some(self.record)));
                    pass.totals.broken = true;
                    // Where the next chunk begins is known from the counts alone.
                    let Some(meta) = meta else { break };
                    metas.next();
                    walk.skip(meta.last);
                    continue;
                }
            };
            match (meta, chunk) {
                (None, None) => break,
                (Some(meta), chunk) if chunk.as_ref().is_none_or(|chunk| meta.last < chunk.last_key()) => {
                    self.report(meta.last, "a chunk's counts are there, but not the chunk", report);
                    pass.totals.broken = true;
                    metas.next();
                }
                (meta, Some(chunk)) => {
                    let meta = meta.filter(|meta| meta.last == chunk.last_key());
                    if meta.is_none() && !metas_broken {
                        self.report(chunk.last_key(), "a chunk is there, but not its counts", report);
                    }
                    pass.chunk(&chunk, meta, report);
                    checked.chunks += 1;
                    checked.entries += chunk.len() as u64;
                    if meta.is_some() {
                        metas.next();
                    }
                    walk.next(chunk.last_key());
                }
                (Some(_), None) => break, // taken by the arm above
            }
        }
        while pass.mark.is_some() {
            pass.mark_without_entry(report);
        }
        pass.totals
    }

    /// Walks the entities, and checks what the record says of them.
    fn read_index(&self, checked: &mut Checked, report: &mut Report<'_>) -> Totals {
        let mut totals = Totals::default();
        let (mut tombstones, mut tombstone_bytes) = (0, 0);
        for row in self.pool.entities(self.record.id) {
            let (name, version) = match row {
                Ok(row) => row,
                Err(error) => {
                    report(finding(&error, Some(self.record)));
                    totals.broken = true;
                    break;
                }
            };
            totals.newest.add((&name[..], stored(&version)));
            checked.bytes += name.len() as u64 + 16;
            if version.op == Op::Delete {
                (tombstones, tombstone_bytes) = (tombstones + 1, tombstone_bytes + version.bytes);
            }
        }
        for mark in self.pool.marks(self.record.id, 0) {
            match mark {
                Ok((old, successor)) if self.must_be_linked(old, successor) => totals.links.add((old, successor)),
                Ok(_) => {}
                Err(_) => totals.broken = true, // reported by the pass over chunks
            }
        }
        if !totals.broken {
            self.agree("tombstones", self.record.tombstones, tombstones, report);
            self.agree("bytes of tombstones", self.record.tombstone_bytes, tombstone_bytes, report);
        }
        totals
    }
}

/// What the index keeps of an entry, for its hash.
pub(super) fn stored(version: &Version) -> (u64, u8, u64, bool, usize) {
    (version.key, version.op as u8, version.born, version.reborn, version.payload_len)
}

/// The same of an entry in a chunk.
pub(super) fn stored_of(entry: &ChunkEntry<'_>) -> (u64, u8, u64, bool, usize) {
    (entry.key, entry.op as u8, entry.born, entry.reborn, entry.payload.len())
}

/// The pass over chunks in key order, with the marks beside.
struct ChunkPass<'c, 's> {
    dataset: &'c Dataset<'c, 's>,
    /// None once they cannot be read.
    marks: Option<PoolRows<'c, 's, (u64, u64)>>,
    mark: Option<(u64, u64)>,
    totals: Totals,
}

impl ChunkPass<'_, '_> {
    fn chunk(&mut self, chunk: &Chunk, meta: Option<ChunkMeta>, report: &mut Report<'_>) {
        let dataset = self.dataset;
        if chunk.first_key() <= self.totals.last {
            dataset.report(chunk.first_key(), "chunks overlap or are out of order", report);
        }
        if let Some(meta) = meta {
            let (dead, dead_bytes) = (meta.dead, meta.dead_bytes);
            let counted = ChunkMeta { dead, dead_bytes, ..ChunkMeta::of(chunk.iter()) };
            if counted.with_seq(meta.seq, meta.seq_bytes) != meta {
                dataset.report(meta.last, "a chunk's counts are not those of its entries", report);
            }
            let (least, least_bytes) =
                (self.totals.seq + u64::from(meta.count), self.totals.seq_bytes.saturating_add(meta.bytes));
            if meta.seq < least || meta.seq_bytes < least_bytes {
                dataset.report(meta.last, "a chunk's running totals do not follow those before it", report);
            }
            (self.totals.seq, self.totals.seq_bytes) = (meta.seq, meta.seq_bytes);
        }
        self.totals.last = self.totals.last.max(chunk.last_key());
        let mut dead = 0;
        for entry in chunk.iter() {
            dead += u32::from(!self.entry(&entry, report));
        }
        if let Some(meta) = meta.filter(|meta| meta.dead != dead && !self.totals.broken) {
            let what = format!("a chunk's counts say that {} of its entries are dropped, but {dead} are", meta.dead);
            dataset.report(meta.last, what, report);
        }
    }

    /// Counts one entry; false if it is dropped and only waits for its chunk to be rewritten.
    fn entry(&mut self, entry: &ChunkEntry<'_>, report: &mut Report<'_>) -> bool {
        while self.mark.is_some_and(|(old, _)| old < entry.key) {
            self.mark_without_entry(report);
        }
        let successor = self.mark.filter(|(old, _)| *old == entry.key).map(|(_, successor)| successor);
        if successor.is_some() {
            self.next_mark(report);
        }
        let dataset = self.dataset;
        let dropped = dataset.record.has_dropped(entry.key, entry.op, successor);
        if !dropped {
            self.totals.entries += 1;
            self.totals.bytes += entry.bytes();
            if successor.is_none() {
                self.totals.newest.add((entry.entity, stored_of(entry)));
            }
        }
        if dataset.must_be_linked(entry.prev, entry.key) {
            self.totals.links.add((entry.prev, entry.key));
            self.totals.said_before.add((entry.prev, entry.key, entry.entity, entry.prev_bytes, entry.prev_delete));
        }
        if let Some(successor) = successor.filter(|successor| dataset.must_be_linked(entry.key, *successor)) {
            self.totals.before.add((entry.key, successor, entry.entity, entry.bytes(), entry.op == Op::Delete));
        }
        if entry.prev != 0 && entry.key > dataset.record.history_floor {
            self.totals.superseding += 1;
            self.totals.superseded_bytes += entry.prev_bytes;
        }
        !dropped
    }

    fn mark_without_entry(&mut self, report: &mut Report<'_>) {
        // Where a chunk could not be read, its entries' marks prove nothing.
        if let Some((old, successor)) = self.mark
            && !self.totals.broken
        {
            let what = format!("it is marked as superseded by key {successor}, but no chunk has it");
            self.dataset.report(old, what, report);
        }
        self.next_mark(report);
    }

    fn next_mark(&mut self, report: &mut Report<'_>) {
        self.mark = match self.marks.as_mut().and_then(Iterator::next) {
            Some(Ok(mark)) => Some(mark),
            Some(Err(error)) => {
                report(finding(&error, Some(self.dataset.record)));
                self.totals.broken = true;
                self.marks = None;
                None
            }
            None => None,
        };
    }
}
