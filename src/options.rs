//! What an embedder can choose when opening a store.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::limits;
use crate::types::Retention;
use crate::vfs::{OsVfs, Vfs};

/// Where random numbers come from.
pub type Random = Arc<dyn Fn() -> io::Result<u64> + Send + Sync>;

/// How sync-keys are given out. Both are the one rule `next = max(last + 1, floor of now)`. Chosen when the store is
/// created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum SyncKeys {
    /// Counting up.
    #[default]
    Counter,
    /// At least `milliseconds << 20`, so that a key tells its time.
    Timestamp,
}

/// Whether sealed data is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// As it is.
    None,
    /// LZ4.
    #[default]
    Lz4,
}

/// How a store is opened. Every method changes one thing and returns the rest as it was.
///
/// ```
/// use tidelog::{Options, SyncKeys};
///
/// let options = Options::default().memory(64 << 20).sync_keys(SyncKeys::Timestamp);
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) create_if_missing: bool,
    pub(crate) sync_keys: SyncKeys,
    pub(crate) memory: usize,
    pub(crate) max_payload: usize,
    pub(crate) max_queued: usize,
    pub(crate) max_watchers: usize,
    pub(crate) sync_interval: Duration,
    pub(crate) retention: Retention,
    pub(crate) grace: Duration,
    pub(crate) grace_bytes: u64,
    pub(crate) consumer_bytes: u64,
    pub(crate) idempotency_window: Duration,
    pub(crate) clock_jump: Duration,
    pub(crate) compaction_bytes_per_s: u64,
    pub(crate) compression: Compression,
    pub(crate) background: bool,
    pub(crate) tail_bytes: Option<usize>,
    pub(crate) chunk_bytes: usize,
    pub(crate) segment_bytes: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) random: Random,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            create_if_missing: true,
            sync_keys: SyncKeys::Counter,
            memory: 256 << 20,
            max_payload: limits::DEFAULT_MAX_PAYLOAD_BYTES,
            max_queued: 65_536,
            max_watchers: 1_000_000,
            sync_interval: Duration::from_millis(10),
            retention: Retention::default(),
            grace: Duration::from_secs(15 * 60),
            grace_bytes: 256 << 20,
            consumer_bytes: 1 << 30,
            idempotency_window: Duration::from_secs(24 * 3600),
            clock_jump: Duration::from_secs(7 * 24 * 3600),
            compaction_bytes_per_s: 64 << 20,
            compression: Compression::Lz4,
            background: true,
            tail_bytes: None,
            chunk_bytes: 16 << 10,
            segment_bytes: None,
            clock: Arc::new(SystemClock::new()),
            vfs: Arc::new(OsVfs),
            random: Arc::new(|| getrandom::u64().map_err(|error| io::Error::other(error.to_string()))),
        }
    }
}

impl Options {
    /// Whether a directory that holds no store becomes one (default: yes). A directory that holds other files is
    /// always refused.
    pub fn create_if_missing(mut self, create: bool) -> Options {
        self.create_if_missing = create;
        self
    }

    /// How a new store gives out keys; an existing store keeps what it was created with.
    pub fn sync_keys(mut self, sync_keys: SyncKeys) -> Options {
        self.sync_keys = sync_keys;
        self
    }

    /// The one memory budget, in bytes: tails, caches and RocksDB together (default 256 MiB, at least 16 MiB). A
    /// commit may take at most a sixteenth of this, counted as it lies in memory: 184 bytes for each change and 640 for
    /// each dataset besides names and payloads.
    pub fn memory(mut self, bytes: usize) -> Options {
        self.memory = bytes;
        self
    }

    /// Longest payload, in bytes (default 16 MiB, at most 256 MiB; a commit's limit may be lower).
    pub fn max_payload(mut self, bytes: usize) -> Options {
        self.max_payload = bytes;
        self
    }

    /// Most commits that may wait to be written (default 65,536); one more is [`Error::Busy`]. Their bytes are
    /// bounded by the memory budget besides.
    pub fn max_queued(mut self, commits: usize) -> Options {
        self.max_queued = commits;
        self
    }

    /// Most watchers registered at once (default one million); one more is [`Error::Busy`].
    pub fn max_watchers(mut self, watchers: usize) -> Options {
        self.max_watchers = watchers;
        self
    }

    /// Within which time a [`Durability::Buffered`](crate::Durability::Buffered) commit is synced (default 10 ms).
    pub fn sync_interval(mut self, interval: Duration) -> Options {
        self.sync_interval = interval;
        self
    }

    /// The retention of datasets that have none of their own.
    pub fn retention(mut self, retention: Retention) -> Options {
        self.retention = retention;
        self
    }

