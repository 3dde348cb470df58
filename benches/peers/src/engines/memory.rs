//! The limit of reading: each dataset's entries side by side in memory, found by binary search. Nothing is durable, and
//! nothing is handed out that would outlive the call.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use super::Engine;
use crate::workload::{Change, Hash, Names};

pub struct Memory {
    names: Arc<Names>,
    log: RwLock<Log>,
}

#[derive(Default)]
struct Log {
    last: u64,
    datasets: HashMap<u32, Dataset>,
    newest: HashMap<(u32, u32), usize>,
}

#[derive(Default)]
struct Dataset {
    rows: Vec<Row>,
    bytes: Vec<u8>,
}

/// An entity lies at `at`, and its payload behind it.
struct Row {
    key: u64,
    at: usize,
    entity: usize,
    payload: usize,
}

impl Memory {
    pub fn new(names: Arc<Names>) -> Memory {
        Memory { names, log: RwLock::default() }
    }
}

impl Dataset {
    fn read(&self, row: &Row, hash: &mut Hash) {
        let (entity, payload) = self.bytes[row.at..row.at + row.entity + row.payload].split_at(row.entity);
        hash.entry(row.key, entity, payload);
    }
}

impl Engine for Memory {
    fn append(&self, batch: &[Change], _: bool) {
        let mut guard = self.log.write().expect("no one panicked");
        let log = &mut *guard;
        for change in batch {
            log.last += 1;
            let entity = &self.names.entities[change.entity as usize];
            let dataset = log.datasets.entry(change.dataset).or_default();
            let (at, key) = (dataset.bytes.len(), log.last);
            dataset.bytes.extend_from_slice(entity);
            dataset.bytes.extend_from_slice(&change.payload);
            log.newest.insert((change.dataset, change.entity), dataset.rows.len());
            dataset.rows.push(Row { key, at, entity: entity.len(), payload: change.payload.len() });
        }
    }

    fn settle(&self) {}

    fn page(&self, dataset: u32, after: u64, limit: usize, hash: &mut Hash) {
        let log = self.log.read().expect("no one panicked");
        let Some(dataset) = log.datasets.get(&dataset) else { return };
        let from = dataset.rows.partition_point(|row| row.key <= after);
        dataset.rows[from..].iter().take(limit).for_each(|row| dataset.read(row, hash));
    }

    fn get(&self, dataset: u32, entity: u32, hash: &mut Hash) {
        let log = self.log.read().expect("no one panicked");
        let Some(at) = log.newest.get(&(dataset, entity)) else { return };
        let dataset = &log.datasets[&dataset];
        dataset.read(&dataset.rows[*at], hash);
    }
}
