//! What RocksDB does not use of its share of memory is lent to decoded chunks, and what names use beyond theirs is taken
//! from these.
//!
//! Not the other way about: the allocator makes two bytes of one in RocksDB's cache, and where it would be used, by reads of
//! many small datasets, they became slower with it (docs/performance.md).

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::cache::ChunkCache;
use super::tuning::Shared;

/// After so many reads it is looked at again how much is free,
const READS: usize = 64;
/// or after this part of all was put among the chunks.
const PART: usize = 128;

/// The shares, in bytes.
pub(super) struct Shares {
    rocksdb: usize,
    chunks: usize,
    /// What names use of it.
    taken: AtomicUsize,
    /// What chunks have now.
    capacity: Mutex<usize>,
    reads: AtomicUsize,
    inserted: AtomicUsize,
}

impl Shares {
    pub(super) fn new(rocksdb: usize, chunks: usize) -> Shares {
        let [taken, reads, inserted] = Default::default();
        Shares { rocksdb, chunks, taken, capacity: Mutex::new(chunks), reads, inserted }
    }

    /// Counts a read, after which RocksDB may hold more.
    pub(super) fn count_read(&self, shared: &Shared, cache: &ChunkCache) {
        if self.reads.fetch_add(1, Ordering::Relaxed) % READS == READS - 1 {
            self.lend(shared, cache);
        }
    }

    /// Counts bytes that were put among the chunks.
    pub(super) fn count_inserted(&self, bytes: usize, shared: &Shared, cache: &ChunkCache) {
        if self.inserted.fetch_add(bytes, Ordering::Relaxed) + bytes >= self.part() {
            self.inserted.store(0, Ordering::Relaxed);
            self.lend(shared, cache);
        }
    }

    /// Notes how much of the share of chunks is used by others: at most a half is given away.
    pub(super) fn take(&self, bytes: usize, shared: &Shared, cache: &ChunkCache) {
        self.taken.store(bytes.min(self.chunks / 2), Ordering::Relaxed);
        self.lend(shared, cache);
    }

    fn lend(&self, shared: &Shared, cache: &ChunkCache) {
        self.lend_beside(shared.blocks.get_usage(), cache);
    }

    fn lend_beside(&self, used: usize, cache: &ChunkCache) {
        let capacity = self.chunks - self.taken.load(Ordering::Relaxed) + self.free(used);
        let mut now = self.capacity.lock();
        if now.abs_diff(capacity) >= self.part() / 2 {
            *now = capacity;
            cache.set_capacity(capacity);
        }
    }

    /// What may be lent while RocksDB uses so much. Half of its share is not: memtables are filled without any read.
    fn free(&self, used: usize) -> usize {
        self.rocksdb.saturating_sub(used.saturating_add(self.part())).min(self.rocksdb / 2)
    }

    fn part(&self) -> usize {
        (self.rocksdb + self.chunks) / PART
    }
}

#[cfg(test)]
mod tests {
    use super::super::StoreOptions;
    use super::*;

    const SHARES: [usize; 2] = [64 << 20, 32 << 20];

    #[test]
    fn what_rocksdb_uses_is_not_lent() {
        let [rocksdb, chunks] = SHARES;
        let shares = Shares::new(rocksdb, chunks);
        for used in (0..2 * rocksdb).step_by(1 << 20).chain([usize::MAX]) {
            let lent = shares.free(used);
            assert!(lent <= rocksdb / 2 && lent.saturating_add(used) <= rocksdb.max(used), "{used} used, {lent} lent");
        }
        assert_eq!(shares.free(0), rocksdb / 2);
        assert_eq!(shares.free(rocksdb), 0);
    }

    #[test]
    fn chunks_get_what_is_free_and_give_it_back() {
        let [rocksdb, chunks] = SHARES;
        let (shares, cache) = (Shares::new(rocksdb, chunks), ChunkCache::new(chunks));
        let options = |memory| StoreOptions { memory, cache_bytes: chunks, lz4: true };
        let idle = Shared::new(&options(rocksdb));
        (0..READS).for_each(|_| shares.count_read(&idle, &cache));
        let near = |bytes: usize| cache.capacity().abs_diff(bytes) < 1 << 10;
        assert!(near(chunks + rocksdb / 2), "{} bytes", cache.capacity());
        // As if RocksDB used all of its share.
        shares.lend_beside(rocksdb, &cache);
        assert!(near(chunks), "{} bytes", cache.capacity());
        shares.count_inserted(shares.part(), &idle, &cache);
        assert!(near(chunks + rocksdb / 2), "{} bytes", cache.capacity());
    }

    #[test]
    fn what_names_use_is_taken_from_chunks() {
        let [rocksdb, chunks] = SHARES;
        let (shares, cache) = (Shares::new(rocksdb, chunks), ChunkCache::new(chunks));
        let idle = Shared::new(&StoreOptions { memory: rocksdb, cache_bytes: chunks, lz4: true });
        for (taken, left) in [(8 << 20, chunks - (8 << 20)), (usize::MAX, chunks / 2), (0, chunks)] {
            shares.take(taken, &idle, &cache);
            let capacity = cache.capacity();
            assert!(capacity.abs_diff(left + rocksdb / 2) < 1 << 10, "{taken} taken, {capacity} left");
        }
    }
}
