//! Ids of names that were looked up lately, so that the index store need not be asked for each.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use foldhash::quality::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::core::Core;
use crate::store::Store;
use crate::tail::{Tail, TailDataset};

/// After so many names it is looked at again what they take.
const NAMES: usize = 64;
/// About what one name costs beside its bytes, with what the cache remembers of those that it let go.
const ROW_BYTES: u64 = 128;

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
///
/// Where datasets are few it takes next to nothing, and where they are many a name is worth more than a chunk: so it has a
/// small share of its own, and what it takes beyond that, the store's chunks leave to it.
pub struct NameCache {
    cache: Cache<Bytes, (u64, u64), ByBytes, RandomState>,
    share: usize,
    inserted: AtomicUsize,
}

impl NameCache {
    /// An empty one of at most `bytes`, of which `share` are its own.
    pub fn new(bytes: usize, share: usize) -> NameCache {
        let names = (bytes as u64 / (ROW_BYTES + 32)).max(16);
        let cache =
            Cache::with(names as usize, bytes as u64, ByBytes, RandomState::default(), DefaultLifecycle::default());
        NameCache { cache, share, inserted: AtomicUsize::new(0) }
    }

    /// The id of `name`, if it was looked up at the present count of deletions.
    pub fn get(&self, name: &[u8], deletions: u64) -> Option<u64> {
        let (id, at) = self.cache.get(name)?;
        (at == deletions).then_some(id)
    }

    /// An id that `name` had at some time. Who finds a dataset of that id at a moment has the one of this name: ids are
    /// given once, and a dataset keeps its name.
    pub fn hint(&self, name: &[u8]) -> Option<u64> {
        self.cache.get(name).map(|(id, _)| id)
    }

    /// Remembers an id for readers. It may be deleted already by a commit that is not visible yet, so no commit goes by it.
    pub fn insert_hint(&self, store: &Store, name: &[u8], id: u64) {
        self.insert(store, name, id, BY_READER);
    }

    /// Remembers an id that was looked up after `deletions` was read.
    pub fn insert(&self, store: &Store, name: &[u8], id: u64, deletions: u64) {
        // A slice of a large batch would keep all of it alive.
        self.cache.insert(Bytes::copy_from_slice(name), (id, deletions));
        if self.inserted.fetch_add(1, Ordering::Relaxed) % NAMES == NAMES - 1 {
            self.account(store);
        }
    }

    /// Tells a store how much of its chunks' share is in use here. Who opens it anew tells it again.
    pub fn account(&self, store: &Store) {
        store.leave((self.cache.weight() as usize).saturating_sub(self.share));
    }

    /// Forgets the name of a dataset that was deleted.
    pub fn remove(&self, name: &[u8]) {
        self.cache.remove(name);
    }

    /// Remembers the datasets that a tail created, in which they are found until it is sealed: who creates a dataset is about
    /// to use it.
    pub fn insert_created(&self, core: &Core, store: &Store, tail: &Tail) {
        let created = |(id, part): (&u64, &TailDataset)| part.created.clone().map(|name| (*id, name));
        let created: Vec<_> = tail.read().datasets.iter().filter_map(created).collect();
        let deletions = core.deletions();
        let deleted = core.tails.pin().deleted();
        for (id, name) in created.into_iter().filter(|(id, _)| !deleted.contains(id)) {
            self.insert(store, &name, id, deletions);
        }
        self.account(store);
    }
}
