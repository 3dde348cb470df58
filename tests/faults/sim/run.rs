//! A store under a workload, with its model and its clients.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tidelog::testing::sim::{ManualClock, Random, SimDisk};
use tidelog::{
    Batch, Cap, Clock as _, Commit, Cursor, Durability, Engine, Error, Expect, Keep, Limits, Options, Result,
    Retention, SyncKey, SyncKeys,
};

use super::check::{Client, Copy, Past};
use super::model::{Change, DATASETS, Plan, Work};
use super::steps::Step;

/// Where the store lies on a simulated disk of its own.
pub const DIR: &str = "/machine/store";
/// The consumer of every dataset.
pub const CONSUMER: &str = "consumer";

/// An empty disk.
pub fn machine() -> SimDisk {
    let disk = SimDisk::new();
    disk.make_dir(Path::new("/machine"));
    disk
}

/// Small segments, seals only when they are asked for, numbers from a seed.
pub fn options(disk: &SimDisk, seed: u64) -> Options {
    let timestamps = Random::new(seed).chance(25);
    let random = Mutex::new(Random::new(seed ^ 0x1d));
    Options::default()
        .memory(16 << 20)
        .tail_bytes(2 << 20)
        .segment_bytes(64 << 10)
        .chunk_bytes(512)
        .background_compaction(false)
        .grace(Duration::ZERO, 0)
        .consumer_budget(1 << 30)
        .sync_interval(Duration::from_millis(1))
        .retention(Retention::unlimited())
        .sync_keys(if timestamps { SyncKeys::Timestamp } else { SyncKeys::Counter })
        .clock(ManualClock::at(1_750_000_000_000))
        .vfs(Arc::new(disk.clone()))
        .random(Arc::new(move || Ok(random.lock().expect("no panic under the lock").any())))
}

pub struct Run {
    pub dir: PathBuf,
    pub disk: SimDisk,
    pub options: Options,
    pub engine: Option<Engine>,
    pub past: Past,
    pub random: Random,
    pub story: Vec<String>,
    number: u64,
    clock: Arc<ManualClock>,
}

impl Run {
    pub fn new(seed: u64, disk: SimDisk) -> Run {
        Run::on(seed, disk, PathBuf::from(DIR), Past::default())
    }

    /// On a disk that may hold a store with a past.
    pub fn on(seed: u64, disk: SimDisk, dir: PathBuf, past: Past) -> Run {
        let clock = ManualClock::at(1_750_000_000_000);
        let options = options(&disk, seed).clock(clock.clone());
        let random = Random::new(seed);
        Run { dir, disk, options, engine: None, past, random, story: Vec::new(), number: seed << 32, clock }
    }

    pub fn open(&mut self) -> Result<()> {
        self.engine = Some(Engine::open(&self.dir, self.options.clone())?);
        Ok(())
    }

    /// Opens and goes through the steps, as far as the disk lets it.
    pub fn play(&mut self, steps: &[Step]) {
        if let Err(error) = self.open() {
            return self.note(format!("opening: {error}"));
        }
        for step in steps {
            if self.disk.is_crashed() || self.engine.is_none() {
                break;
            }
            self.step(*step);
        }
    }

    fn note(&mut self, text: String) {
        self.story.push(text);
    }

    /// The time of the machine.
    pub fn now_ms(&self) -> u64 {
        self.clock.wall_ms()
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it is open")
    }

    /// The process ends: nothing more is written, the page cache stays.
    pub fn kill(&mut self) {
        self.disk = self.disk.kill();
        self.engine = None;
        self.options = self.options.clone().vfs(Arc::new(self.disk.clone()));
    }

