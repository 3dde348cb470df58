//! What was read of datasets lately, as it is now: whoever finds it here needs no snapshot of RocksDB's, which costs more
//! than all the rest of a small read.
//!
//! Changes are counted: the count is odd while a batch is written. Before that, the datasets that it concerns are taken
//! out; and what was read at some count is put in only while the count is the same still. So what is found here at an even
//! count is what a snapshot of that count has.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;
use parking_lot::{Mutex, MutexGuard};
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::record::DatasetRecord;
use super::stretches::{Stretch, Stretches};
use crate::chunk::ChunkMeta;
use crate::planted::{Bug, planted};

/// About what one dataset costs beside its name and what is known of its chunks.
const ROW_BYTES: usize = size_of::<Sealed>() + 128;
/// A dataset of more chunks is remembered without them.
const MAX_CHUNKS: usize = 256;

/// The sealed part of a dataset at one moment.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The dataset as a whole.
    pub record: DatasetRecord,
    /// All its chunks, once someone needed them and if they are few.
    chunks: OnceLock<Option<SealedChunks>>,
}

/// What is known of chunks of a dataset that lie side by side, in key order: of all, or of a stretch.
#[derive(Debug, Default)]
pub struct SealedChunks {
    /// Their last keys, side by side: whoever looks for one fetches little memory.
    lasts: Box<[u64]>,
    chunks: Box<[SealedChunk]>,
}

impl SealedChunks {
    pub(super) fn new(chunks: Box<[SealedChunk]>) -> SealedChunks {
        SealedChunks { lasts: chunks.iter().map(|chunk| chunk.meta.last).collect(), chunks }
    }

    /// The last key of the last one.
    pub(super) fn last(&self) -> Option<u64> {
        self.lasts.last().copied()
    }

    pub(super) fn memory(&self) -> usize {
        let marks: usize = self.chunks.iter().filter_map(SealedChunk::marks).map(size_of_val).sum();
        size_of_val(&*self.lasts) + size_of_val(&*self.chunks) + marks
    }

    /// Those that hold a key >= `key`.
    pub fn from(&self, key: u64) -> &[SealedChunk] {
        &self.chunks[self.lasts.partition_point(|last| *last < key)..]
    }
}

/// What is known of a chunk beside its entries.
#[derive(Debug)]
pub struct SealedChunk {
    /// Its counts.
    pub meta: ChunkMeta,
    /// The keys of its superseded entries with their successors, in key order, once someone needed them.
    marks: OnceLock<Box<[(u64, u64)]>>,
}

impl SealedChunk {
    pub(super) fn new(meta: ChunkMeta, marks: Option<Vec<(u64, u64)>>) -> SealedChunk {
        SealedChunk { meta, marks: marks.map_or_else(OnceLock::new, |marks| OnceLock::from(marks.into_boxed_slice())) }
    }

    /// The keys of its superseded entries with their successors, if they were read.
    pub fn marks(&self) -> Option<&[(u64, u64)]> {
        self.marks.get().map(|marks| &**marks)
    }

    /// Remembers them, as read at the same moment.
    pub fn set_marks(&self, marks: Vec<(u64, u64)>) -> &[(u64, u64)] {
        self.marks.get_or_init(|| marks.into_boxed_slice())
    }
}

impl Sealed {
    /// Of this record; nothing is known of chunks yet.
    pub fn new(record: DatasetRecord) -> Sealed {
        Sealed { record, chunks: OnceLock::new() }
    }

    /// Whether it was found out which chunks there are.
    pub fn knows_chunks(&self) -> bool {
        self.chunks.get().is_some()
    }

    /// All chunks, if they are few enough to be remembered. Their counts are read once, by `read` at the same moment.
    pub fn chunks<E, I>(&self, read: impl FnOnce() -> I) -> Result<Option<&SealedChunks>, E>
    where
        I: Iterator<Item = Result<ChunkMeta, E>>,
    {
        let known = match self.chunks.get() {
            Some(known) => known,
            None => {
                let most = self.chunks_at_most();
                let chunk = |meta: Result<ChunkMeta, E>| Ok(SealedChunk::new(meta?, None));
                let some: Vec<SealedChunk> = match most <= MAX_CHUNKS {
                    true => read().take(most + 1).map(chunk).collect::<Result<_, E>>()?,
                    false => Vec::new(),
                };
                let few = most <= MAX_CHUNKS && some.len() <= most;
                self.chunks.get_or_init(|| few.then(|| SealedChunks::new(some.into())))
            }
        };
        Ok(known.as_ref())
    }

