//! One engine beside its model, and what can be done to both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::input::Input;
use super::super::scratch::Scratch;
use super::super::sim::{ManualClock, SimDisk};
use super::model::{Change, Client, Dataset, Kind, Rec};
use crate::cursor::Cursor;
use crate::engine::Engine;
use crate::error::{Error, Result, Stale, StaleReason};
use crate::options::Options;
use crate::types::{Batch, Commit, DatasetStat, Expect, Keep, Limits, Op, Retention, View};
use crate::verify::verify;

/// The last one is a capped log, once its retention was set.
pub const DATASETS: [&str; 3] = ["a", "b", "w"];
const WINDOWED: usize = 2;
/// With an order that is easy to get wrong.
const ENTITIES: [&[u8]; 7] = [b"e", b"e\0", b"f", b"\0", b"\0\xff", b"\xff", b"\xff\xff"];

pub struct World {
    engine: Engine,
    options: Options,
    /// Log and ledger, apart from the index store.
    memory: SimDisk,
    clock: Arc<ManualClock>,
    datasets: BTreeMap<usize, Dataset>,
    clients: Vec<Client>,
    incarnations: u64,
    last_key: u64,
    ids: BTreeMap<u8, (Vec<Change>, Commit)>,
    // Dropped last.
    scratch: Scratch,
}

impl World {
    pub fn new() -> World {
        let (scratch, memory) = (Scratch::new(), SimDisk::beside_rocksdb());
        memory.make_dir(scratch.path());
        let clock = ManualClock::at(1_750_000_000_000);
        let options = Options::default()
            .memory(16 << 20)
            .tail_bytes(4 << 10)
            .segment_bytes(64 << 10)
            .chunk_bytes(256)
            .background_compaction(false)
            .grace(Duration::ZERO, 0)
            .retention(Retention::unlimited())
            .clock(clock.clone())
            .vfs(Arc::new(memory.clone()));
        let engine = Engine::open(scratch.path(), options.clone()).expect("a new store opens");
        let clients = [(0, View::Latest), (0, View::Every), (1, View::Latest), (WINDOWED, View::Every)];
        World {
            engine,
            options,
            memory,
            clock,
            datasets: BTreeMap::new(),
            clients: clients.map(|(dataset, view)| Client::new(dataset, view)).into(),
            incarnations: 0,
            last_key: 0,
            ids: BTreeMap::new(),
            scratch,
        }
    }

    pub fn append(&mut self, input: &mut Input<'_>) {
        let flags = input.u8();
        let count = if flags & 3 == 3 { 1 + input.below(6) } else { 1 };
        let mut changes: Vec<Change> = (0..count).map(|_| self.change(input)).collect();
        let id = (flags >= 0xe8).then_some(flags & 7);
        if let Some((known, _)) = id.and_then(|id| self.ids.get(&id)).filter(|_| input.one_in(2)) {
            changes = known.clone();
        }
        let mut batch = Batch::new();
        for change in &changes {
            let (dataset, entity, payload) = (DATASETS[change.dataset], change.entity.clone(), change.payload.clone());
            match change.kind {
                Kind::Create => batch.create(dataset, entity, payload),
                Kind::Update => batch.update(dataset, entity, payload),
                Kind::Put => batch.put(dataset, entity, payload),
                Kind::Delete => batch.delete(dataset, entity),
            };
            if let Some(expect) = change.expect {
                batch.expect(expect);
            }
        }
        if let Some(id) = id {
            batch.idempotency_id(vec![b'i', id]);
        }
        let outcome = self.engine.append(batch);
        match id.and_then(|id| self.ids.get(&id)) {
            Some((known, first)) if *known == changes => {
                let commit = outcome.expect("a repeat");
                assert!(commit.repeated, "a repeat was written again");
                assert_eq!((commit.first, commit.last), (first.first, first.last), "the first commit's keys");
            }
            Some((_, first)) => {
                let mismatch =
                    matches!(outcome, Err(Error::IdempotencyMismatch { first: at, .. }) if at == first.first.get());
                assert!(mismatch, "an id was used for something else: {outcome:?}");
            }
            None => self.settle(changes, id, outcome),
        }
    }

