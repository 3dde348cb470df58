//! What a store must hold after what its processes were answered: everything acknowledged, with exact bytes; of the rest
//! whole commits or nothing, in order; no key twice, ever; and nothing that was certainly refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use tidelog::{Cursor, Engine, Error, Limits, Op, View, verify};

use crate::support::Rng;

use super::child::End;
use super::plan::{Id, Plan, SHARED, WRITERS, hash, own};
use super::worker::options;

/// What one life of the process was answered.
#[derive(Debug, Default)]
pub struct Told {
    life: u64,
    /// First and last key of acknowledged commits.
    acked: BTreeMap<(u64, u64), (u64, u64)>,
    /// The same of those that were not promised to be durable yet.
    buffered: BTreeMap<(u64, u64), (u64, u64)>,
    refused: BTreeSet<(u64, u64)>,
    /// Keys and hashes of entries that a reader was given.
    saw: Vec<(u64, u64)>,
    /// Answers that were errors, by variant.
    pub errors: BTreeMap<String, u64>,
    pub opened: bool,
    pub closed: bool,
}

impl Told {
    /// Reads what a worker said. Only the first `counted` lines are promises: the power was on still.
    pub fn of(life: u64, end: &End, counted: usize) -> Told {
        let mut told = Told { life, ..Told::default() };
        for (at, line) in end.lines.iter().enumerate() {
            let words: Vec<&str> = line.split(' ').collect();
            let number =
                |at: usize| words[at].parse::<u64>().unwrap_or_else(|_| panic!("a line of the worker: {line}"));
            match words[0] {
                "ack" if at < counted => drop(told.acked.insert((number(1), number(2)), (number(3), number(4)))),
                "ack" | "buffered" => drop(told.buffered.insert((number(1), number(2)), (number(3), number(4)))),
                "no" => {
                    if at < counted {
                        *told.errors.entry(words[3].to_owned()).or_default() += 1;
                    }
                    if words[3] != "outcome_unknown" {
                        told.refused.insert((number(1), number(2)));
                    }
                }
                "saw" if at < counted => told.saw.push((number(1), number(2))),
                "unset" if at < counted => *told.errors.entry(words[1].to_owned()).or_default() += 1,
                "refused" | "unreadable" if at < counted => *told.errors.entry(line.clone()).or_default() += 1,
                "opened" => told.opened = true,
                "closed" => told.closed = true,
                _ => {}
            }
        }
        told
    }

    /// How many entries its reader was given.
    pub fn seen(&self) -> usize {
        self.saw.len()
    }

    /// Panics unless all went well: for lives whose end was the only thing that happened to them.
    pub fn without_errors(self) -> Told {
        assert!(self.errors.is_empty(), "life {}: {:?}", self.life, self.errors);
        self
    }
}

#[derive(Debug, Clone, Copy)]
struct Known {
    hash: u64,
    /// Whether a look has found it: then it stays.
    found: bool,
}

/// One store over many lives.
pub struct Checker {
    dir: PathBuf,
    /// What was told since the last look.
    told: Vec<Told>,
    /// Every key that anyone ever saw, with what it stood for.
    recorded: HashMap<u64, Known>,
    highest: u64,
    cursors: BTreeMap<String, Cursor>,
    shared: BTreeMap<String, (u64, Option<Vec<u8>>)>,
    looks: u64,
}

impl Checker {
    pub fn new(dir: &Path) -> Checker {
        Checker {
            dir: dir.to_path_buf(),
            told: Vec::new(),
            recorded: HashMap::new(),
            highest: 0,
            cursors: (0..WRITERS).map(|writer| (own(writer), Cursor::START)).collect(),
            shared: BTreeMap::new(),
            looks: 0,
        }
    }

