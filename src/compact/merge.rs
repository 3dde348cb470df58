//! Small chunks of a quiet dataset become larger ones.

use super::Step;
use crate::chunk::{ChunkBuilder, ChunkMeta};
use crate::error::Result;

/// Chunks that are merged in one step, at most.
const MERGE_CHUNKS: usize = 1024;

impl Step<'_, '_, '_> {
    /// Merges the run of small chunks at the dataset's end.
    pub(super) fn merge(&mut self) -> Result<()> {
        let run = self.small_run()?;
        self.record.small_run = 0;
        if run.len() < 2 {
            return Ok(());
        }
        let id = self.record.id;
        let mut builder = ChunkBuilder::new();
        let mut end: Option<ChunkMeta> = None;
        for meta in run {
            let is_full = builder.bytes() + meta.bytes as usize > self.policy.chunk_bytes
                || builder.count() + meta.count as usize > crate::limits::MAX_CHUNK_ENTRIES;
            if let Some(end) = end.filter(|_| is_full && builder.count() > 0) {
                self.put(std::mem::take(&mut builder), end.seq, end.seq_bytes);
            }
            let chunk = self.pool.snapshot().read_chunk(id, meta.last)?;
            self.read += chunk.encoded_len() as u64;
            self.report.chunks_rewritten += 1;
            self.changes.delete_chunk(id, meta.last);
            self.keep_alive(&chunk, &mut builder)?;
            end = Some(meta);
        }
        if let Some(end) = end.filter(|_| builder.count() > 0) {
            self.record.small_run = u32::from(builder.bytes() < self.policy.chunk_bytes / 2);
            self.put(builder, end.seq, end.seq_bytes);
        }
        Ok(())
    }

    /// The small chunks at the end, in key order. Chunks that this step has touched are left for another.
    fn small_run(&self) -> Result<Vec<ChunkMeta>> {
        let mut run = Vec::new();
        if self.report.chunks_rewritten > 0 {
            return Ok(run);
        }
        let mut before = u64::MAX;
        while let Some(meta) = self.pool.snapshot().meta_before(self.record.id, before)? {
            if meta.bytes as usize >= self.policy.chunk_bytes / 2 || run.len() == MERGE_CHUNKS {
                break;
            }
            before = meta.first;
            run.push(meta);
        }
        run.reverse();
        Ok(run)
    }
}