    fn change(&self, input: &mut Input<'_>) -> Change {
        let what = input.u8();
        let (dataset, entity) = (usize::from(what & 15) % 3, Bytes::from_static(input.pick(&ENTITIES)));
        let kind = [Kind::Put, Kind::Put, Kind::Create, Kind::Update, Kind::Delete][usize::from(what >> 4) % 5];
        let payload = match kind {
            Kind::Delete => Bytes::new(),
            _ => {
                let fill = input.u8();
                let len = if fill >= 0xf0 { 40 * usize::from(fill) / 4 } else { usize::from(fill % 24) };
                Bytes::from(vec![fill; len])
            }
        };
        let newest = self.datasets.get(&dataset).and_then(|model| model.newest(&entity)).map_or(0, |rec| rec.key);
        let expect = match what >> 5 {
            6 if dataset != WINDOWED => {
                let guess = Expect::At((newest + u64::from(input.one_in(4))).into());
                Some(input.pick(&[Expect::Absent, Expect::Present, guess, guess]))
            }
            _ => None,
        };
        Change { dataset, kind, entity, payload, expect }
    }

    /// Holds the outcome of a batch against the model, and applies it.
    fn settle(&mut self, changes: Vec<Change>, id: Option<u8>, outcome: Result<Commit>) {
        let conflicts = self.conflicts(&changes);
        let commit = match outcome {
            Ok(commit) => commit,
            Err(Error::Conflict { dataset, entity, current }) => {
                let named = conflicts
                    .iter()
                    .find(|(change, _)| DATASETS[change.dataset].as_bytes() == dataset && change.entity == entity);
                let (_, expected) = named.unwrap_or_else(|| panic!("the expectation on {entity:?} holds"));
                assert!(expected.is_none_or(|expected| expected == current), "{expected:?}, not {current:?}");
                return;
            }
            Err(error) => panic!("a batch is refused: {error}"),
        };
        assert!(conflicts.is_empty(), "a conflict was written: {conflicts:?}");
        let (first, last) = (commit.first.get(), commit.last.get());
        assert!(first > self.last_key && !commit.repeated, "key {first} was given out before");
        assert_eq!(last - first + 1, changes.len() as u64, "the keys of a commit");
        for (key, change) in (first..).zip(&changes) {
            let model = self.dataset(change.dataset);
            let op = match change.kind {
                Kind::Create => Some(Op::Create),
                Kind::Update => Some(Op::Update),
                Kind::Delete => Some(Op::Delete),
                Kind::Put if model.alive(&change.entity).is_none() => Some(Op::Create),
                Kind::Put if model.windowed => None,
                Kind::Put => Some(Op::Update),
            };
            model.recs.push(Rec { key, op, entity: change.entity.clone(), payload: change.payload.clone() });
        }
        self.last_key = last;
        if let Some(id) = id {
            self.ids.insert(id, (changes, commit));
        }
    }

    /// Changes whose expectation does not hold, with the current key that the error may name; an entity that the batch
    /// itself has touched before has none yet.
    fn conflicts(&self, changes: &[Change]) -> Vec<(Change, Option<Option<u64>>)> {
        let mut touched: BTreeMap<(usize, &Bytes), bool> = BTreeMap::new();
        let mut conflicts = Vec::new();
        for change in changes {
            let at = (change.dataset, &change.entity);
            let alive = self.datasets.get(&change.dataset).and_then(|model| model.alive(&change.entity));
            let here = touched.get(&at).copied();
            let holds = match (change.expect, here) {
                (None, _) => true,
                (Some(Expect::Absent), here) => !here.unwrap_or(alive.is_some()),
                (Some(Expect::Present), here) => here.unwrap_or(alive.is_some()),
                (Some(Expect::At(key)), None) => alive == Some(key.get()),
                (Some(Expect::At(_)), Some(_)) => false,
            };
            if !holds {
                conflicts.push((change.clone(), here.is_none().then_some(alive)));
            }
            touched.insert(at, change.kind != Kind::Delete);
        }
        conflicts
    }

