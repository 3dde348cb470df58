//! What can be done for a commit before its turn comes: look up what it depends on, encode and checksum it.
//!
//! All of this happens outside of the writer's lock. The leader then looks whether what was found still holds
//! ([`Prepared::holds`], a few lookups in memory) and prepares again under the lock where it does not.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::quality::RandomState;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use super::core::Core;
use super::pin::Pin;
use super::request::Work;
use super::tails::Tails;
use crate::error::{Error, Name, Result, Stale, StaleReason};
use crate::frame::{Body, BodyBuilder};
use crate::tail::{Acked, Remembered, Tail};
use crate::types::{Batch, Change, ChangeOp, Expect, Op};

/// An entity's newest version: its key, and whether the entity exists.
type State = Option<(u64, bool)>;

/// About what a record's lengths and its share of the table of datasets take.
const RECORD_HEAD_BYTES: usize = 16;

/// What becomes of a commit, if nothing changes before its turn.
pub enum Outcome {
    Write { body: Body, crc: u32 },
    Repeat(Remembered),
    Refuse(Error),
}

/// A commit that is ready for its turn, and what that depends on.
pub struct Prepared {
    pub outcome: Outcome,
    /// The datasets concerned, each with the index of its last change: for those who watch.
    pub heads: Vec<(Bytes, u32)>,
    /// How many changes it records as creates.
    pub created: u32,
    /// Names that must still stand for nothing.
    absent: Vec<Bytes>,
    /// Entities that must still be as they were found.
    seen: Vec<(u64, Bytes, State)>,
    /// What the idempotency id was found to be used for.
    idempotency: Option<(Bytes, Option<Remembered>)>,
    generation: u64,
    deletions: u64,
}

impl Prepared {
    /// Whether nothing that can be written in the tails is of concern, as long as there were so many deletions.
    pub fn is_blind(&self, deletions: u64) -> bool {
        self.deletions == deletions && self.absent.is_empty() && self.seen.is_empty() && self.idempotency.is_none()
    }

    /// Whether what this was prepared on is still so, now that nothing else is being written.
    pub fn holds(&self, tails: &Tails, deletions: u64) -> bool {
        if self.is_blind(deletions) {
            return true;
        }
        self.deletions == deletions
            && self.generation == tails.generation
            && self.absent.iter().all(|name| newest_name(tails, name).is_none())
            && self.seen.iter().all(|(id, entity, state)| match newest_in_tails(tails, *id, entity) {
                Some(now) => *state == Some(now),
                // No seal has ended since, so what was found in no tail is still what the index store says.
                None => true,
            })
            && self.idempotency.as_ref().is_none_or(|(id, found)| remembered_in_tails(tails, id).or(*found) == *found)
    }
}

/// Prepares `work` on everything written so far, synced or not.
///
/// # Errors
///
/// What is wrong with the call itself, whatever the store holds. What the store refuses is an [`Outcome`].
pub fn prepare(core: &Core, work: &Work) -> Result<Prepared> {
    let deletions = core.deletions();
    let store = core.store();
    let pin = &Pin::all(core, &store);
    let mut preparation = Preparation {
        core,
        pin,
        datasets: HashMap::default(),
        touched: HashMap::default(),
        prepared: Prepared {
            outcome: Outcome::Refuse(Error::invalid("the batch is empty")),
            heads: Vec::new(),
            created: 0,
            absent: Vec::new(),
            seen: Vec::new(),
            idempotency: None,
            generation: 0,
            deletions,
        },
    };
    preparation.prepared.generation = preparation.pin.tails.generation;
    let outcome = match work {
        Work::Batch(batch) => preparation.batch(batch),
        Work::DeleteDataset { dataset } => preparation.delete_dataset(dataset),
        Work::SetRetention { dataset, retention } => {
            preparation.control(dataset, true, |body, index| body.set_retention(index, Some(retention)))
        }
        Work::Ack { dataset, incarnation, consumer, acked } => preparation.ack(dataset, *incarnation, consumer, *acked),
        Work::RemoveConsumer { dataset, consumer } => {
            preparation.control(dataset, false, |body, index| body.remove_consumer(index, consumer))
        }
    };
    preparation.prepared.outcome = match outcome {
        Ok(outcome) => outcome,
        Err(Unprepared::Refused(error)) => Outcome::Refuse(error),
        Err(Unprepared::Failed(error)) => return Err(error),
    };
    Ok(preparation.prepared)
}

