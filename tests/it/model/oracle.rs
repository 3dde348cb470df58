//! What a store must hold, in plain memory: everything ever committed, nothing forgotten.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tidelog::{Commit, EntryRef, Keep, Op, Retention};

use super::plan::{Kind, Plan};

/// One committed entry.
#[derive(Debug, Clone)]
pub struct Rec {
    pub key: u64,
    pub op: Op,
    /// A put over an entity that a capped log has forgotten: create and update are both right.
    pub loose_op: bool,
    pub entity: Bytes,
    pub payload: Bytes,
    pub time_ms: u64,
    pub origin: Option<Bytes>,
    pub last: bool,
    pub prev: Option<u64>,
    pub next: Option<u64>,
    /// The first entry of a life: the entity did not exist before it.
    pub begins: bool,
    /// It certainly supersedes an entry that the store still had.
    pub supersedes: bool,
}

impl Rec {
    pub fn bytes(&self) -> u64 {
        (self.entity.len() + self.payload.len()) as u64
    }

    /// Whether it is the newest of its entity as of `key`.
    pub fn newest_at(&self, key: u64) -> bool {
        self.key <= key && self.next.is_none_or(|next| next > key)
    }

    /// Fails unless `entry` is this entry, byte for byte.
    #[track_caller]
    pub fn check<'a>(&self, entry: impl Into<EntryRef<'a>>, payloads: bool) {
        let entry = entry.into();
        assert_eq!(entry.key.get(), self.key, "key");
        if !self.loose_op || entry.op == Op::Delete {
            assert_eq!(entry.op, self.op, "op at key {}", self.key);
        }
        assert_eq!(entry.entity, self.entity, "entity at key {}", self.key);
        assert_eq!(entry.time_ms, self.time_ms, "time at key {}", self.key);
        assert_eq!(entry.origin, self.origin.as_deref(), "origin at key {}", self.key);
        assert_eq!(entry.last, self.last, "`last` at key {}", self.key);
        assert_eq!(entry.payload_len, self.payload.len(), "payload length at key {}", self.key);
        let payload = (payloads && self.op != Op::Delete).then_some(&self.payload[..]);
        assert_eq!(entry.payload, payload, "payload at key {}", self.key);
    }
}

/// How far a dataset's past may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Floors {
    pub history: u64,
    pub floor: u64,
}

/// One incarnation of a dataset.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The key at which it began, once asked for.
    pub first: Option<u64>,
    /// All keys given out before it began lie at or below this one.
    pub after: u64,
    pub recs: Vec<Rec>,
    pub retention: Retention,
    pub floors: Floors,
    pub newest: BTreeMap<Bytes, usize>,
}

impl Dataset {
    fn new(after: u64, retention: Retention) -> Dataset {
        Dataset { first: None, after, recs: Vec::new(), retention, floors: Floors::default(), newest: BTreeMap::new() }
    }

    pub fn windowed(&self) -> bool {
        self.retention.keep == Keep::Window
    }

    pub fn head(&self) -> u64 {
        self.head_at(u64::MAX)
    }

    /// The newest key at or below `key`.
    pub fn head_at(&self, key: u64) -> u64 {
        self.above(0, key).last().map_or(0, |rec| rec.key)
    }

    pub fn rec(&self, key: u64) -> Option<&Rec> {
        self.recs.binary_search_by_key(&key, |rec| rec.key).ok().map(|at| &self.recs[at])
    }

    /// The newest entry of an entity, as far as the store must know it.
    pub fn find(&self, entity: &[u8]) -> Option<&Rec> {
        let rec = &self.recs[*self.newest.get(entity)?];
        (!self.windowed() || rec.key > self.floors.floor).then_some(rec)
    }

    /// The entries with keys in `low + 1 ..= high`.
    pub fn above(&self, low: u64, high: u64) -> &[Rec] {
        let from = self.recs.partition_point(|rec| rec.key <= low);
        let to = self.recs.partition_point(|rec| rec.key <= high);
        &self.recs[from..to.max(from)]
    }

