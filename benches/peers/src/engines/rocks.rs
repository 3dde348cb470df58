//! RocksDB directly: the log by (dataset, key), the newest key by (dataset, entity), both in one synced batch.
//!
//! Settings: those that its wiki's "Setup Options and Basic Tuning" names, LZ4, recycled WAL files, and the budget as one
//! block cache to which memtables are charged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB, DBCompressionType, Options,
    ReadOptions, WriteBatch, WriteBufferManager, WriteOptions,
};

use super::{Engine, MEMORY, entity_key, log_key, put_value, value_parts};
use crate::workload::{Change, Hash, Names};

pub struct Rocks {
    db: DB,
    names: Arc<Names>,
    next: AtomicU64,
}

impl Rocks {
    pub fn open(dir: &Path, names: Arc<Names>) -> Rocks {
        let cache = Cache::new_lru_cache(MEMORY);
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(MEMORY / 2, false, cache.clone());
        let mut db = Options::default();
        db.create_if_missing(true);
        db.create_missing_column_families(true);
        db.set_max_background_jobs(4);
        db.set_bytes_per_sync(1 << 20);
        db.set_write_buffer_manager(&buffers);
        db.set_recycle_log_file_num(4);
        db.set_enable_pipelined_write(true);
        let families = ["log", "newest"].map(|name| ColumnFamilyDescriptor::new(name, family(&cache)));
        let db = DB::open_cf_descriptors(&db, dir, families).expect("RocksDB opens");
        Rocks { db, names, next: AtomicU64::new(1) }
    }

    fn cf(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("the column family was opened")
    }
}

fn family(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(16 << 10);
    table.set_format_version(6);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_bloom_filter(10.0, false);
    let mut cf = Options::default();
    cf.set_block_based_table_factory(&table);
    cf.set_compression_type(DBCompressionType::Lz4);
    cf.set_level_compaction_dynamic_level_bytes(true);
    cf.set_write_buffer_size(64 << 20);
    cf.set_max_write_buffer_number(4);
    cf
}

impl Engine for Rocks {
    fn append(&self, batch: &[Change], sync: bool) {
        let (log, newest) = (self.cf("log"), self.cf("newest"));
        let first = self.next.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let (mut writes, mut value) = (WriteBatch::default(), Vec::with_capacity(320));
        for (key, change) in (first..).zip(batch) {
            let entity = &self.names.entities[change.entity as usize];
            put_value(&mut value, change.create, entity, &change.payload);
            writes.put_cf(log, log_key(change.dataset, key), &value);
            writes.put_cf(newest, entity_key(change.dataset, entity), key.to_be_bytes());
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.db.write_opt(writes, &options).expect("RocksDB writes");
    }

    fn settle(&self) {
        for name in ["log", "newest"] {
            self.db.flush_cf(self.cf(name)).expect("RocksDB flushes");
            self.db.compact_range_cf_opt(self.cf(name), None::<&[u8]>, None::<&[u8]>, &CompactOptions::default());
        }
    }

    fn page(&self, dataset: u32, after: u64, limit: usize, hash: &mut Hash) {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound((dataset + 1).to_be_bytes());
        let mut iterator = self.db.raw_iterator_cf_opt(self.cf("log"), options);
        iterator.seek(log_key(dataset, after + 1));
        for _ in 0..limit {
            let Some((key, value)) = iterator.item() else { break };
            let (entity, payload) = value_parts(value);
            hash.entry(u64::from_be_bytes(key[4..].try_into().expect("a key")), entity, payload);
            iterator.next();
        }
        iterator.status().expect("RocksDB reads");
    }

    fn get(&self, dataset: u32, entity: u32, hash: &mut Hash) {
        let entity = &self.names.entities[entity as usize];
        let newest = self.db.get_pinned_cf(self.cf("newest"), entity_key(dataset, entity)).expect("RocksDB reads");
        let Some(key) = newest else { return };
        let key = u64::from_be_bytes((*key).try_into().expect("a key"));
        let value = self.db.get_pinned_cf(self.cf("log"), log_key(dataset, key)).expect("RocksDB reads");
        let value = value.expect("a newest key has its entry");
        let (entity, payload) = value_parts(&value);
        hash.entry(key, entity, payload);
    }
}
