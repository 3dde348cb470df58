//! The engines behind one small trait. Each gives its entries the keys 1, 2, 3... in the order of one appender.

pub mod fjall;
pub mod memory;
pub mod raw;
pub mod redb;
pub mod redis;
pub mod rocks;
pub mod sqlite;
pub mod tidelog;

use std::path::Path;
use std::sync::Arc;

use crate::workload::{Change, Hash, Names};

/// The memory budget of every engine, in bytes.
pub const MEMORY: usize = 1 << 30;
/// Tidelog's default, for its second column.
pub const DEFAULT_MEMORY: usize = 256 << 20;

/// What a row does with an engine.
pub trait Engine: Send + Sync {
    /// Commits a batch; durable when it returns if `sync`, else later.
    fn append(&self, batch: &[Change], sync: bool);
    /// Waits until what was appended lies where it is read from for good: sealed, flushed, compacted.
    fn settle(&self);
    /// At most `limit` entries of a dataset above a key, in key order.
    fn page(&self, dataset: u32, after: u64, limit: usize, hash: &mut Hash);
    /// All of a dataset: its present state, each entity having one entry.
    fn scan(&self, dataset: u32, hash: &mut Hash) {
        self.page(dataset, 0, usize::MAX, hash);
    }
    /// The newest entry of an entity.
    fn get(&self, dataset: u32, entity: u32, hash: &mut Hash);
    /// Chunk cache hits and misses, where they are told.
    fn cache(&self) -> Option<(u64, u64)> {
        None
    }
    /// Milliseconds that appends waited for the background.
    fn stalled_ms(&self) -> u64 {
        0
    }
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    Raw,
    Memory,
    Tidelog,
    TidelogDefault,
    Rocks,
    Fjall,
    Redb,
    Sqlite,
    Redis,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Raw,
        Kind::Memory,
        Kind::Tidelog,
        Kind::TidelogDefault,
        Kind::Rocks,
        Kind::Fjall,
        Kind::Redb,
        Kind::Sqlite,
        Kind::Redis,
    ];

    /// All that can be read from. What is in memory is the limit of reading, as the raw file is that of writing.
    pub fn readers() -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Raw).collect()
    }

    /// All that make a commit durable.
    pub fn writers() -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Memory).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Raw => "raw file",
            Kind::Memory => "in memory",
            Kind::Tidelog => "Tidelog",
            Kind::TidelogDefault => "Tidelog, 256 MiB",
            Kind::Rocks => "RocksDB",
            Kind::Fjall => "fjall",
            Kind::Redb => "redb",
            Kind::Sqlite => "SQLite",
            Kind::Redis => "Redis Streams",
        }
    }

    pub fn open(self, dir: &Path, names: &Arc<Names>) -> Box<dyn Engine> {
        let names = names.clone();
        match self {
            Kind::Raw => Box::new(raw::Raw::open(dir, names)),
            Kind::Memory => Box::new(memory::Memory::new(names)),
            Kind::Tidelog => Box::new(tidelog::Tidelog::open(dir, names, tidelog::options(MEMORY))),
            Kind::TidelogDefault => Box::new(tidelog::Tidelog::open(dir, names, tidelog::options(DEFAULT_MEMORY))),
            Kind::Rocks => Box::new(rocks::Rocks::open(dir, names)),
            Kind::Fjall => Box::new(fjall::Fjall::open(dir, names)),
            Kind::Redb => Box::new(redb::Redb::open(dir, names)),
            Kind::Sqlite => Box::new(sqlite::Sqlite::open(dir, names)),
            Kind::Redis => Box::new(redis::Redis::open(dir, names)),
        }
    }
}

/// The key of a log entry in an ordered store: dataset, key. A peer gets the dataset's number, as if it kept a table of
/// names in memory; Tidelog gets the name.
pub fn log_key(dataset: u32, key: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&dataset.to_be_bytes());
    bytes[4..].copy_from_slice(&key.to_be_bytes());
    bytes
}

/// The key of an entity in an ordered store.
pub fn entity_key(dataset: u32, entity: &[u8]) -> Vec<u8> {
    [&dataset.to_be_bytes(), entity].concat()
}

/// The value of a log entry: op, entity, payload.
pub fn put_value(out: &mut Vec<u8>, create: bool, entity: &[u8], payload: &[u8]) {
    out.clear();
    out.extend_from_slice(&[u8::from(create), entity.len() as u8]);
    out.extend_from_slice(entity);
    out.extend_from_slice(payload);
}

/// Entity and payload of a value.
pub fn value_parts(value: &[u8]) -> (&[u8], &[u8]) {
    value[2..].split_at(usize::from(value[1]))
}