    /// How long entries are safe from retention, so that a reader is not outrun (default 15 minutes), and the bytes
    /// per dataset up to which that promise holds (default 256 MiB).
    pub fn grace(mut self, grace: Duration, bytes: u64) -> Options {
        self.grace = grace;
        self.grace_bytes = bytes;
        self
    }

    /// Bytes of history per dataset, over its caps, that retention keeps for durable consumers (default 1 GiB); past
    /// it the laggard is evicted.
    pub fn consumer_budget(mut self, bytes: u64) -> Options {
        self.consumer_bytes = bytes;
        self
    }

    /// How long an idempotency id is remembered (default one day).
    pub fn idempotency_window(mut self, window: Duration) -> Options {
        self.idempotency_window = window;
        self
    }

    /// How far ahead of the last commit the wall clock may be at opening (default 7 days). Beyond that it is not believed:
    /// commits are dated, and retention by age goes on, from that commit's time until
    /// [`Engine::confirm_clock`](crate::Engine::confirm_clock).
    pub fn clock_jump(mut self, limit: Duration) -> Options {
        self.clock_jump = limit;
        self
    }

    /// How many bytes per second background compaction may read and write (default 64 MiB).
    pub fn compaction_rate(mut self, bytes_per_s: u64) -> Options {
        self.compaction_bytes_per_s = bytes_per_s;
        self
    }

    /// Whether sealed data is compressed (default LZ4). It may change from one opening to the next.
    pub fn compression(mut self, compression: Compression) -> Options {
        self.compression = compression;
        self
    }

    /// Whether compaction runs by itself (default yes). Without it, only [`Engine::compact`](crate::Engine::compact)
    /// trims; sealing goes on.
    pub fn background_compaction(mut self, on: bool) -> Options {
        self.background = on;
        self
    }

    /// The size at which a tail is sealed, in bytes; by default, and at most, a sixteenth of the memory budget. Lower
    /// values make recovery faster and chunks of quiet datasets smaller.
    pub fn tail_bytes(mut self, bytes: usize) -> Options {
        self.tail_bytes = Some(bytes);
        self
    }

    /// The size to which entries are packed when sealed, in bytes (default 16 KiB). A larger entry gets its own chunk.
    pub fn chunk_bytes(mut self, bytes: usize) -> Options {
        self.chunk_bytes = bytes;
        self
    }

    /// The size of a log segment, in bytes; by default that of a tail.
    pub fn segment_bytes(mut self, bytes: u64) -> Options {
        self.segment_bytes = Some(bytes);
        self
    }

    /// Another clock, for tests.
    #[doc(hidden)]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Options {
        self.clock = clock;
        self
    }

    /// Another file system for log and ledger, for tests.
    #[doc(hidden)]
    pub fn vfs(mut self, vfs: Arc<dyn Vfs>) -> Options {
        self.vfs = vfs;
        self
    }

    /// Another source of random numbers (ids, salts), for tests.
    #[doc(hidden)]
    pub fn random(mut self, random: Random) -> Options {
        self.random = random;
        self
    }

    /// A random number that is not 0.
    pub(crate) fn random_id(&self) -> Result<u64> {
        (self.random)().map(|id| id.max(1)).map_err(|source| Error::io("get a random number", source))
    }

    /// The size at which a tail is frozen.
    pub(crate) fn tail_limit(&self) -> usize {
        self.tail_bytes.unwrap_or(usize::MAX).clamp(4 << 10, self.memory / 16)
    }

    /// The size of a log segment.
    pub(crate) fn segment_limit(&self) -> u64 {
        self.segment_bytes.unwrap_or(self.tail_limit() as u64).clamp(64 << 10, 1 << 30)
    }

    /// The largest body of one commit.
    pub(crate) fn commit_limit(&self) -> usize {
        (self.memory / 16 + (64 << 10)).min(limits::MAX_BODY_BYTES)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let least = limits::MIN_MEMORY_BYTES;
        if self.memory < least {
            return Err(Error::invalid(format!("a memory budget of {} bytes is below {least}", self.memory)));
        }
        if self.max_payload == 0 || self.max_payload > limits::MAX_PAYLOAD_BYTES {
            return Err(Error::invalid(format!(
                "a payload limit of {} bytes is not within 1..={}",
                self.max_payload,
                limits::MAX_PAYLOAD_BYTES
            )));
        }
        if self.chunk_bytes == 0 || self.chunk_bytes > 1 << 20 {
            return Err(Error::invalid(format!(
                "a chunk size of {} bytes is not within 1..=1048576",
                self.chunk_bytes
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("create_if_missing", &self.create_if_missing)
            .field("sync_keys", &self.sync_keys)
            .field("memory", &self.memory)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}