/// Why there is nothing to write.
enum Unprepared {
    /// What was found in the store forbids it: looked at again if that does not hold any more.
    Refused(Error),
    /// The call itself is wrong, or the store could not be read.
    Failed(Error),
}

impl From<Error> for Unprepared {
    fn from(error: Error) -> Unprepared {
        Unprepared::Failed(error)
    }
}

type Prepare<T> = std::result::Result<T, Unprepared>;

struct Preparation<'p, 'a> {
    core: &'p Core,
    pin: &'p Pin<'a>,
    /// Index in the body's table and id (none: created by this commit) of each dataset.
    datasets: HashMap<Bytes, (u32, Option<u64>), RandomState>,
    /// What this batch made of entities that are looked at: whether they exist. Their keys are not known yet.
    touched: HashMap<(u32, Bytes), bool, RandomState>,
    prepared: Prepared,
}

impl Preparation<'_, '_> {
    fn batch(&mut self, batch: &Batch) -> Prepare<Outcome> {
        let hash;
        let mut idempotency = None;
        if let Some(id) = &batch.idempotency_id {
            hash = content_hash(batch);
            idempotency = Some((&id[..], hash));
            let found = self.remembered(id)?;
            self.prepared.idempotency = Some((id.clone(), found));
            match found {
                Some(found) if found.hash == hash => return Ok(Outcome::Repeat(found)),
                Some(found) => {
                    let mismatch = Error::IdempotencyMismatch { id: id.to_vec(), first: found.first };
                    return Err(Unprepared::Refused(mismatch));
                }
                None => {}
            }
        }
        let looks = batch.changes.iter().any(|change| change.expect.is_some() || change.op == ChangeOp::Put);
        let mut body = BodyBuilder::new(batch.origin.as_deref(), idempotency);
        let bytes = |change: &Change| change.entity.len() + change.payload.len() + RECORD_HEAD_BYTES;
        body.reserve(batch.changes.len(), batch.changes.iter().map(bytes).sum());
        for (index, change) in batch.changes.iter().enumerate() {
            let (dataset, id) = self.dataset(&mut body, &change.dataset)?;
            self.prepared.heads[dataset as usize].1 = index as u32;
            let op = if looks { self.resolve(dataset, id, change)? } else { blind(change.op) };
            self.prepared.created += u32::from(op == Op::Create);
            body.change(dataset, op, &change.entity, &change.payload);
        }
        Ok(finish(body)?)
    }

    /// Checks the change's expectation, and says what it is recorded as.
    fn resolve(&mut self, dataset: u32, id: Option<u64>, change: &Change) -> Prepare<Op> {
        let touched = self.touched.get(&(dataset, change.entity.clone())).copied();
        let mut exists = touched;
        if touched.is_none() && (change.expect.is_some() || change.op == ChangeOp::Put) {
            let state = self.entity(id, &change.entity)?;
            exists = Some(state.is_some_and(|(_, alive)| alive));
            if let Some(expect) = change.expect {
                self.check(id, change, expect, state)?;
            }
        } else if let (Some(alive), Some(expect)) = (touched, change.expect) {
            let holds = match expect {
                Expect::Absent => !alive,
                Expect::Present => alive,
                // The key that the batch itself will give is not known to anyone.
                Expect::At(_) => false,
            };
            if !holds {
                let current = self.entity(id, &change.entity)?;
                return Err(conflict(change, current));
            }
        }
        let op = match (change.op, exists) {
            (ChangeOp::Put, Some(true)) => Op::Update,
            (ChangeOp::Put, _) => Op::Create,
            (op, _) => blind(op),
        };
        self.touched.insert((dataset, change.entity.clone()), op != Op::Delete);
        Ok(op)
    }

