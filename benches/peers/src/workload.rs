//! The one workload: every engine gets the same changes in the same order, made before the clock runs.

use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use foldhash::quality::FixedState;

/// Bytes of a payload: half of them noise, half a text that compresses well.
pub const PAYLOAD: usize = 256;
/// Changes of a batch.
pub const BATCH: usize = 100;
/// Datasets, unless a row says otherwise; a tenth of them gets seven tenths of the changes besides its share.
pub const DATASETS: u32 = 1_000;
/// Entities of a dataset, unless a row says otherwise.
pub const ENTITIES: u32 = 200;
/// Different payloads; a generator for one of many threads makes do with fewer.
const PAYLOADS: usize = 1 << 15;
const FEW_PAYLOADS: usize = 1 << 8;
const TEXT: &[u8] = b"{\"kind\":\"event\",\"title\":\"a weekly meeting\"} ";

/// One change. Names are looked up by number in [`Names`], so that no engine pays for making them.
#[derive(Clone)]
pub struct Change {
    pub dataset: u32,
    pub entity: u32,
    /// Whether this is the entity's first entry.
    pub create: bool,
    pub payload: Bytes,
}

/// The names behind the numbers.
pub struct Names {
    pub datasets: Vec<Bytes>,
    pub entities: Vec<Bytes>,
}

impl Names {
    pub fn new(datasets: u32, entities: u32) -> Names {
        let name = |prefix: &str, n: u32| Bytes::from(format!("{prefix}-{n:06}"));
        Names {
            datasets: (0..datasets).map(|n| name("dataset", n)).collect(),
            entities: (0..entities).map(|n| name("entity", n)).collect(),
        }
    }
}

/// A small fast generator of numbers: the same on every run.
#[derive(Clone)]
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

    /// A dataset as the changes have it.
    pub fn dataset(&mut self, of: u32) -> u32 {
        let hot = self.below(10) < 7;
        self.below(u64::from(if hot { (of / 10).max(1) } else { of })) as u32
    }
}

/// Makes the changes.
pub struct Generator {
    rng: Rng,
    datasets: u32,
    entities: u32,
    payloads: Vec<Bytes>,
    created: Vec<u64>,
}

impl Generator {
    pub fn new(seed: u64, datasets: u32, entities: u32) -> Generator {
        Generator::with(seed, datasets, entities, PAYLOADS)
    }

    /// One of many.
    pub fn small(seed: u64) -> Generator {
        Generator::with(seed, DATASETS, ENTITIES, FEW_PAYLOADS)
    }

    fn with(seed: u64, datasets: u32, entities: u32, payloads: usize) -> Generator {
        let mut rng = Rng(seed);
        let payloads = (0..payloads).map(|_| payload(&mut rng)).collect();
        let bits = u64::from(datasets) * u64::from(entities);
        Generator { rng, datasets, entities, payloads, created: vec![0; (bits / 64 + 1) as usize] }
    }

    /// The usual one.
    pub fn usual(seed: u64) -> Generator {
        Generator::new(seed, DATASETS, ENTITIES)
    }

    /// The next change.
    pub fn change(&mut self) -> Change {
        let (dataset, entity) = (self.rng.dataset(self.datasets), self.rng.below(u64::from(self.entities)) as u32);
        self.change_of(dataset, entity)
    }

    /// A change of this entity.
    pub fn change_of(&mut self, dataset: u32, entity: u32) -> Change {
        let bit = u64::from(dataset) * u64::from(self.entities) + u64::from(entity);
        let word = &mut self.created[(bit / 64) as usize];
        let create = *word & (1 << (bit % 64)) == 0;
        *word |= 1 << (bit % 64);
        let payload = self.payloads[self.rng.below(self.payloads.len() as u64) as usize].clone();
        Change { dataset, entity, create, payload }
    }

    /// A batch of changes, each of a dataset drawn anew.
    pub fn batch(&mut self) -> Vec<Change> {
        (0..BATCH).map(|_| self.change()).collect()
    }

    /// A batch in which no entity comes twice.
    pub fn distinct(&mut self) -> Vec<Change> {
        let mut batch: Vec<Change> = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            let (dataset, entity) = (self.rng.dataset(self.datasets), self.rng.below(u64::from(self.entities)) as u32);
            if !batch.iter().any(|change| (change.dataset, change.entity) == (dataset, entity)) {
                let change = self.change_of(dataset, entity);
                batch.push(change);
            }
        }
        batch
    }

    /// This many changes, in batches.
    pub fn batches(&mut self, entries: u64) -> Vec<Vec<Change>> {
        (0..entries / BATCH as u64).map(|_| self.batch()).collect()
    }
}

fn payload(rng: &mut Rng) -> Bytes {
    let mut payload = Vec::with_capacity(PAYLOAD);
    while payload.len() < PAYLOAD / 2 {
        payload.extend_from_slice(&TEXT[..TEXT.len().min(PAYLOAD / 2 - payload.len())]);
    }
    while payload.len() < PAYLOAD {
        payload.extend_from_slice(&rng.next().to_le_bytes());
    }
    payload.into()
}

/// Random positions to read from: datasets as the changes have them, keys uniformly within a range.
pub fn positions(seed: u64, count: usize, hot_only: bool, keys: std::ops::Range<u64>) -> Vec<(u32, u64)> {
    let mut rng = Rng(seed);
    (0..count)
        .map(|_| {
            let dataset = if hot_only { rng.below(u64::from(DATASETS / 10)) as u32 } else { rng.dataset(DATASETS) };
            (dataset, keys.start + rng.below(keys.end - keys.start))
        })
        .collect()
}

/// What readers feed every byte to: fast, so that it is the engines that are measured.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub struct Hash {
    all: u64,
    pub entries: u64,
}

impl Hash {
    #[inline]
    pub fn entry(&mut self, key: u64, entity: &[u8], payload: &[u8]) {
        // With one seed it is the same in every process.
        let mut hasher = FixedState::with_seed(self.entries).build_hasher();
        hasher.write_u64(key);
        hasher.write(entity);
        hasher.write(payload);
        self.entries += 1;
        self.all = self.all.rotate_left(1) ^ hasher.finish();
    }

    pub fn value(&self) -> u64 {
        self.all
    }
}