    fn dataset(&mut self, dataset: usize) -> &mut Dataset {
        self.datasets.entry(dataset).or_insert_with(|| {
            self.incarnations += 1;
            Dataset { incarnation: self.incarnations, windowed: false, recs: Vec::new() }
        })
    }

    fn stat(&self, dataset: usize) -> DatasetStat {
        let stat = self.engine.stat(DATASETS[dataset]).expect("a dataset that is there");
        let model = &self.datasets[&dataset];
        assert_eq!(stat.head.get(), model.recs.last().map_or(0, |rec| rec.key), "the head of {dataset}");
        assert!(stat.floor <= stat.history_floor && stat.history_floor <= stat.head, "{stat:?}");
        stat
    }

    /// One page of a client, at most `limit` entries.
    pub fn page(&mut self, which: usize, limit: usize) -> bool {
        let limit = limit.max(1);
        let client = &self.clients[which];
        let (dataset, view) = (client.dataset, client.view);
        let floors = self.datasets.contains_key(&dataset).then(|| self.stat(dataset));
        let oldest = floors.map_or(0, |stat| stat.floor.max(stat.history_floor).get());
        let result = self.engine.changes(DATASETS[dataset], &client.cursor, Limits::entries(limit).view(view));
        let client = &mut self.clients[which];
        let (page, model, stat) = match (result, self.datasets.get(&dataset), floors) {
            (Ok(page), Some(model), Some(stat)) => (page, model, stat),
            (Err(Error::DatasetNotFound { .. }), None, _) => {
                client.reset();
                return false;
            }
            (Err(Error::Stale(stale)), Some(model), Some(stat)) => {
                assert!(may_be_stale(&stale, client, model, &stat), "{stale:?}, but {stat:?} and {client:?}");
                client.reset();
                return true;
            }
            (result, model, _) => panic!("{client:?} got {result:?} with {model:?}"),
        };
        let foreign = client.incarnation.is_some_and(|incarnation| incarnation != model.incarnation);
        assert!(!foreign, "a cursor of a dataset that was deleted is served");
        let trimmed = client.position.is_some_and(|position| view == View::Every && position < oldest);
        assert!(!trimmed, "every entry is served from {:?}, but {stat:?}", client.position);
        client.take(&page, limit, client.position.unwrap_or(oldest), model);
        page.more
    }

    pub fn seal(&self) {
        self.engine.seal().expect("a seal");
    }

    pub fn compact(&self, dataset: usize) {
        let one = DATASETS.get(dataset).map(|name| name.as_bytes());
        match self.engine.compact(one) {
            Err(Error::DatasetNotFound { .. }) if one.is_some() && !self.datasets.contains_key(&dataset) => {}
            report => drop(report.expect("a compaction")),
        }
    }

    /// The capped log becomes one before anything is in it, and stays one.
    pub fn set_retention(&mut self, dataset: usize, mut retention: Retention) {
        if dataset == WINDOWED {
            if self.datasets.get(&dataset).is_some_and(|model| !model.windowed) {
                return;
            }
            retention.keep = Keep::Window;
            self.dataset(dataset).windowed = true;
        }
        self.engine.set_retention(DATASETS[dataset], retention).expect("a retention");
        self.dataset(dataset);
        assert_eq!(self.engine.retention(DATASETS[dataset]).expect("a retention"), retention);
    }

    pub fn delete_dataset(&mut self, dataset: usize) {
        match (self.engine.delete_dataset(DATASETS[dataset]), self.datasets.remove(&dataset)) {
            (Ok(()), Some(_)) | (Err(Error::DatasetNotFound { .. }), None) => {}
            (result, model) => panic!("{result:?} with {model:?}"),
        }
    }

    pub fn pass_time(&self, ms: u64) {
        self.clock.advance(ms);
    }

    pub fn reopen(&mut self) {
        self.engine.close().expect("a clean close");
        self.open();
    }

