//! What the store was told, and what it must hold.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidelog::testing::sim::Random;
use tidelog::{Op, Retention};

/// The datasets of every workload.
pub const DATASETS: [&str; 3] = ["alpha", "beta", "gamma"];

/// A batch, as it was asked for. Its number is its origin in the store, so that each entry tells where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub number: u64,
    pub changes: Vec<Change>,
    pub idempotent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub dataset: usize,
    pub entity: Bytes,
    /// None: a delete.
    pub len: Option<usize>,
}

impl Plan {
    pub fn origin(&self) -> Bytes {
        origin(self.number)
    }

    pub fn payload(&self, index: usize) -> Bytes {
        payload(self.number, index, self.changes[index].len.unwrap_or(0))
    }
}

pub fn origin(number: u64) -> Bytes {
    Bytes::from(number.to_string())
}

/// The same bytes for the same place, and no others like them.
fn payload(number: u64, index: usize, len: usize) -> Bytes {
    Bytes::from(Random::new(number << 16 | index as u64).bytes(len))
}

/// Something that goes through the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    Batch(Plan),
    DeleteDataset(usize),
    SetRetention(usize, Retention),
    Ack(usize, u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rec {
    pub key: u64,
    pub op: Op,
    pub entity: Bytes,
    pub payload: Bytes,
    pub batch: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dataset {
    /// Which creation of all this is.
    pub life: u64,
    pub recs: Vec<Rec>,
    pub retention: Option<Retention>,
    pub acked: Option<u64>,
}

pub type State = BTreeMap<Bytes, (u64, Bytes)>;

impl Dataset {
    pub fn state_at(&self, key: u64) -> State {
        let mut state = State::new();
        for rec in self.recs.iter().take_while(|rec| rec.key <= key) {
            match rec.op {
                Op::Delete => drop(state.remove(&rec.entity)),
                _ => drop(state.insert(rec.entity.clone(), (rec.key, rec.payload.clone()))),
            }
        }
        state
    }

    pub fn alive(&self, entity: &Bytes) -> Option<u64> {
        let newest = self.recs.iter().rev().find(|rec| rec.entity == *entity)?;
        (newest.op != Op::Delete).then_some(newest.key)
    }

    pub fn head(&self) -> u64 {
        self.recs.last().map_or(0, |rec| rec.key)
    }
}

/// What the store must hold after some work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub datasets: BTreeMap<usize, Dataset>,
    /// Idempotent batches, by number, with their first key.
    pub repeats: BTreeMap<u64, (Plan, u64)>,
    pub last_key: u64,
    lives: u64,
}

impl Model {
    pub fn apply(&mut self, work: &Work, first: u64) {
        match work {
            Work::Batch(plan) => {
                for (index, change) in plan.changes.iter().enumerate() {
                    let dataset = self.dataset(change.dataset);
                    let op = match (change.len, dataset.alive(&change.entity)) {
                        (None, _) => Op::Delete,
                        (Some(_), None) => Op::Create,
                        (Some(_), Some(_)) => Op::Update,
                    };
                    let (key, entity, payload) = (first + index as u64, change.entity.clone(), plan.payload(index));
                    dataset.recs.push(Rec { key, op, entity, payload, batch: plan.number });
                    self.last_key = key;
                }
                if plan.idempotent {
                    self.repeats.insert(plan.number, (plan.clone(), first));
                }
            }
            Work::DeleteDataset(dataset) => drop(self.datasets.remove(dataset)),
            Work::SetRetention(dataset, retention) => self.dataset(*dataset).retention = Some(*retention),
            Work::Ack(dataset, upto) => {
                let dataset = self.dataset(*dataset);
                dataset.acked = dataset.acked.max(Some(*upto));
            }
        }
    }

    fn dataset(&mut self, dataset: usize) -> &mut Dataset {
        self.datasets.entry(dataset).or_insert_with(|| {
            self.lives += 1;
            Dataset { life: self.lives, ..Dataset::default() }
        })
    }
}

/// All that was acknowledged, in order, and what may or may not be there.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What must be there.
    pub durable: Model,
    /// What came after: its beginning up to some place may be there, all of it or nothing of each. With the first key of
    /// those that were told one.
    pub pending: Vec<(Work, Option<u64>)>,
}

impl History {
    /// Everything that was written, as far as is known.
    pub fn now(&self) -> Model {
        let mut model = self.durable.clone();
        for (work, first) in &self.pending {
            if let Some(first) = first {
                model.apply(work, *first);
            }
        }
        model
    }

    /// An acknowledgement makes everything before it durable.
    pub fn synced(&mut self) {
        for (work, first) in self.pending.drain(..) {
            self.durable.apply(&work, first.expect("nothing is acknowledged after an unknown outcome"));
        }
    }

    /// Most keys that pending work can have taken.
    pub fn pending_keys(&self) -> u64 {
        let keys = |work: &Work| match work {
            Work::Batch(plan) => plan.changes.len() as u64,
            _ => 1,
        };
        self.pending.iter().map(|(work, _)| keys(work)).sum()
    }
}
