//! What the benchmarks share: a store of a known size.
#![allow(dead_code)]

use tempfile::TempDir;
use tidelog::{Batch, Durability, Engine, Options};

pub const PAYLOAD: usize = 256;
pub const BATCH: u64 = 100;
pub const DATASETS: u64 = 1_000;
/// Entities of a dataset.
pub const ENTITIES: u64 = 200;

/// A small fast generator: the same keys and payloads on every run.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A dataset; a tenth of them gets most of the traffic.
    pub fn dataset(&mut self) -> String {
        let hot = self.below(10) < 7;
        format!("dataset-{:04}", self.below(if hot { DATASETS / 10 } else { DATASETS }))
    }

    /// Half noise, half text: it compresses by about a half, as most payloads do.
    pub fn payload(&mut self) -> Vec<u8> {
        let mut payload = b"{\"kind\":\"event\",\"title\":\"a weekly meeting\"} ".repeat(PAYLOAD / 80 + 1);
        while payload.len() < PAYLOAD {
            payload.extend_from_slice(&self.next().to_le_bytes());
        }
        payload.truncate(PAYLOAD);
        payload
    }
}

pub fn store(options: Options) -> (TempDir, Engine) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = Engine::open(dir.path().join("store"), options).expect("a new store opens");
    (dir, engine)
}

/// A batch of puts into one dataset.
pub fn batch(rng: &mut Rng) -> Batch {
    let dataset = rng.dataset();
    batch_of(rng, &dataset)
}

fn batch_of(rng: &mut Rng, dataset: &str) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..BATCH {
        batch.put(dataset.to_owned(), format!("entity-{:04}", rng.below(ENTITIES)), rng.payload());
    }
    batch
}

/// Fills a store with this many entries, beginning with a batch for each dataset in turn; returns when they are synced.
pub fn fill(engine: &Engine, entries: u64) {
    let mut rng = Rng(1);
    let batches = entries / BATCH;
    for n in 0..batches {
        let batch = if n < DATASETS { batch_of(&mut rng, &format!("dataset-{n:04}")) } else { batch(&mut rng) };
        let durability = if n + 1 == batches { Durability::Synced } else { Durability::Buffered };
        engine.append_with(batch, durability).expect("a commit");
    }
}
