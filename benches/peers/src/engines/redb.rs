//! redb: two tables, one transaction for each batch.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::{Engine, MEMORY, put_value, value_parts};
use crate::workload::{Change, Hash, Names};

const LOG: TableDefinition<(u32, u64), &[u8]> = TableDefinition::new("log");
const NEWEST: TableDefinition<(u32, &[u8]), u64> = TableDefinition::new("newest");

pub struct Redb {
    db: Database,
    names: Arc<Names>,
    next: AtomicU64,
}

impl Redb {
    pub fn open(dir: &Path, names: Arc<Names>) -> Redb {
        std::fs::create_dir_all(dir).expect("a directory");
        let db = Database::builder().set_cache_size(MEMORY).create(dir.join("redb")).expect("redb opens");
        Redb { db, names, next: AtomicU64::new(1) }
    }
}

impl Engine for Redb {
    fn append(&self, batch: &[Change], sync: bool) {
        let first = self.next.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let mut write = self.db.begin_write().expect("redb begins");
        write.set_durability(if sync { Durability::Immediate } else { Durability::None }).expect("redb takes it");
        {
            let mut log = write.open_table(LOG).expect("a table");
            let mut newest = write.open_table(NEWEST).expect("a table");
            let mut value = Vec::with_capacity(320);
            for (key, change) in (first..).zip(batch) {
                let entity = &self.names.entities[change.entity as usize];
                put_value(&mut value, change.create, entity, &change.payload);
                log.insert((change.dataset, key), &value[..]).expect("redb writes");
                newest.insert((change.dataset, &entity[..]), key).expect("redb writes");
            }
        }
        write.commit().expect("redb commits");
    }

    fn settle(&self) {}

    fn page(&self, dataset: u32, after: u64, limit: usize, hash: &mut Hash) {
        let read = self.db.begin_read().expect("redb reads");
        let log = read.open_table(LOG).expect("a table");
        let range = (dataset, after + 1)..=(dataset, u64::MAX);
        for row in log.range(range).expect("redb reads").take(limit) {
            let (key, value) = row.expect("redb reads");
            let (entity, payload) = value_parts(value.value());
            hash.entry(key.value().1, entity, payload);
        }
    }

    fn get(&self, dataset: u32, entity: u32, hash: &mut Hash) {
        let entity = &self.names.entities[entity as usize];
        let read = self.db.begin_read().expect("redb reads");
        let newest = read.open_table(NEWEST).expect("a table");
        let Some(key) = newest.get((dataset, &entity[..])).expect("redb reads") else { return };
        let log = read.open_table(LOG).expect("a table");
        let value = log.get((dataset, key.value())).expect("redb reads").expect("a newest key has its entry");
        let (entity, payload) = value_parts(value.value());
        hash.entry(key.value(), entity, payload);
    }
}