    /// How many chunks it is expected to have at most: its bytes in chunks of half the usual size, and a run of small ones
    /// that are not merged yet.
    fn chunks_at_most(&self) -> usize {
        (self.record.bytes / (8 << 10)).min(u64::from(u32::MAX)) as usize + 16
    }

    fn memory(&self) -> usize {
        // As much as is remembered once someone has needed all of it. Of what is dropped the marks are there until a quarter
        // of its chunk is.
        let marks = self.record.superseding.saturating_add(self.record.entries / 3);
        let marks = usize::try_from(marks).unwrap_or(usize::MAX).saturating_mul(size_of::<(u64, u64)>());
        let chunks = match self.chunks_at_most() {
            few if few <= MAX_CHUNKS => marks.saturating_add(few * (size_of::<SealedChunk>() + size_of::<u64>())),
            _ => 0,
        };
        chunks.saturating_add(ROW_BYTES + self.record.name.len())
    }
}

#[derive(Clone)]
struct ByMemory;

impl quick_cache::Weighter<u64, Arc<Sealed>> for ByMemory {
    fn weight(&self, _: &u64, sealed: &Arc<Sealed>) -> u64 {
        sealed.memory() as u64
    }
}

/// Datasets by id, and stretches of chunks, both bounded.
pub(super) struct Recent {
    count: AtomicU64,
    datasets: Cache<u64, Arc<Sealed>, ByMemory, RandomState>,
    /// Found as datasets are, and put in by [`Recent::insert_stretch`].
    pub(super) stretches: Stretches,
    /// Held while the count changes, and while something is put in.
    gate: Mutex<()>,
    /// Held while a batch is written.
    writing: Mutex<()>,
}

impl Recent {
    pub(super) fn new(bytes: usize) -> Recent {
        let for_stretches = bytes / 4;
        let bytes = bytes - for_stretches;
        let datasets = Cache::with(
            (bytes / (2 * ROW_BYTES)).max(16),
            bytes as u64,
            ByMemory,
            RandomState::default(),
            DefaultLifecycle::default(),
        );
        let stretches = Stretches::new(for_stretches);
        Recent { count: AtomicU64::new(0), datasets, stretches, gate: Mutex::new(()), writing: Mutex::new(()) }
    }

    /// The count of changes; none while one is made.
    pub(super) fn count(&self) -> Option<u64> {
        Some(self.count.load(Ordering::SeqCst)).filter(|count| count.is_multiple_of(2))
    }

    /// What is known of a dataset. It is as of a count that is the same before and after this.
    pub(super) fn get(&self, id: u64) -> Option<Arc<Sealed>> {
        self.datasets.get(&id)
    }

    /// Remembers what was read at `count`, if nothing has changed since.
    pub(super) fn insert_stretch(&self, count: u64, id: u64, stretch: &Arc<Stretch>) {
        let _gate = self.gate.lock();
        if self.count.load(Ordering::SeqCst) == count {
            self.stretches.insert(id, stretch);
        }
    }

    /// Remembers what was read at `count`, if nothing has changed since.
    pub(super) fn insert(&self, count: u64, id: u64, sealed: &Arc<Sealed>) {
        let _gate = self.gate.lock();
        if self.count.load(Ordering::SeqCst) == count {
            self.datasets.insert(id, Arc::clone(sealed));
        }
    }

    /// Forgets what a batch is about to change. The batch is to be written before what is returned is dropped.
    pub(super) fn change(&self, ids: &[u64]) -> Changing<'_> {
        let writing = self.writing.lock();
        {
            let _gate = self.gate.lock();
            self.count.fetch_add(1, Ordering::SeqCst);
        }
        // Nothing is put in any more, so this need not be waited for.
        if !planted(Bug::RecentKept) {
            ids.iter().for_each(|id| drop(self.datasets.remove(id)));
        }
        if !planted(Bug::StretchKept) {
            self.stretches.forget(ids);
        }
        Changing { recent: self, _writing: writing }
    }
}

/// A batch is being written.
pub(super) struct Changing<'r> {
    recent: &'r Recent,
    _writing: MutexGuard<'r, ()>,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.recent.count.fetch_add(1, Ordering::SeqCst);
    }
}
