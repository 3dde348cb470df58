//! The slow comparison, row by row, once the sums have shown that there is something to name.

use super::Report;
use super::dataset::{Dataset, stored, stored_of};
use crate::chunk::Chunk;
use crate::error::Result;
use crate::types::Op;

/// Most findings of one comparison; what is wrong everywhere need not be said for every entry.
const MOST: usize = 100;

impl Dataset<'_, '_> {
    /// Names newest entries without rows of their entities, and rows without entries.
    pub(super) fn compare_newest(&self, report: &mut Report<'_>) {
        let mut named = 0;
        let outcome = self.entries_without_rows(&mut named, report).and_then(|()| {
            // Each direction has its own share of findings.
            let mut more = 0;
            let outcome = self.rows_without_entries(&mut more, report);
            named += more;
            outcome
        });
        self.conclude(outcome, named, "entries and index do not agree", report);
    }

    /// Names superseded entries without marks and marks without superseding entries.
    pub(super) fn compare_links(&self, report: &mut Report<'_>) {
        let mut named = 0;
        let outcome = self.entries_without_marks(&mut named, report).and_then(|()| {
            let mut more = 0;
            let outcome = self.marks_without_entries(&mut more, report);
            named += more;
            outcome
        });
        self.conclude(outcome, named, "entries and marks do not agree", report);
    }

    /// Names entries that say something else of the version before them than it is.
    pub(super) fn compare_versions(&self, report: &mut Report<'_>) {
        let mut named = 0;
        let outcome = self.each_chunk(|chunk| {
            for entry in chunk.iter().filter(|entry| self.must_be_linked(entry.prev, entry.key)) {
                let is_right = self.entry_at(entry.prev, |chunk, i| {
                    let before = chunk.entry(i);
                    let is_delete = before.op == Op::Delete;
                    (before.entity, before.bytes(), is_delete) == (entry.entity, entry.prev_bytes, entry.prev_delete)
                })?;
                if is_right != Some(true) {
                    self.report(
                        entry.key,
                        format!("it names the entry at key {} as the version before it, which it is not", entry.prev),
                        report,
                    );
                    named += 1;
                    if named >= MOST {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        });
        self.conclude(outcome, named, "entries and the versions before them do not agree", report);
    }

    fn conclude(&self, outcome: Result<()>, named: usize, what: &str, report: &mut Report<'_>) {
        match outcome {
            Err(error) => report(super::finding(&error, Some(self.record))),
            Ok(()) if named == 0 => report(super::disagreement(self.snapshot(), self.record, None, what.to_owned())),
            Ok(()) => {}
        }
    }

    fn entries_without_rows(&self, named: &mut usize, report: &mut Report<'_>) -> Result<()> {
        self.each_chunk(|chunk| {
            for entry in chunk.iter() {
                let successor = self.snapshot().mark(self.record.id, entry.key)?;
                if successor.is_some() || self.record.has_dropped(entry.key, entry.op, None) {
                    continue;
                }
                let what = match self.snapshot().newest(self.record.id, entry.entity)? {
                    Some(version) if stored(&version) == stored_of(&entry) => continue,
                    Some(version) if version.key == entry.key => {
                        "the index says something else of this entry than its chunk"
                    }
                    Some(_) => "nothing marks this entry as superseded, but the index has another one of its entity",
                    None => "a chunk has this entry, but the index does not",
                };
                self.report(entry.key, what, report);
                *named += 1;
                if *named >= MOST {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    fn rows_without_entries(&self, named: &mut usize, report: &mut Report<'_>) -> Result<()> {
        for row in self.pool.entities(self.record.id) {
            let (entity, version) = row?;
            let found = self.entry_at(version.key, |chunk, i| chunk.entry(i).entity == &entity[..])?;
            if found != Some(true) {
                self.report(version.key, "the index has this entry, but no chunk does", report);
                *named += 1;
                if *named >= MOST {
                    break;
                }
            }
        }
        Ok(())
    }

    fn entries_without_marks(&self, named: &mut usize, report: &mut Report<'_>) -> Result<()> {
        self.each_chunk(|chunk| {
            for entry in chunk.iter().filter(|entry| self.must_be_linked(entry.prev, entry.key)) {
                let found = self.snapshot().mark(self.record.id, entry.prev)?;
                if found == Some(entry.key) {
                    continue;
                }
                let what = match found {
                    Some(other) => format!("it is superseded by key {}, but marked with key {other}", entry.key),
                    None => format!("it is superseded by key {}, but not marked", entry.key),
                };
                self.report(entry.prev, what, report);
                *named += 1;
                if *named >= MOST {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    fn marks_without_entries(&self, named: &mut usize, report: &mut Report<'_>) -> Result<()> {
        for mark in self.snapshot().marks(self.record.id, 0) {
            let (old, successor) = mark?;
            if !self.must_be_linked(old, successor) {
                continue;
            }
            if self.entry_at(successor, |chunk, i| chunk.entry(i).prev == old)? != Some(true) {
                self.report(old, format!("it is marked with key {successor}, which does not supersede it"), report);
                *named += 1;
                if *named >= MOST {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Hands each chunk to `look`, until that says no.
    fn each_chunk(&self, mut look: impl FnMut(&Chunk) -> Result<bool>) -> Result<()> {
        for meta in self.snapshot().metas(self.record.id, 0) {
            if !look(&self.snapshot().read_chunk(self.record.id, meta?.last)?)? {
                break;
            }
        }
        Ok(())
    }

    /// What `look` says of the entry at `key`, if there is one.
    fn entry_at(&self, key: u64, look: impl FnOnce(&Chunk, usize) -> bool) -> Result<Option<bool>> {
        let chunk = self.snapshot().chunk_covering(self.record.id, self.record.epoch, key)?;
        Ok(chunk.and_then(|chunk| chunk.find(key).map(|i| look(&chunk, i))))
    }
}