    /// The live entities as of `key`.
    pub fn state_at(&self, key: u64) -> BTreeMap<&Bytes, &Rec> {
        let newest = self.above(0, key).iter().filter(|rec| rec.newest_at(key) && rec.op != Op::Delete);
        newest.map(|rec| (&rec.entity, rec)).collect()
    }

    /// Whether the store must still hold `rec` when its floors are these.
    pub fn must_hold(&self, rec: &Rec, floors: Floors) -> bool {
        // A tombstone may have gone while it was its entity's newest.
        let may_be_gone = rec.key <= floors.floor && (self.windowed() || rec.op == Op::Delete);
        !may_be_gone && (self.windowed() || rec.next.is_none_or(|next| next > floors.history))
    }

    fn push(&mut self, mut rec: Rec) {
        let known = self.find(&rec.entity).map(|prev| (prev.key, prev.op));
        let before = self.newest.get(&rec.entity).copied();
        rec.prev = before.map(|at| self.recs[at].key);
        rec.begins = known.is_none_or(|(_, op)| op == Op::Delete);
        rec.supersedes = known.is_some_and(|(key, op)| op != Op::Delete || key > self.floors.floor);
        if let Some(at) = before {
            self.recs[at].next = Some(rec.key);
        }
        self.newest.insert(rec.entity.clone(), self.recs.len());
        self.recs.push(rec);
    }
}

/// One store.
#[derive(Debug, Clone)]
pub struct Oracle {
    pub datasets: BTreeMap<Bytes, Dataset>,
    pub default_retention: Retention,
    /// The highest key given out so far.
    pub last_key: u64,
    /// Keys at or below it belong to the store that this one was copied from.
    pub above: u64,
    pub last_time: u64,
    /// The highest wall time so far.
    pub max_wall: u64,
    /// Whether floors may move at any moment.
    pub background: bool,
    /// Whether somebody ever set the wall clock back.
    pub set_back: bool,
    pub ids: BTreeMap<Bytes, (Plan, Commit)>,
    /// Acknowledged positions of durable consumers.
    pub acked: BTreeMap<(String, Bytes), u64>,
    /// Datasets that some consumer, acknowledged or not, may hold a lease on.
    pub leased: BTreeSet<Bytes>,
    /// Lineages that this store came from, with the last key shared with each.
    pub ancestors: BTreeMap<u64, u64>,
}