    fn check(&self, id: Option<u64>, change: &Change, expect: Expect, state: State) -> Prepare<()> {
        let floor = match id {
            Some(id) if !matches!(state, Some((_, true))) => {
                self.pin.snapshot().record(id)?.map_or(0, |record| record.window_floor)
            }
            _ => 0,
        };
        if state.is_none() && floor > 0 && expect == Expect::Absent {
            return Err(below_window(change, floor));
        }
        let holds = match expect {
            Expect::Absent => !matches!(state, Some((_, true))),
            Expect::Present => matches!(state, Some((_, true))),
            Expect::At(key) if state.is_none() && key.get() > 0 && key.get() <= floor => {
                return Err(below_window(change, floor));
            }
            Expect::At(key) => state == Some((key.get(), true)),
        };
        if holds { Ok(()) } else { Err(conflict(change, state)) }
    }

    fn delete_dataset(&mut self, dataset: &Bytes) -> Prepare<Outcome> {
        let outcome = self.control(dataset, false, |body, index| body.delete_dataset(index))?;
        // Who watches it has something to learn, too.
        self.prepared.heads.push((dataset.clone(), 0));
        Ok(outcome)
    }

    fn ack(&mut self, dataset: &Bytes, incarnation: u64, consumer: &Bytes, acked: Acked) -> Prepare<Outcome> {
        let Acked { position, bound } = acked;
        let outcome = self.control(dataset, false, |body, index| body.ack(index, consumer, position, bound))?;
        match self.datasets.get(dataset) {
            Some((_, Some(id))) if *id == incarnation => Ok(outcome),
            _ => {
                let stale = Stale { reason: StaleReason::Recreated, dataset: dataset.to_vec(), position, floor: 0 };
                Err(Unprepared::Refused(stale.into()))
            }
        }
    }

    /// A commit of one record that is no change.
    fn control(
        &mut self,
        dataset: &Bytes,
        create: bool,
        record: impl FnOnce(&mut BodyBuilder, u32),
    ) -> Prepare<Outcome> {
        let mut body = BodyBuilder::new(None, None);
        if !create && self.id(dataset)?.is_none() {
            self.prepared.absent.push(dataset.clone());
            return Err(Unprepared::Refused(Error::DatasetNotFound { dataset: dataset.to_vec() }));
        }
        let (index, _) = self.dataset(&mut body, dataset)?;
        self.prepared.heads.clear();
        record(&mut body, index);
        Ok(finish(body)?)
    }

    /// The dataset's index in the body's table, and its id unless this commit creates it.
    fn dataset(&mut self, body: &mut BodyBuilder, name: &Bytes) -> Result<(u32, Option<u64>)> {
        if let Some(known) = self.datasets.get(name) {
            return Ok(*known);
        }
        let id = self.id(name)?;
        let index = match id {
            Some(id) => body.existing(id),
            None => {
                self.prepared.absent.push(name.clone());
                body.create(name)
            }
        };
        self.datasets.insert(name.clone(), (index, id));
        self.prepared.heads.push((name.clone(), 0));
        Ok((index, id))
    }

    fn id(&self, name: &Bytes) -> Result<Option<u64>> {
        if let Some(id) = self.core.names.get(name, self.prepared.deletions) {
            return Ok(Some(id));
        }
        let id = match newest_name(&self.pin.tails, name) {
            Some(id) => Some(id),
            None => self.pin.snapshot().name(name)?.filter(|id| !self.pin.tails.has_deleted(*id, u64::MAX)),
        };
        if let Some(id) = id {
            self.core.names.insert(self.pin.store, name, id, self.prepared.deletions);
        }
        Ok(id)
    }

