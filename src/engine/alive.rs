//! Newest versions of entities that were sealed lately, so that a `put` of what is written again and again need not ask
//! the index store whether the entity exists.

use std::hash::Hash;

use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::tail::Inner;

/// About what one entity costs beside its id.
const ROW_BYTES: u64 = 112;

#[derive(Clone)]
struct ByBytes;

impl Weighter<(u64, Bytes), u64> for ByBytes {
    fn weight(&self, (_, entity): &(u64, Bytes), _: &u64) -> u64 {
        entity.len() as u64 + ROW_BYTES
    }
}

#[derive(Hash)]
struct Asked<'a>(u64, &'a [u8]);

impl Equivalent<(u64, Bytes)> for Asked<'_> {
    fn equivalent(&self, (id, entity): &(u64, Bytes)) -> bool {
        self.0 == *id && self.1 == entity
    }
}

/// A bounded cache of entities that exist, each with the key of its newest sealed version.
///
/// Only the maintenance thread changes it, before the index store changes: a tail's versions before its seal, as long as
/// they are found in the tail first. What it holds is never older than the index store, for whoever looked into the tails
/// before.
pub struct AliveCache(Cache<(u64, Bytes), u64, ByBytes>);

impl AliveCache {
    pub fn new(bytes: usize) -> AliveCache {
        let entities = (bytes as u64 / (ROW_BYTES + 32)).max(16);
        AliveCache(Cache::with_weighter(entities as usize, bytes as u64, ByBytes))
    }

    /// The key of the entity's newest sealed version, if it is known that it exists.
    pub fn get(&self, id: u64, entity: &[u8]) -> Option<u64> {
        self.0.get(&Asked(id, entity))
    }

    /// Takes the versions of a tail that is about to be sealed.
    pub fn take(&self, tail: &Inner) {
        for (id, part) in tail.datasets.iter().filter(|(_, part)| part.deleted.is_none()) {
            for entry in part.newest() {
                match entry.is_delete() {
                    true => drop(self.0.remove(&Asked(*id, entry.entity()))),
                    // A slice of a block would keep all of it alive.
                    false => self.0.insert((*id, Bytes::copy_from_slice(entry.entity())), entry.key),
                }
            }
        }
    }

    /// Forgets everything: compaction is about to take away entities that no commit deleted.
    pub fn forget(&self) {
        self.0.clear();
    }
}