/// What must become of a batch.
#[derive(Debug)]
pub enum Verdict {
    Written,
    Repeated(Commit),
    Mismatch(u64),
    /// Expectations that miss, each with the current key (or unknown, where the batch itself changed the entity), and
    /// whether any of them is one that a capped log cannot answer.
    Refused {
        conflicts: Vec<(Bytes, Bytes, Current)>,
        unanswerable: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Current {
    Key(Option<u64>),
    InBatch,
}

impl Oracle {
    pub fn new(default_retention: Retention, wall: u64) -> Oracle {
        Oracle {
            datasets: BTreeMap::new(),
            default_retention,
            last_key: 0,
            above: 0,
            last_time: 0,
            max_wall: wall,
            background: false,
            set_back: false,
            ids: BTreeMap::new(),
            acked: BTreeMap::new(),
            leased: BTreeSet::new(),
            ancestors: BTreeMap::new(),
        }
    }

    pub fn dataset(&mut self, name: &Bytes) -> &mut Dataset {
        let (after, retention) = (self.last_key, self.default_retention);
        self.datasets.entry(name.clone()).or_insert_with(|| Dataset::new(after, retention))
    }

    pub fn verdict(&self, plan: &Plan) -> Verdict {
        if let Some((first, commit)) = plan.id.as_ref().and_then(|id| self.ids.get(id)) {
            return if first == plan { Verdict::Repeated(*commit) } else { Verdict::Mismatch(commit.first.get()) };
        }
        let mut here: BTreeMap<(&Bytes, &Bytes), bool> = BTreeMap::new();
        let (mut conflicts, mut unanswerable) = (Vec::new(), false);
        for change in &plan.changes {
            let at = (&change.dataset, &change.entity);
            if let Some(expect) = change.expect {
                let (met, answerable, current) = self.expectation(at, expect, here.get(&at).copied());
                unanswerable |= !answerable;
                if !met {
                    conflicts.push((at.0.clone(), at.1.clone(), current));
                }
            }
            here.insert(at, change.kind != Kind::Delete);
        }
        if conflicts.is_empty() && !unanswerable {
            return Verdict::Written;
        }
        Verdict::Refused { conflicts, unanswerable }
    }

    /// Whether the expectation holds, whether the store can know, and the entity's current key.
    fn expectation(
        &self,
        (dataset, entity): (&Bytes, &Bytes),
        expect: tidelog::Expect,
        here: Option<bool>,
    ) -> (bool, bool, Current) {
        use tidelog::Expect::{Absent, At, Present};
        if let Some(alive) = here {
            let met = matches!((expect, alive), (Absent, false) | (Present, true));
            return (met, true, Current::InBatch);
        }
        let Some(dataset) = self.datasets.get(dataset) else {
            return (expect == Absent, true, Current::Key(None));
        };
        let newest = dataset.find(entity);
        let alive = newest.filter(|rec| rec.op != Op::Delete).map(|rec| rec.key);
        let forgetful = dataset.windowed() && dataset.floors.floor > 0;
        let met = match expect {
            Absent => alive.is_none(),
            Present => alive.is_some(),
            At(key) => alive == Some(key.get()),
        };
        let answerable = match expect {
            Absent => !forgetful || newest.is_some(),
            Present => true,
            At(key) => !forgetful || key.get() > dataset.floors.floor,
        };
        (met, answerable, Current::Key(alive))
    }

    /// Records what was committed. A conflict or a repeat never comes here.
    pub fn apply(&mut self, plan: &Plan, commit: Commit) {
        let (first, unsure) = (commit.first.get(), self.background);
        let mut lasts: BTreeMap<&Bytes, usize> = BTreeMap::new();
        for (at, change) in plan.changes.iter().enumerate() {
            lasts.insert(&change.dataset, at);
        }
        let lasts: BTreeSet<usize> = lasts.into_values().collect();
        for (at, change) in plan.changes.iter().enumerate() {
            let dataset = self.dataset(&change.dataset);
            let known = dataset.find(&change.entity).is_some_and(|rec| rec.op != Op::Delete);
            let forgotten = dataset.windowed() && (unsure || dataset.find(&change.entity).is_none());
            let op = match change.kind {
                Kind::Create => Op::Create,
                Kind::Update => Op::Update,
                Kind::Delete => Op::Delete,
                Kind::Put if known => Op::Update,
                Kind::Put => Op::Create,
            };
            dataset.push(Rec {
                key: first + at as u64,
                op,
                loose_op: change.kind == Kind::Put && forgotten,
                entity: change.entity.clone(),
                payload: change.payload.clone(),
                time_ms: commit.time_ms,
                origin: plan.origin.clone(),
                last: lasts.contains(&at),
                prev: None,
                next: None,
                begins: false,
                supersedes: false,
            });
        }
        self.last_key = self.last_key.max(commit.last.get());
        self.last_time = self.last_time.max(commit.time_ms);
        if let Some(id) = &plan.id {
            self.ids.insert(id.clone(), (plan.clone(), commit));
        }
    }

    /// The part of this store that a backup complete up to `visible` shares.
    pub fn shared(&self, visible: u64, lineage: u64) -> Oracle {
        let mut shared = self.clone();
        for last in shared.ancestors.values_mut() {
            *last = (*last).min(visible);
        }
        shared.ancestors.insert(lineage, visible);
        shared
    }
}