    /// Takes in what a life was answered, and compares its keys with those of all lives before.
    pub fn heard(&mut self, told: Told) {
        let before = self.highest;
        let mut ranges: Vec<(u64, u64)> = told.acked.values().chain(told.buffered.values()).copied().collect();
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            assert!(pair[0].1 < pair[1].0, "life {}: keys given twice: {pair:?}", told.life);
        }
        for (first, last) in ranges {
            assert!(first > before && last >= first, "life {}: key {first} given again, {before} was", told.life);
            self.highest = self.highest.max(last);
        }
        for (key, hash) in &told.saw {
            self.record(*key, *hash, false);
            self.highest = self.highest.max(*key);
        }
        self.told.push(told);
    }

    fn record(&mut self, key: u64, hash: u64, found: bool) {
        let known = self.recorded.entry(key).or_insert(Known { hash, found });
        assert_eq!(known.hash, hash, "key {key} stood for something else before");
        known.found |= found;
    }

    /// Looks after most seeds, and closely after every `closely`-th and the last.
    pub fn look_now_and_then(&mut self, seed: u64, rng: &mut Rng, closely: u64, is_last: bool) {
        if !rng.chance(20) || is_last {
            self.look();
        }
        if seed % closely == closely - 1 || is_last {
            self.look();
            self.look_closely();
        }
    }

    /// Opens the store and looks whether all is there. Returns how many commits were found that were new.
    pub fn look(&mut self) -> usize {
        let engine = Engine::open(&self.dir, options()).unwrap_or_else(|error| panic!("it does not open: {error}"));
        let found = self.compare(&engine);
        engine.close().expect("a clean close");
        found
    }

    /// The same with an engine that is open.
    pub fn compare(&mut self, engine: &Engine) -> usize {
        self.looks += 1;
        let mut found = BTreeMap::new();
        for writer in 0..WRITERS {
            let dataset = own(writer);
            let cursor = self.cursors[&dataset];
            let (entries, cursor) = every(engine, &dataset, cursor);
            self.cursors.insert(dataset.clone(), cursor);
            for entry in &entries {
                let key = entry.key.get();
                self.record(key, hash(&dataset, entry), true);
            }
            for commit in entries.chunk_by(|one, next| one.origin == next.origin) {
                let first = commit[0].key.get();
                let plan = Plan::of(Id::of(&commit[0]));
                assert_eq!(plan.id.writer, writer, "an entry of another dataset");
                let whole = commit.len() == plan.own.len();
                assert!(whole, "{:?}: {} of {} changes are there", plan.id, commit.len(), plan.own.len());
                for (at, (entry, change)) in commit.iter().zip(&plan.own).enumerate() {
                    assert!(change.is(entry), "{:?}: {entry:?} instead of {change:?}", plan.id);
                    assert_eq!(entry.key.get(), first + at as u64, "{:?}: a key is not the next one", plan.id);
                }
                assert!(found.insert(first, plan).is_none(), "two commits at {first}");
            }
        }
        let count = found.len();
        let survivors: BTreeMap<Id, u64> = found.iter().map(|(first, plan)| (plan.id, *first)).collect();
        for told in std::mem::take(&mut self.told) {
            check_life(&told, &survivors);
            for (key, _) in &told.saw {
                assert!(self.recorded[key].found, "life {}: a reader saw key {key}, and it is gone", told.life);
            }
        }
        for (first, plan) in found {
            self.highest = self.highest.max(first + plan.keys() - 1);
            let from = first + plan.own.len() as u64;
            for (change, key) in plan.shared.into_iter().zip(from..) {
                self.shared.insert(change.entity, (key, change.payload));
            }
        }
        self.compare_shared(engine);
        // The first commit of all creates the shared dataset by its retention, and is told to nobody.
        if let Ok(shared) = engine.stat(SHARED) {
            let first = shared.first.get();
            self.highest = if self.highest == 0 { first } else { self.highest };
            assert!(
                first <= self.highest,
                "the shared dataset began at {first}, and the highest given is {}",
                self.highest
            );
        }
        let visible = engine.visible().get();
        assert!(visible <= self.highest, "key {visible} is visible, and the highest given is {}", self.highest);
        count
    }

    /// The shared dataset's history is capped: its state must be exact.
    fn compare_shared(&self, engine: &Engine) {
        let mut state = BTreeMap::new();
        let mut cursor = Cursor::START;
        loop {
            let page = match engine.changes(SHARED, &cursor, Limits::default()) {
                Ok(page) => page,
                Err(Error::DatasetNotFound { .. }) if self.shared.is_empty() => return,
                Err(error) => panic!("{SHARED}: {error}"),
            };
            for entry in page.entries {
                let entity = String::from_utf8_lossy(&entry.entity).into_owned();
                let payload = entry.payload.as_deref().map(<[u8]>::to_vec);
                assert_eq!(payload.is_none(), entry.op == Op::Delete);
                state.insert(entity, (entry.key.get(), payload));
            }
            cursor = page.next;
            if !page.more {
                break;
            }
        }
        let live = |state: &BTreeMap<String, (u64, Option<Vec<u8>>)>| {
            let mut state = state.clone();
            state.retain(|_, (_, payload)| payload.is_some());
            state
        };
        let (found, expected) = (live(&state), live(&self.shared));
        let wrong = expected.iter().find(|(entity, value)| found.get(*entity) != Some(value));
        assert_eq!(found.len(), expected.len(), "live entities of the shared dataset");
        assert!(wrong.is_none(), "the shared dataset: {:?} is wrong", wrong.map(|(entity, (key, _))| (entity, key)));
    }

    /// Everything there is, from the beginning, and every byte of the store.
    pub fn look_closely(&mut self) {
        let report = verify(&self.dir, &options(), &mut |_, _| {}).expect("it can be verified");
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        for cursor in self.cursors.values_mut() {
            *cursor = Cursor::START;
        }
        let engine = Engine::open(&self.dir, options()).expect("it opens");
        let before = self.recorded.len();
        self.compare(&engine);
        assert_eq!(self.recorded.len(), before, "there are entries that no look before found");
        engine.close().expect("a clean close");
    }

    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Keys that anyone ever saw.
    pub fn keys(&self) -> usize {
        self.recorded.len()
    }
}

