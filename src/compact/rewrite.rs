//! Taking dropped entries out of their chunks.

use std::collections::BTreeMap;

use super::Step;
use crate::chunk::{Chunk, ChunkBuilder, ChunkEntry, ChunkMeta};
use crate::error::{Error, Result};

/// The keys that a step drops, each with its bytes.
#[derive(Default)]
pub(super) struct Dead(BTreeMap<u64, u64>);

impl Dead {
    pub(super) fn add(&mut self, key: u64, bytes: u64) {
        self.0.insert(key, bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Step<'_, '_, '_> {
    /// Counts the dropped entries in their chunks, and rewrites those of which a quarter is dead.
    pub(super) fn rewrite(&mut self) -> Result<()> {
        let dead = self.dead.0.clone();
        let (id, pool) = (self.record.id, self.pool);
        let mut keys = dead.iter().peekable();
        while let Some((key, _)) = keys.peek() {
            let Some(mut meta) = pool.meta_covering(id, **key)? else {
                let what = format!("dataset {id} has no chunk for key {key}, which another entry names");
                return Err(Error::damaged(self.store.dir(), None, what));
            };
            while let Some((_, bytes)) = keys.next_if(|(key, _)| **key <= meta.last) {
                meta.dead = (meta.dead + 1).min(meta.count);
                meta.dead_bytes = (meta.dead_bytes + bytes).min(meta.bytes);
            }
            if meta.dead * 4 >= meta.count || meta.dead_bytes * 4 >= meta.bytes {
                self.rewrite_chunk(&meta)?;
            } else {
                self.changes.put_meta(id, &meta);
            }
        }
        Ok(())
    }

    fn rewrite_chunk(&mut self, meta: &ChunkMeta) -> Result<()> {
        let id = self.record.id;
        let chunk = self.pool.snapshot().read_chunk(id, meta.last)?;
        self.read += chunk.encoded_len() as u64;
        self.report.chunks_rewritten += 1;
        let mut builder = ChunkBuilder::new();
        self.keep_alive(&chunk, &mut builder)?;
        if builder.count() == 0 || builder.last_key() != meta.last {
            self.changes.delete_chunk(id, meta.last);
        }
        if builder.count() > 0 {
            self.put(builder, meta.seq, meta.seq_bytes);
        }
        Ok(())
    }

    /// Adds the entries of a chunk that are not dropped; the marks of the others go with them.
    pub(super) fn keep_alive(&mut self, chunk: &Chunk, builder: &mut ChunkBuilder) -> Result<()> {
        let id = self.record.id;
        let mut marks = self.pool.marks(id, chunk.first_key().saturating_sub(1)).peekable();
        for entry in chunk.iter() {
            let mut mark = None;
            while let Some(found) = marks.next_if(|found| !matches!(found, Ok((old, _)) if *old > entry.key)) {
                let (old, successor) = found?;
                if old == entry.key {
                    mark = Some(successor);
                }
            }
            if self.record.has_dropped(entry.key, entry.op, mark) {
                if mark.is_some() {
                    self.changes.delete_mark(id, entry.key);
                }
            } else {
                self.push(builder, &entry)?;
            }
        }
        Ok(())
    }

    pub(super) fn push(&self, builder: &mut ChunkBuilder, entry: &ChunkEntry<'_>) -> Result<()> {
        builder.push(entry).map_err(|wrong| {
            let what =
                format!("dataset {} has an entry at key {} that cannot be: {}", self.record.id, entry.key, wrong.0);
            Error::damaged(self.store.dir(), None, what)
        })
    }

    /// Stores a chunk whose last entry was the `seq`-th of the dataset.
    pub(super) fn put(&mut self, builder: ChunkBuilder, seq: u64, seq_bytes: u64) {
        let (bytes, meta) = builder.finish();
        self.report.bytes_written += bytes.len() as u64;
        self.changes.put_chunk(self.record.id, &meta.with_seq(seq, seq_bytes), &bytes);
    }
}
