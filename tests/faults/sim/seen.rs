//! What readers were shown: a key never comes back with other bytes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use tidelog::EntryRef;

/// Every (key, hash) that any reader of a store saw, over all its crashes.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    hashes: HashMap<u64, u64>,
    pub entries: u64,
}

impl Seen {
    /// Panics if the key was seen with other bytes.
    pub fn note<'a>(&mut self, dataset: &str, entry: impl Into<EntryRef<'a>>) {
        let entry = entry.into();
        let mut hasher = DefaultHasher::new();
        (dataset, entry.op.name(), entry.entity, entry.payload, entry.origin).hash(&mut hasher);
        let hash = hasher.finish();
        self.entries += 1;
        let before = *self.hashes.entry(entry.key.get()).or_insert(hash);
        assert_eq!(before, hash, "key {} was seen before with other bytes: now {dataset} {entry:?}", entry.key);
    }

    /// The greatest key that was seen.
    pub fn greatest(&self) -> u64 {
        self.hashes.keys().max().copied().unwrap_or(0)
    }
}
