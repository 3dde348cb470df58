//! One dataset, as simply as can be: keys from 1 on without holes, and every past state.

use std::collections::{BTreeMap, BTreeSet};

use crate::window::Floors;

/// What is physically there of one entry.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub entity: u8,
    /// None for a delete.
    pub value: Option<u32>,
    pub born: u64,
    pub reborn: bool,
}

/// A rule that a play can leave out, to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A read from nothing is stale by its first bound, not by its moved one.
    StaleFirstBound,
    /// A position below the floor is stale.
    StalePosition,
    /// The bound moves when F passes it.
    MoveBound,
    /// Deletes are sent once the bound has moved.
    ElideBound,
    /// Deletes of reborn entities are sent.
    ElideReborn,
    /// Deletes are sent once the floor has passed the window's start.
    ElideAboveFloor,
    /// A tombstone goes after all older versions of its entity.
    TombstoneLast,
    /// F moves to the successor of what was dropped.
    HistoryAtSuccessor,
    /// An entry is skipped only if its successor is within the bound.
    SkipWithinBound,
    /// What a client has seen is told by where this window began, not by where its first one did.
    StartOfWindow,
    /// Another view in the middle of an `Every` window begins a new window.
    ViewBeginsWindow,
    /// What is left of a window is read from that one's floor on.
    FromWindowFloor,
}

pub type State = BTreeMap<u8, u32>;

#[derive(Debug)]
pub struct Store {
    pub without: Option<Rule>,
    pub log: BTreeMap<u64, Row>,
    /// Superseded key -> its successor's key.
    pub mark: BTreeMap<u64, u64>,
    /// Entity -> key of its newest entry, tombstones included while known.
    newest: BTreeMap<u8, u64>,
    pub visible: u64,
    /// What is above is in a tail: compaction does not know of it.
    pub sealed: u64,
    pub floors: Floors,
    /// Values that lived and were trimmed as parts of a window.
    pub lost: BTreeSet<u32>,
    /// `past[k]` is the state as of key k.
    pub past: Vec<State>,
}

impl Store {
    pub fn new(without: Option<Rule>) -> Store {
        Store {
            without,
            log: BTreeMap::new(),
            mark: BTreeMap::new(),
            newest: BTreeMap::new(),
            visible: 0,
            sealed: 0,
            floors: Floors::default(),
            lost: BTreeSet::new(),
            past: vec![State::new()],
        }
    }

    pub fn on(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    pub fn append(&mut self, entity: u8, value: Option<u32>) {
        self.visible += 1;
        let key = self.visible;
        let prev = self.newest.insert(entity, key);
        let old = prev.and_then(|prev| self.log.get(&prev).copied());
        self.log.insert(key, row(key, entity, value, old));
        if let Some(prev) = prev {
            self.mark.insert(prev, key);
        }
        let mut state = self.past[self.past.len() - 1].clone();
        match value {
            Some(value) => state.insert(entity, value),
            None => state.remove(&entity),
        };
        self.past.push(state);
    }

    /// Compaction knows of all there is now.
    pub fn seal(&mut self) {
        self.sealed = self.visible;
    }

    /// Of what is sealed, coalesces up to `upto`, leaving what `lazy` says for later, then purges tombstones up to `purge`.
    pub fn compact(&mut self, upto: u64, purge: u64, mut lazy: impl FnMut() -> bool) {
        let due = |mark: &BTreeMap<u64, u64>, key: &u64| mark.get(key).is_some_and(|successor| *successor <= upto);
        for key in self.log.keys().copied().filter(|key| due(&self.mark, key)).collect::<Vec<_>>() {
            if lazy() {
                continue;
            }
            let successor = self.mark.remove(&key).unwrap_or(key);
            self.log.remove(&key);
            let moved = if self.on(Rule::HistoryAtSuccessor) { successor } else { key };
            self.floors.history_floor = self.floors.history_floor.max(moved);
        }
        for key in self.log.range(..=purge.min(self.sealed)).map(|(key, _)| *key).collect::<Vec<_>>() {
            let Row { entity, value, .. } = self.log[&key];
            let replaced = self.mark.get(&key).is_some_and(|successor| *successor <= self.sealed);
            if value.is_some() || replaced {
                continue;
            }
            let older = self.log.range(..key).any(|(_, row)| row.entity == entity);
            if older && self.on(Rule::TombstoneLast) {
                continue;
            }
            self.log.remove(&key);
            self.mark.remove(&key);
            self.mark.retain(|_, successor| *successor != key);
            self.forget(entity, key);
            self.floors.floor = self.floors.floor.max(key);
            self.floors.history_floor = self.floors.history_floor.max(self.floors.floor);
        }
    }

    /// As a window for a moment: of what is sealed, all goes up to `upto`, living or not.
    pub fn trim(&mut self, upto: u64) {
        for key in self.log.range(..=upto.min(self.sealed)).map(|(key, _)| *key).collect::<Vec<_>>() {
            let Some(Row { entity, value, .. }) = self.log.remove(&key) else { continue };
            let is_newest = self.mark.remove(&key).is_none_or(|successor| successor > self.sealed);
            self.mark.retain(|_, successor| *successor != key);
            if is_newest {
                self.lost.extend(value);
                self.forget(entity, key);
            }
            let Floors { floor, history_floor, .. } = self.floors;
            self.floors = Floors { floor: floor.max(key), history_floor: history_floor.max(key), window_floor: key };
        }
    }

    /// A state without what was trimmed of it.
    pub fn left_of(&self, state: &State) -> State {
        state.iter().filter(|(_, value)| !self.lost.contains(value)).map(|(entity, value)| (*entity, *value)).collect()
    }

    /// What is in the tail of an entity is told when it was born by what is left of it.
    fn forget(&mut self, entity: u8, tombstone: u64) {
        if self.newest.get(&entity) == Some(&tombstone) {
            self.newest.remove(&entity);
        }
        let mut old = None;
        let tail = self.log.range_mut(self.sealed + 1..).filter(|(_, row)| row.entity == entity);
        for (key, found) in tail {
            *found = row(*key, entity, found.value, old);
            old = Some(*found);
        }
    }
}

fn row(key: u64, entity: u8, value: Option<u32>, old: Option<Row>) -> Row {
    let (born, reborn) = match (value, old) {
        (Some(_), Some(Row { value: None, .. })) => (key, true),
        (_, Some(old)) => (old.born, old.reborn),
        (_, None) => (key, false),
    };
    Row { entity, value, born, reborn }
}

/// A small random number generator (splitmix64), so that a seed names a play.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64, round: u64) -> Random {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ round);
        random.below(1);
        random
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}