    /// The entity's newest version, and a note that the commit depends on it.
    fn entity(&mut self, id: Option<u64>, entity: &Bytes) -> Result<State> {
        let Some(id) = id else { return Ok(None) };
        let state = match newest_in_tails(&self.pin.tails, id, entity) {
            Some(state) => Some(state),
            // After the tails: what is found there is at least as new as they are.
            None if let Some(version) = self.core.alive.get(id, entity) => Some((version.key, true)),
            None => {
                let version = self.pin.snapshot().newest(id, entity)?;
                version.map(|version| (version.key, version.op != Op::Delete))
            }
        };
        self.prepared.seen.push((id, entity.clone(), state));
        Ok(state)
    }

    fn remembered(&self, id: &Bytes) -> Result<Option<Remembered>> {
        let found = match remembered_in_tails(&self.pin.tails, id) {
            Some(found) => Some(found),
            None => self.pin.snapshot().idempotency(id)?.map(|record| Remembered {
                hash: record.hash,
                first: record.first,
                last: record.last,
                time_ms: record.time_ms,
            }),
        };
        let oldest = self.core.clock.now_ms().saturating_sub(self.core.options.idempotency_window.as_millis() as u64);
        Ok(found.filter(|found| found.time_ms >= oldest))
    }
}

fn finish(body: BodyBuilder) -> Result<Outcome> {
    let (body, crc) = body.finish().map_err(|malformed| Error::invalid(format!("the batch: {}", malformed.0)))?;
    Ok(Outcome::Write { body, crc })
}

fn blind(op: ChangeOp) -> Op {
    match op {
        ChangeOp::Create | ChangeOp::Put => Op::Create,
        ChangeOp::Update => Op::Update,
        ChangeOp::Delete => Op::Delete,
    }
}

fn conflict(change: &Change, state: State) -> Unprepared {
    let current = state.filter(|(_, alive)| *alive).map(|(key, _)| key);
    Unprepared::Refused(Error::Conflict { dataset: change.dataset.to_vec(), entity: change.entity.to_vec(), current })
}

fn below_window(change: &Change, floor: u64) -> Unprepared {
    Unprepared::Refused(Error::invalid(format!(
        "whether entity '{}' of dataset '{}' exists cannot be told: the dataset keeps a window and lost what is at or \
         below key {floor}; leave the expectation out",
        Name(&change.entity),
        Name(&change.dataset)
    )))
}

/// The dataset of this name that was created in the tails and still exists.
fn newest_name(tails: &Tails, name: &[u8]) -> Option<u64> {
    let newest = |tail: &Arc<Tail>| tail.read().names.get(name).and_then(|name| name.newest().copied());
    tails.oldest_first().rev().find_map(newest).filter(|id| !tails.has_deleted(*id, u64::MAX))
}

fn newest_in_tails(tails: &Tails, id: u64, entity: &[u8]) -> State {
    tails
        .oldest_first()
        .rev()
        .find_map(|tail| tail.read().newest(id, entity, u64::MAX).map(|entry| (entry.key, !entry.is_delete())))
}

fn remembered_in_tails(tails: &Tails, id: &[u8]) -> Option<Remembered> {
    tails.oldest_first().rev().find_map(|tail| tail.read().idempotency.get(id).copied())
}

/// A stable hash of what the batch says, to tell a repeat from another batch under the same idempotency id.
fn content_hash(batch: &Batch) -> [u8; 16] {
    let mut hasher = SipHasher13::new();
    let mut part = |bytes: &[u8]| {
        hasher.write(&(bytes.len() as u64).to_le_bytes());
        hasher.write(bytes);
    };
    part(batch.origin.as_deref().unwrap_or_default());
    for change in &batch.changes {
        let (expect, at) = match change.expect {
            None => (0u8, 0),
            Some(Expect::Absent) => (1, 0),
            Some(Expect::Present) => (2, 0),
            Some(Expect::At(key)) => (3, key.get()),
        };
        part(&[blind(change.op) as u8, u8::from(change.op == ChangeOp::Put), expect]);
        part(&at.to_le_bytes());
        part(&change.dataset);
        part(&change.entity);
        part(&change.payload);
    }
    hasher.finish128().as_bytes()
}