    /// Log and ledger are again what they were before the close: as they were, or without what was not synced.
    pub fn crash(&mut self, power_cut: bool) {
        while self.engine.metrics().tails_pending > 0 {
            std::thread::yield_now();
        }
        let image = if power_cut { self.memory.durable() } else { self.memory.image() };
        self.engine.close().expect("a clean close");
        self.memory.restore(&image);
        self.open();
    }

    fn open(&mut self) {
        self.engine = Engine::open(self.scratch.path(), self.options.clone()).expect("the store opens");
        assert!(self.engine.visible().get() >= self.last_key, "acknowledged commits are gone");
    }

    /// A cursor with one byte changed and its checksum right may be refused or served, and that is all.
    pub fn forge(&self, which: usize, at: usize, with: u8) {
        let client = &self.clients[which];
        let mut bytes = client.cursor.to_bytes();
        let body = bytes.len() - 4;
        bytes[at % body] ^= with;
        let crc = crc32fast::hash(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&crc);
        let Ok(mut cursor) = Cursor::from_bytes(&bytes) else { return };
        for view in [View::Latest, View::Every] {
            while let Ok(page) = self.engine.changes(DATASETS[client.dataset], &cursor, Limits::entries(50).view(view))
            {
                cursor = page.next;
                if !page.more {
                    break;
                }
            }
        }
    }

    /// Everything that a dataset holds, by every way to it.
    pub fn check(&self, dataset: usize) {
        let name = DATASETS[dataset];
        let Some(model) = self.datasets.get(&dataset) else {
            assert!(matches!(self.engine.stat(name), Err(Error::DatasetNotFound { .. })));
            return;
        };
        let stat = self.stat(dataset);
        let view = if model.windowed { View::Every } else { View::Latest };
        let mut client = Client::new(dataset, view);
        loop {
            let page = self.engine.changes(name, &client.cursor, Limits::entries(7).view(view)).expect("a full read");
            client.take(&page, 7, client.position.unwrap_or(stat.floor.get()), model);
            if !page.more {
                break;
            }
        }
        for entity in ENTITIES.map(Bytes::from_static) {
            let found = self.engine.get(name, &entity).expect("a get").map(|entry| (entry.key.get(), entry.payload));
            let newest = model.newest(&entity).filter(|rec| !rec.is_delete());
            let newest = newest.filter(|rec| !model.windowed || rec.key > stat.floor.get() || found.is_some());
            assert_eq!(found, newest.map(|rec| (rec.key, Some(rec.payload.clone()))), "get of {entity:?}");
        }
        if !model.windowed {
            let state = model.state_at(u64::MAX);
            assert_eq!(client.state, state, "a full read of {name}");
            let rows = self.engine.entities(name, None, 100).expect("the entities");
            assert!(rows.iter().map(|row| &row.entity).eq(state.keys()), "{rows:?}");
        }
    }

    /// Whether anything was written at all.
    pub fn finish(mut self) -> bool {
        for which in 0..self.clients.len() {
            // A stale one begins anew; the second round is a window of its own.
            while self.page(which, 5) {}
            while self.page(which, 5) {}
        }
        (0..DATASETS.len()).for_each(|dataset| self.check(dataset));
        self.engine.close().expect("a clean close");
        let report = verify(self.scratch.path(), &self.options, &mut |_, _| {}).expect("a verification");
        assert!(report.findings.is_empty(), "a sound store: {:#?}", report.findings);
        self.last_key > 0
    }
}

fn may_be_stale(stale: &Stale, client: &Client, model: &Dataset, stat: &DatasetStat) -> bool {
    let position = client.position.unwrap_or(u64::MAX);
    match stale.reason {
        StaleReason::Recreated => client.incarnation.is_some_and(|incarnation| incarnation != model.incarnation),
        StaleReason::Trimmed => stat.floor.get() > position,
        StaleReason::HistoryTrimmed => client.view == View::Every && stat.history_floor.get() > position,
        StaleReason::OtherLineage | StaleReason::Future | StaleReason::Malformed => false,
    }
}
