//! Tidelog through its public interface. Names are looked up and payloads shared (`Bytes`), as an embedder would.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use ::tidelog::{Batch, Cursor, Durability, Limits, Options, Receipt, Retention, SyncKey, View};

use super::Engine;
use crate::workload::{Change, Hash, Names};

/// Entries asked for at once by a full sync.
const SCAN_PAGE: usize = 1_000;

pub struct Tidelog {
    pub engine: ::tidelog::Engine,
    pub names: Arc<Names>,
}

/// The default options but for memory, and nothing is ever dropped: the peers drop nothing either.
pub fn options(memory: usize) -> Options {
    Options::default().memory(memory).retention(Retention::unlimited())
}

impl Tidelog {
    pub fn open(dir: &Path, names: Arc<Names>, options: Options) -> Tidelog {
        Tidelog { engine: ::tidelog::Engine::open(dir, options).expect("Tidelog opens"), names }
    }

    pub fn batch(&self, changes: &[Change]) -> Batch {
        let mut batch = Batch::new();
        for change in changes {
            let dataset = self.names.datasets[change.dataset as usize].clone();
            let entity = self.names.entities[change.entity as usize].clone();
            match change.create {
                true => batch.create(dataset, entity, change.payload.clone()),
                false => batch.update(dataset, entity, change.payload.clone()),
            };
        }
        batch
    }

    /// Appends with this many commits in flight; returns when all are acknowledged.
    pub fn submit(&self, batches: &[Vec<Change>], in_flight: usize) {
        let mut flying = VecDeque::<Receipt>::with_capacity(in_flight);
        for batch in batches {
            if flying.len() == in_flight {
                flying.pop_front().expect("a receipt").wait().expect("a commit");
            }
            flying.push_back(self.engine.submit(self.batch(batch), Durability::Synced).expect("a receipt"));
        }
        for receipt in flying {
            receipt.wait().expect("a commit");
        }
    }

    /// One page, of either view.
    pub fn page_of(&self, dataset: u32, after: u64, limits: Limits, hash: &mut Hash) -> (Cursor, bool) {
        let cursor = Cursor::after(SyncKey::new(after));
        self.page_at(dataset, &cursor, limits, hash)
    }

    fn page_at(&self, dataset: u32, cursor: &Cursor, limits: Limits, hash: &mut Hash) -> (Cursor, bool) {
        let name = &self.names.datasets[dataset as usize];
        let page = self.engine.changes(name, cursor, limits).expect("a page");
        for entry in &page.entries {
            hash.entry(entry.key.get(), entry.entity, entry.payload.unwrap_or_default());
        }
        (page.next, page.more)
    }
}

impl Engine for Tidelog {
    fn append(&self, batch: &[Change], sync: bool) {
        let durability = if sync { Durability::Synced } else { Durability::Buffered };
        self.engine.append_with(self.batch(batch), durability).expect("a commit");
    }

    fn settle(&self) {
        self.engine.seal().expect("a seal");
    }

    fn page(&self, dataset: u32, after: u64, limit: usize, hash: &mut Hash) {
        self.page_of(dataset, after, Limits::entries(limit).view(View::Every), hash);
    }

    fn scan(&self, dataset: u32, hash: &mut Hash) {
        let (mut cursor, mut more) = (Cursor::START, true);
        while more {
            (cursor, more) = self.page_at(dataset, &cursor, Limits::entries(SCAN_PAGE), hash);
        }
    }

    fn get(&self, dataset: u32, entity: u32, hash: &mut Hash) {
        let (dataset, entity) = (&self.names.datasets[dataset as usize], &self.names.entities[entity as usize]);
        if let Some(entry) = self.engine.get(dataset, entity).expect("a read") {
            hash.entry(entry.key.get(), &entry.entity, entry.payload.as_deref().unwrap_or_default());
        }
    }

    fn cache(&self) -> Option<(u64, u64)> {
        let metrics = self.engine.metrics();
        Some((metrics.cache_hits, metrics.cache_misses))
    }

    fn stalled_ms(&self) -> u64 {
        self.engine.metrics().stall_ms
    }
}
