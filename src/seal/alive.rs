//! Newest versions of entities that were sealed lately: who writes again and again what is there already, and who seals
//! that, need not ask the index store for it.

use std::hash::Hash;

use foldhash::quality::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Weighter};

use crate::store::Version;
use crate::types::Op;

/// About what one entity costs beside its id.
const ROW_BYTES: u64 = 112;

#[derive(Clone)]
struct ByBytes;

impl Weighter<(u64, Box<[u8]>), Alive> for ByBytes {
    fn weight(&self, (_, entity): &(u64, Box<[u8]>), _: &Alive) -> u64 {
        entity.len() as u64 + ROW_BYTES
    }
}

#[derive(Hash)]
struct Asked<'a>(u64, &'a [u8]);

impl Equivalent<(u64, Box<[u8]>)> for Asked<'_> {
    fn equivalent(&self, (id, entity): &(u64, Box<[u8]>)) -> bool {
        self.0 == *id && *self.1 == **entity
    }
}

/// A [`Version`] in less room: no delete, and its entity is known.
#[derive(Clone, Copy)]
struct Alive {
    key: u64,
    born: u64,
    /// Payloads are shorter: `MAX_PAYLOAD_BYTES`.
    payload_len: u32,
    is_create: bool,
    reborn: bool,
}

/// A bounded cache of entities that exist, each with its newest sealed version.
///
/// Only the thread that seals changes it, before the index store changes: while it seals a tail, the tail's versions, as
/// long as they are found in the tail first. What it holds is never older than the index store, for whoever looked into
/// the tails before; and it is newer only by a seal that is not done yet.
pub struct AliveCache(Cache<(u64, Box<[u8]>), Alive, ByBytes, RandomState>);

impl AliveCache {
    /// An empty one of at most so many bytes.
    pub fn new(bytes: usize) -> AliveCache {
        let entities = (bytes as u64 / (ROW_BYTES + 32)).max(16);
        AliveCache(Cache::with(
            entities as usize,
            bytes as u64,
            ByBytes,
            RandomState::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// The entity's newest sealed version, if it is known that it exists.
    pub fn get(&self, id: u64, entity: &[u8]) -> Option<Version> {
        let Alive { key, born, payload_len, is_create, reborn } = self.0.get(&Asked(id, entity))?;
        let (op, payload_len) = (if is_create { Op::Create } else { Op::Update }, payload_len as usize);
        Some(Version { key, op, born, reborn, payload_len, bytes: (entity.len() + payload_len) as u64 })
    }

    /// Takes the newest version of an entity that is about to be sealed.
    pub(super) fn put(&self, id: u64, entity: &[u8], version: &Version) {
        let Version { key, op, born, reborn, payload_len, .. } = *version;
        match op {
            Op::Delete => drop(self.0.remove(&Asked(id, entity))),
            Op::Create | Op::Update => {
                let payload_len = payload_len as u32;
                self.0
                    .insert((id, entity.into()), Alive { key, born, payload_len, is_create: op == Op::Create, reborn });
            }
        }
    }

    /// Forgets everything: compaction is about to take away entities that no commit deleted.
    pub fn forget(&self) {
        self.0.clear();
    }
}
