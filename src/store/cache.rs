//! Decoded chunks, bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::chunk::Chunk;

/// (dataset id, its compaction epoch as the reader's snapshot has it, the chunk's last key). A chunk is never changed
/// under such a key, so nothing is ever invalidated: what is old is not asked for again.
pub(super) type ChunkKey = (u64, u64, u64);

#[derive(Clone)]
struct ByMemory;

impl quick_cache::Weighter<ChunkKey, Arc<Chunk>> for ByMemory {
    fn weight(&self, _: &ChunkKey, chunk: &Arc<Chunk>) -> u64 {
        chunk.memory() as u64 + 128
    }
}

/// One bounded cache of decoded chunks.
pub(super) struct ChunkCache {
    chunks: Cache<ChunkKey, Arc<Chunk>, ByMemory, RandomState>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The cache since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStat {
    /// Bytes held now.
    pub bytes: u64,
    /// Chunks found.
    pub hits: u64,
    /// Chunks read from disk.
    pub misses: u64,
}

impl ChunkCache {
    pub(super) fn new(bytes: usize) -> ChunkCache {
        let chunks = Cache::with(
            (bytes / (16 << 10)).max(16),
            bytes as u64,
            ByMemory,
            RandomState::default(),
            DefaultLifecycle::default(),
        );
        ChunkCache { chunks, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    pub(super) fn get(&self, key: ChunkKey) -> Option<Arc<Chunk>> {
        let found = self.chunks.get(&key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(super) fn insert(&self, key: ChunkKey, chunk: Arc<Chunk>) {
        self.chunks.insert(key, chunk);
    }

    /// Bytes that may be held from now on.
    pub(super) fn set_capacity(&self, bytes: usize) {
        self.chunks.set_capacity(bytes as u64);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.chunks.capacity() as usize
    }

    pub(super) fn stat(&self) -> CacheStat {
        CacheStat {
            bytes: self.chunks.weight(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}
