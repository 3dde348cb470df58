//! What the engine counts.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::core::Core;
use crate::types::{CompactionReport, Metrics};

/// Counters since opening.
#[derive(Default)]
pub struct Counters {
    pub commits: AtomicU64,
    pub entries: AtomicU64,
    pub log_bytes: AtomicU64,
    pub syncs: AtomicU64,
    pub conflicts: AtomicU64,
    pub pages: AtomicU64,
    pub entries_read: AtomicU64,
    pub stalls: AtomicU64,
    pub stall_ms: AtomicU64,
    pub seals: AtomicU64,
    pub seal_failures: AtomicU64,
    pub last_seal_ms: AtomicU64,
    pub compaction_dropped: AtomicU64,
    pub grace_held_bytes: AtomicU64,
    pub last_compaction: Mutex<CompactionReport>,
}

/// Counters and gauges as they are now.
pub fn metrics(core: &Core) -> Metrics {
    let counters = &core.metrics;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let store = core.store();
    let cache = store.cache_stat();
    let tails = core.tails.pin();
    Metrics {
        commits: read(&counters.commits),
        entries: read(&counters.entries),
        log_bytes: read(&counters.log_bytes),
        syncs: read(&counters.syncs),
        conflicts: read(&counters.conflicts),
        pages: read(&counters.pages),
        entries_read: read(&counters.entries_read),
        stalls: read(&counters.stalls),
        stall_ms: read(&counters.stall_ms),
        seals: read(&counters.seals),
        seal_failures: read(&counters.seal_failures),
        last_seal_ms: read(&counters.last_seal_ms),
        tail_bytes: tails.oldest_first().map(|tail| tail.bytes() as u64).sum(),
        tails_pending: tails.frozen().len() as u64,
        cache_bytes: cache.bytes,
        cache_hits: cache.hits,
        cache_misses: cache.misses,
        queued: core.commits.queued(),
        watchers: core.watchers.count(),
        store_memory_bytes: store.memory_bytes(),
        last_compaction: *counters.last_compaction.lock(),
        compaction_dropped: read(&counters.compaction_dropped),
        grace_held_bytes: read(&counters.grace_held_bytes),
    }
}