/// Whether everything of one life is there that must be, and nothing that must not.
fn check_life(told: &Told, survivors: &BTreeMap<Id, u64>) {
    let Told { life, acked, buffered, refused, .. } = told;
    let life = *life;
    for ((writer, seq), (first, last)) in acked {
        let id = Id { life, writer: *writer, seq: *seq };
        let found = survivors.get(&id);
        assert_eq!(found, Some(first), "{id:?} was acknowledged with keys {first}..={last}");
        assert_eq!(last - first + 1, Plan::of(id).keys(), "{id:?}: so many keys");
    }
    for writer in 0..WRITERS {
        let of = |seq| Id { life, writer, seq };
        let last = survivors.range(of(0)..=of(u64::MAX)).next_back().map(|(id, _)| id.seq);
        let Some(last) = last else { continue };
        let mut before = 0;
        for seq in 0..=last {
            let first = survivors.get(&of(seq));
            let is_refused = refused.contains(&(writer, seq));
            assert!(first.is_some() != is_refused, "{:?}: there: {first:?}, refused: {is_refused}", of(seq));
            if let Some(first) = first {
                assert!(*first > before, "{:?}: its key is not above its predecessor's", of(seq));
                before = *first;
                if let Some((told, _)) = buffered.get(&(writer, seq)) {
                    assert_eq!(told, first, "{:?}: it was given another key", of(seq));
                }
            }
        }
    }
}

/// Every entry of a dataset from `cursor` on, in order.
fn every(engine: &Engine, dataset: &str, mut cursor: Cursor) -> (Vec<tidelog::Entry>, Cursor) {
    let mut entries: Vec<tidelog::Entry> = Vec::new();
    loop {
        let page = match engine.changes(dataset, &cursor, Limits::default().view(View::Every)) {
            Ok(page) => page,
            Err(Error::DatasetNotFound { .. }) if cursor == Cursor::START => return (entries, cursor),
            Err(error) => panic!("{dataset}: {error}"),
        };
        entries.extend(page.entries);
        cursor = page.next;
        if !page.more {
            break;
        }
    }
    assert!(entries.windows(2).all(|pair| pair[0].key < pair[1].key), "{dataset}: keys out of order");
    (entries, cursor)
}