    pub fn step(&mut self, step: Step) {
        self.note(format!("{step:?}"));
        match step {
            Step::Append => self.append(24, Durability::Synced, false),
            Step::AppendMuch => self.append(9_000, Durability::Synced, false),
            Step::Buffered => self.append(24, Durability::Buffered, false),
            Step::Idempotent => self.append(24, Durability::Synced, true),
            Step::Expect => self.expect(),
            Step::Together => self.together(),
            Step::DeleteDataset => {
                let dataset = self.dataset();
                if self.past.history.now().datasets.contains_key(&dataset) {
                    let done = self.engine().delete_dataset(DATASETS[dataset]);
                    self.settle(Work::DeleteDataset(dataset), done.map(|()| 0));
                }
            }
            Step::SetRetention => {
                let (dataset, retention) = (self.dataset(), self.retention());
                let done = self.engine().set_retention(DATASETS[dataset], retention);
                self.settle(Work::SetRetention(dataset, retention), done.map(|()| 0));
            }
            Step::Ack => self.ack(),
            Step::Seal => self.upkeep(|engine| engine.seal()),
            Step::Compact => self.upkeep(|engine| engine.compact(None).map(drop)),
            Step::Backup => self.backup(),
            Step::Read => self.read(),
            Step::PassTime => self.clock.advance(1_000),
            Step::Reopen => {
                let closed = self.engine().close();
                self.engine = None;
                if let Err(error) = closed {
                    return self.note(format!("closing: {error}"));
                }
                self.past.history.synced();
                if let Err(error) = self.open() {
                    self.note(format!("opening: {error}"));
                }
            }
        }
    }

    fn dataset(&mut self) -> usize {
        self.random.below(DATASETS.len() as u64) as usize
    }

    fn retention(&mut self) -> Retention {
        let mut cap = || Cap { entries: Some(self.random.pick(&[0, 1, 5])), bytes: None, age_ms: None };
        Retention { keep: Keep::Live, history: cap(), tombstones: cap() }
    }

    fn plan(&mut self, len: u64, idempotent: bool) -> Plan {
        self.number += 1;
        let count = 1 + self.random.below(4);
        let change = |random: &mut Random| {
            let dataset = random.below(DATASETS.len() as u64) as usize;
            let entity = Bytes::from(format!("entity-{}", random.below(6)));
            let len = (!random.chance(20)).then(|| random.below(len) as usize);
            Change { dataset, entity, len }
        };
        let changes = (0..count).map(|_| change(&mut self.random)).collect();
        Plan { number: self.number, changes, idempotent }
    }

    fn append(&mut self, len: u64, durability: Durability, idempotent: bool) {
        let plan = self.plan(len, idempotent);
        let done = self.engine().append_with(batch(&plan), durability).map(|commit| first(&plan, &commit));
        if durability == Durability::Buffered && done.is_ok() {
            self.past.history.pending.push((Work::Batch(plan), done.ok()));
            return;
        }
        let is_done = done.is_ok();
        self.settle(Work::Batch(plan.clone()), done);
        if is_done && idempotent {
            match self.engine().append(batch(&plan)) {
                Ok(commit) => assert!(commit.repeated, "a repeat was written again: {plan:?}"),
                Err(error) => self.note(format!("a repeat: {error}")),
            }
        }
    }

    fn expect(&mut self) {
        let mut plan = self.plan(24, false);
        plan.changes.truncate(1);
        let (dataset, entity) = (plan.changes[0].dataset, plan.changes[0].entity.clone());
        let known = self.past.history.now().datasets.get(&dataset).and_then(|dataset| dataset.alive(&entity));
        let expect = match (known, self.random.chance(70)) {
            (Some(key), true) => Expect::At(SyncKey::new(key)),
            (Some(_), false) => Expect::Absent,
            (None, true) => Expect::Absent,
            (None, false) => Expect::Present,
        };
        let holds = matches!((known, expect), (Some(_), Expect::At(_)) | (None, Expect::Absent));
        let mut batch = batch(&plan);
        batch.expect(expect);
        match self.engine().append(batch) {
            Err(Error::Conflict { current, .. }) => {
                assert!(!holds && current == known, "{expect:?} of {known:?}: a conflict with {current:?}");
                // The answer depends on everything written so far, so that is synced.
                self.past.history.synced();
            }
            Ok(_) if !holds => panic!("{expect:?} of {known:?} was written"),
            done => {
                let done = done.map(|commit| first(&plan, &commit));
                self.settle(Work::Batch(plan), done);
            }
        }
    }

    fn together(&mut self) {
        let plans: Vec<Plan> = (0..4).map(|_| self.plan(500, false)).collect();
        let engine = self.engine().clone();
        let receipts: Vec<_> = plans.iter().map(|plan| engine.submit(batch(plan), Durability::Synced)).collect();
        for (plan, receipt) in plans.into_iter().zip(receipts) {
            let done = receipt.and_then(|receipt| receipt.wait()).map(|commit| first(&plan, &commit));
            self.settle(Work::Batch(plan), done);
        }
    }

