use std::path::PathBuf;

use super::{Retention, SyncKey};

/// What a dataset holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatasetStat {
    /// Its newest visible key (0 if it has no entry).
    pub head: SyncKey,
    /// The key at which this incarnation began.
    pub first: SyncKey,
    /// At or below it, superseded entries may be gone.
    pub history_floor: SyncKey,
    /// At or below it, tombstones may be gone.
    pub floor: SyncKey,
    /// Entries kept, superseded ones and tombstones included.
    pub entries: u64,
    /// Their entities and payloads in bytes, uncompressed.
    pub bytes: u64,
    /// Entries kept that a newer one supersedes.
    pub superseded: u64,
    /// Deletes kept that are the newest entry of their entity.
    pub tombstones: u64,
    /// The retention in force.
    pub retention: Retention,
    /// The time of the newest commit, in milliseconds since the Unix epoch (0 if there is none).
    pub time_ms: u64,
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStat {
    /// The directory.
    pub dir: PathBuf,
    /// How many datasets there are.
    pub datasets: u64,
    /// The key up to which everything is synced.
    pub visible: SyncKey,
    /// The present lineage.
    pub lineage: u64,
    /// Bytes of live log segments on disk.
    pub log_bytes: u64,
    /// Bytes of the index store on disk, about.
    pub store_bytes: u64,
}

/// What one compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompactionReport {
    /// Datasets looked at.
    pub datasets: u64,
    /// Superseded entries dropped.
    pub superseded_dropped: u64,
    /// Tombstones dropped.
    pub tombstones_dropped: u64,
    /// Entries dropped by [`Keep::Window`](crate::Keep::Window).
    pub window_dropped: u64,
    /// Datasets in which something over the caps was kept all the same, for readers under way
    /// ([`Options::grace`](crate::Options::grace)) or for consumers.
    pub held_back: u64,
    /// Chunks rewritten, merged or removed.
    pub chunks_rewritten: u64,
    /// Chunk bytes read.
    pub bytes_read: u64,
    /// Chunk bytes written.
    pub bytes_written: u64,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// One thing that `verify` found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file concerned, if known.
    pub file: Option<PathBuf>,
    /// Where in it, if known.
    pub offset: Option<u64>,
    /// The dataset concerned, if known.
    pub dataset: Option<Vec<u8>>,
    /// The key concerned, if known.
    pub key: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What `verify` looked at and found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Everything found wrong; empty is good.
    pub findings: Vec<Finding>,
    /// Log frames read.
    pub frames: u64,
    /// Chunks read.
    pub chunks: u64,
    /// Entries compared.
    pub entries: u64,
    /// Datasets looked at.
    pub datasets: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// Where it is.
    pub dir: PathBuf,
    /// The key up to which it is complete.
    pub visible: SyncKey,
    /// Bytes of log copied.
    pub log_bytes: u64,
}

/// A durable consumer of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// The dataset it consumes.
    pub dataset: Vec<u8>,
    /// The position it has acknowledged: all up to it is done.
    pub position: SyncKey,
    /// Whether it fell too far behind and lost its lease.
    pub evicted: bool,
}

/// Counters of one engine since it was opened, and gauges of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Commits written.
    pub commits: u64,
    /// Entries written.
    pub entries: u64,
    /// Bytes written to the log.
    pub log_bytes: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Batches refused by an expectation.
    pub conflicts: u64,
    /// Pages read.
    pub pages: u64,
    /// Entries delivered.
    pub entries_read: u64,
    /// Times an append waited for a seal.
    pub stalls: u64,
    /// Milliseconds that appends waited for seals.
    pub stall_ms: u64,
    /// Tails sealed.
    pub seals: u64,
    /// Seals that failed (each is tried again).
    pub seal_failures: u64,
    /// Milliseconds the last seal took.
    pub last_seal_ms: u64,
    /// Bytes held by the tails now.
    pub tail_bytes: u64,
    /// Tails that wait for their seal now.
    pub tails_pending: u64,
    /// Bytes held by the chunk cache now.
    pub cache_bytes: u64,
    /// Chunk cache hits.
    pub cache_hits: u64,
    /// Chunk cache misses.
    pub cache_misses: u64,
    /// Commits that wait to be written now.
    pub queued: u64,
    /// Watchers registered now.
    pub watchers: u64,
    /// Bytes the index store holds in memory now (its caches and tables).
    pub store_memory_bytes: u64,
    /// The last compaction.
    pub last_compaction: CompactionReport,
    /// Entries dropped by compactions since opening.
    pub compaction_dropped: u64,
    /// Bytes by which readers' grace holds back retention now, over its caps.
    pub grace_held_bytes: u64,
}
