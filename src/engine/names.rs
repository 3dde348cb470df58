//! Ids of names that were looked up lately, so that the index store need not be asked for each.

use bytes::Bytes;
use foldhash::quality::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

/// About what one name costs beside its bytes.
const ROW_BYTES: u64 = 96;

#[derive(Clone)]
struct ByBytes;

impl Weighter<Bytes, (u64, u64)> for ByBytes {
    fn weight(&self, name: &Bytes, _: &(u64, u64)) -> u64 {
        name.len() as u64 + ROW_BYTES
    }
}

/// A count of deletions that is never reached.
const BY_READER: u64 = u64::MAX;

/// A bounded cache of ids. For a commit an id counts only as long as no dataset was deleted since it was looked up.
pub struct NameCache(Cache<Bytes, (u64, u64), ByBytes, RandomState>);

impl NameCache {
    pub fn new(bytes: usize) -> NameCache {
        let names = (bytes as u64 / (ROW_BYTES + 32)).max(16);
        NameCache(Cache::with(
            names as usize,
            bytes as u64,
            ByBytes,
            RandomState::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// The id of `name`, if it was looked up at the present count of deletions.
    pub fn get(&self, name: &[u8], deletions: u64) -> Option<u64> {
        let (id, at) = self.0.get(name)?;
        (at == deletions).then_some(id)
    }

    /// An id that `name` had at some time. Who finds a dataset of that id at a moment has the one of this name: ids are
    /// given once, and a dataset keeps its name.
    pub fn hint(&self, name: &[u8]) -> Option<u64> {
        self.0.get(name).map(|(id, _)| id)
    }

    /// Remembers an id for readers. It may be deleted already by a commit that is not visible yet, so no commit goes by it.
    pub fn insert_hint(&self, name: &[u8], id: u64) {
        self.0.insert(Bytes::copy_from_slice(name), (id, BY_READER));
    }

    /// Remembers an id that was looked up after `deletions` was read.
    pub fn insert(&self, name: Bytes, id: u64, deletions: u64) {
        // A slice of a large batch would keep all of it alive.
        self.0.insert(Bytes::copy_from_slice(&name), (id, deletions));
    }
}
