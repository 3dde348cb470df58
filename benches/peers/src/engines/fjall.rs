//! fjall: the same layout as RocksDB's, in two keyspaces.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Engine, MEMORY, entity_key, log_key, put_value, value_parts};
use crate::workload::{Change, Hash, Names};

pub struct Fjall {
    db: Database,
    log: Keyspace,
    newest: Keyspace,
    names: Arc<Names>,
    next: AtomicU64,
}

impl Fjall {
    pub fn open(dir: &Path, names: Arc<Names>) -> Fjall {
        let db = Database::builder(dir).cache_size(MEMORY as u64 * 3 / 4).open().expect("fjall opens");
        let log = db.keyspace("log", KeyspaceCreateOptions::default).expect("a keyspace");
        let newest = db
            .keyspace("newest", || KeyspaceCreateOptions::default().expect_point_read_hits(true))
            .expect("a keyspace");
        Fjall { db, log, newest, names, next: AtomicU64::new(1) }
    }
}

impl Engine for Fjall {
    fn append(&self, batch: &[Change], sync: bool) {
        let first = self.next.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut writes = self.db.batch().durability(Some(mode));
        let mut value = Vec::with_capacity(320);
        for (key, change) in (first..).zip(batch) {
            let entity = &self.names.entities[change.entity as usize];
            put_value(&mut value, change.create, entity, &change.payload);
            writes.insert(&self.log, log_key(change.dataset, key), &value[..]);
            writes.insert(&self.newest, entity_key(change.dataset, entity), key.to_be_bytes());
        }
        writes.commit().expect("fjall writes");
    }

    fn settle(&self) {
        for keyspace in [&self.log, &self.newest] {
            keyspace.rotate_memtable_and_wait().expect("fjall flushes");
            keyspace.major_compact().expect("fjall compacts");
        }
    }

    fn page(&self, dataset: u32, after: u64, limit: usize, hash: &mut Hash) {
        let range = log_key(dataset, after + 1)..=log_key(dataset, u64::MAX);
        for row in self.log.range(range).take(limit) {
            let (key, value) = row.into_inner().expect("fjall reads");
            let (entity, payload) = value_parts(&value);
            hash.entry(u64::from_be_bytes(key[4..].try_into().expect("a key")), entity, payload);
        }
    }

    fn get(&self, dataset: u32, entity: u32, hash: &mut Hash) {
        let entity = &self.names.entities[entity as usize];
        let Some(key) = self.newest.get(entity_key(dataset, entity)).expect("fjall reads") else { return };
        let key = u64::from_be_bytes((*key).try_into().expect("a key"));
        let value = self.log.get(log_key(dataset, key)).expect("fjall reads").expect("a newest key has its entry");
        let (entity, payload) = value_parts(&value);
        hash.entry(key, entity, payload);
    }
}
