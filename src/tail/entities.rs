//! Where in a tail each entity's versions begin and end: one table for all datasets, since most of them have few.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::TailDataset;

/// The versions of one entity of one dataset, by their indexes among the dataset's entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Versions {
    hash: u64,
    id: u64,
    pub oldest: u32,
    pub newest: u32,
}

/// A table of entities. Their ids are not kept twice: the newest version has it.
#[derive(Default)]
pub(super) struct Entities {
    table: HashTable<Versions>,
    hasher: RandomState,
}

impl Entities {
    /// The versions of an entity in this part of the dataset `id`.
    pub fn find(&self, id: u64, part: &TailDataset, entity: &[u8]) -> Option<&Versions> {
        let hash = self.hash(id, entity);
        self.table.find(hash, |found| is(found, hash, id, part, entity))
    }

    /// Adds the version at `at`, the newest of all, and returns the one before it.
    pub fn add(&mut self, id: u64, part: &TailDataset, entity: &[u8], at: u32) -> Option<u32> {
        let hash = self.hash(id, entity);
        match self.table.find_mut(hash, |found| is(found, hash, id, part, entity)) {
            Some(versions) => Some(std::mem::replace(&mut versions.newest, at)),
            None => {
                let versions = Versions { hash, id, oldest: at, newest: at };
                self.table.insert_unique(hash, versions, |other| other.hash);
                None
            }
        }
    }

    /// Keeps those whose newest version `newest` still finds, given dataset and oldest one.
    pub fn retain(&mut self, newest: impl Fn(u64, u32) -> Option<u32>) {
        self.table.retain(|versions| match newest(versions.id, versions.oldest) {
            Some(newest) => {
                versions.newest = newest;
                true
            }
            None => false,
        });
    }

    fn hash(&self, id: u64, entity: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(id);
        hasher.write(entity);
        hasher.finish()
    }
}

fn is(found: &Versions, hash: u64, id: u64, part: &TailDataset, entity: &[u8]) -> bool {
    // Equal hashes first: to look at the id itself is to fetch other memory.
    found.hash == hash && found.id == id && part.at(found.newest).is_some_and(|entry| part.entity(entry) == entity)
}