    fn ack(&mut self) {
        let dataset = self.dataset();
        // One that a buffered commit made is not to be seen yet.
        if !self.past.history.durable.datasets.contains_key(&dataset) {
            return;
        }
        let visible = self.engine().visible();
        let done = self.engine().consumer_ack(CONSUMER, DATASETS[dataset], visible);
        self.settle(Work::Ack(dataset, visible.get()), done.map(|_| 0));
    }

    /// What came of work that goes through the log.
    fn settle(&mut self, work: Work, done: Result<u64>) {
        match done {
            Ok(first) => {
                self.past.history.pending.push((work, Some(first)));
                self.past.history.synced();
            }
            Err(Error::OutcomeUnknown { cause }) => {
                self.note(format!("unknown: {work:?} ({cause})"));
                self.past.history.pending.push((work, None));
            }
            // Every other error says that nothing was written, and recovery is held to it.
            Err(error) => {
                let fits = matches!(
                    error,
                    Error::Poisoned { .. }
                        | Error::NoSpace { .. }
                        | Error::SealFailed { .. }
                        | Error::Io { .. }
                        | Error::Store { .. }
                );
                assert!(fits, "{work:?} is refused with {error:?}");
                self.note(format!("refused: {work:?} ({error})"));
            }
        }
    }

    fn upkeep(&mut self, run: impl FnOnce(&Engine) -> Result<()>) {
        match run(self.engine()) {
            // Sealing syncs what it seals.
            Ok(()) => self.past.history.synced(),
            Err(error) => self.note(format!("upkeep: {error}")),
        }
    }

    fn backup(&mut self) {
        let dir = PathBuf::from(format!("/machine/backup-{}", self.past.copies.len()));
        match self.engine().backup(&dir) {
            Ok(report) => {
                self.past.history.synced();
                let (model, visible) = (self.past.history.durable.clone(), report.visible.get());
                self.past.copies.push(Copy { dir, model, visible });
            }
            Err(error) => self.note(format!("backup: {error}")),
        }
    }

    /// Clients read on, one of them not to the end; now and then a new one comes.
    pub fn read(&mut self) {
        let model = self.past.history.now();
        for (dataset, known) in &model.datasets {
            if self.past.clients.len() < 8 {
                self.past.clients.push(Client::new(*dataset, known.life));
            }
        }
        let engine = self.engine().clone();
        for client in &mut self.past.clients {
            let pages = self.random.pick(&[1, 1000]);
            let Some(known) = model.datasets.get(&client.dataset).filter(|known| known.life == client.life) else {
                continue;
            };
            for _ in 0..pages {
                let page = engine.changes(DATASETS[client.dataset], &client.cursor, Limits::entries(3));
                let page = match page {
                    Ok(page) => page,
                    Err(Error::Stale(_)) => {
                        *client = Client::new(client.dataset, client.life);
                        break;
                    }
                    Err(error) => {
                        self.story.push(format!("a page: {error}"));
                        break;
                    }
                };
                client.take(&page, known, &mut self.past.seen);
                if !page.more {
                    break;
                }
            }
        }
    }
}

/// A batch that no model knows of, in a dataset of its own.
pub fn one_put() -> Batch {
    let mut batch = Batch::new();
    batch.put("after", "entity", "written besides").origin("0");
    batch
}

/// The first key of a commit, which takes one for each change.
fn first(plan: &Plan, commit: &Commit) -> u64 {
    let (first, last) = (commit.first.get(), commit.last.get());
    assert_eq!(last - first + 1, plan.changes.len() as u64, "the keys of {plan:?}");
    assert!(!commit.repeated, "a first commit is no repeat");
    first
}

pub fn batch(plan: &Plan) -> Batch {
    let mut batch = Batch::new();
    batch.origin(plan.origin());
    if plan.idempotent {
        batch.idempotency_id(plan.origin());
    }
    for (index, change) in plan.changes.iter().enumerate() {
        let dataset = DATASETS[change.dataset];
        match change.len {
            Some(_) => batch.put(dataset, change.entity.clone(), plan.payload(index)),
            None => batch.delete(dataset, change.entity.clone()),
        };
    }
    batch
}

impl Client {
    pub fn new(dataset: usize, life: u64) -> Client {
        Client { dataset, life, cursor: Cursor::START, position: 0, state: Default::default(), done: false }
    }
}
