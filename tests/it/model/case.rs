//! One case: a random life of a store and its copies, with clients that read at their own pace.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tidelog::{Cap, Durability, Keep, Options, Retention, SyncKeys, View};

use super::client::{Client, Lim};
use super::coverage::Seen;
use super::oracle::Oracle;
use super::store::{Setup, Store};
use crate::support::{ManualClock, NOON, Rng, small, temp};

/// What a case did so far, for whoever has to understand a failure.
pub type Story = Arc<Mutex<Vec<String>>>;

pub struct Case {
    pub rng: Rng,
    pub story: Story,
    pub seen: Seen,
    pub setup: Setup,
    pub dir: tempfile::TempDir,
    pub stores: Vec<Store>,
    pub names: Vec<Bytes>,
    pub entities: u64,
    pub copies: u64,
}

impl Case {
    pub fn new(seed: u64, story: Story) -> Case {
        let mut rng = Rng::new(seed);
        let setup = setup(&mut rng);
        let dir = temp();
        let retention = first_retention(&mut rng);
        let setup = Setup { options: setup.options.retention(retention), ..setup };
        let oracle = Oracle { background: setup.background, ..Oracle::new(retention, setup.clock.wall()) };
        let store = Store::open(&setup, dir.path().join("store-0"), oracle, vec![]);
        let names = (0..rng.within(1, 3)).map(|n| Bytes::from(format!("d{n}"))).collect();
        let entities = rng.pick(&[2, 6, 25]);
        let seen = Seen { background: setup.background, ..Seen::default() };
        let mut case = Case { rng, story, seen, setup, dir, stores: vec![store], names, entities, copies: 0 };
        let (keys, background, grace) = (case.setup.keys, case.setup.background, case.setup.grace);
        case.note(format!("{keys:?} keys, background compaction: {background}, grace {grace:?}, {retention:?}"));
        case.first_steps();
        case
    }

    pub fn note(&self, text: impl Into<String>) {
        self.story.lock().expect("the story").push(text.into());
    }

    /// A dataset that is a capped log, perhaps, and clients of every dataset.
    fn first_steps(&mut self) {
        let capped = self.rng.chance(25).then(|| self.names[self.names.len() - 1].clone());
        if let Some(name) = capped {
            let retention = Retention { keep: Keep::Window, ..self.retention() };
            self.set_retention(0, &name, retention);
        }
        for name in self.names.clone() {
            for _ in 0..self.rng.within(1, 3) {
                self.stores[0].clients.push(Client::new(name.clone()));
            }
        }
    }

    pub fn run(mut self) -> Seen {
        for _ in 0..self.rng.pick(&[25, 60, 120]) {
            self.step();
        }
        for at in 0..self.stores.len() {
            self.finish(at);
        }
        self.seen
    }

    fn step(&mut self) {
        let at = self.rng.index(self.stores.len());
        match self.rng.below(200) {
            0..=79 => self.commit(at),
            80..=129 => self.page(at),
            130..=137 => self.page_many(at),
            138..=149 => self.reads(at),
            150..=154 => self.seal(at),
            155..=168 => self.compact(at),
            169..=173 => self.change_retention(at),
            174..=176 => self.delete_dataset(at),
            177..=178 => self.reopen(at),
            179 => self.copy(at),
            180..=185 => self.consume(at),
            186..=189 => self.mischief(at),
            190..=194 => self.newcomer(at),
            _ => self.pass_time(),
        }
    }

    pub fn name(&mut self) -> Bytes {
        let at = self.rng.index(self.names.len());
        self.names[at].clone()
    }

    fn commit(&mut self, at: usize) {
        if self.rng.chance(12) {
            let plans: Vec<_> = (0..self.rng.within(2, 5)).map(|_| (self.blind(at), self.durability())).collect();
            for (plan, durability) in &plans {
                self.note(format!("s{at} submit {durability:?} {}", plan.text()));
            }
            return self.stores[at].commit_together(&plans, &mut self.seen);
        }
        let (plan, durability) = (self.plan(at), self.durability());
        self.note(format!("s{at} append {durability:?} {}", plan.text()));
        self.stores[at].commit(&plan, durability, &mut self.seen);
    }

    fn durability(&mut self) -> Durability {
        if self.rng.chance(90) {
            return Durability::Synced;
        }
        self.seen.buffered = true;
        Durability::Buffered
    }

    pub fn lim(&mut self, client: &Client, windowed: bool) -> Lim {
        let every = windowed || self.rng.chance(if client.read.is_some() { 10 } else { 25 });
        let view = if client.mid_latest() || !every { View::Latest } else { View::Every };
        let view = match &client.read {
            Some(read) if self.rng.chance(80) => read.view,
            _ => view,
        };
        Lim {
            entries: self.rng.pick(&[1, 2, 5, 50, 1000]),
            bytes: self.rng.pick(&[0, 40, 300, 1 << 20, 1 << 20, 1 << 20]),
            scan: self.rng.pick(&[1, 3, 100_000, 100_000, 100_000, 100_000]),
            view,
            payloads: self.rng.chance(80),
        }
    }

    fn windowed(&self, at: usize, name: &Bytes) -> bool {
        self.stores[at].oracle.datasets.get(name).is_some_and(|dataset| dataset.windowed())
    }

    fn page(&mut self, at: usize) {
        let which = self.rng.index(self.stores[at].clients.len());
        let client = self.stores[at].clients[which].clone();
        let windowed = self.windowed(at, &client.dataset) && self.rng.chance(95);
        let lim = self.lim(&client, windowed);
        self.note(format!("s{at} client {which} of {:?} at {}: {lim:?}", client.dataset, client.position));
        self.stores[at].page(which, lim, &mut self.seen);
    }

    fn page_many(&mut self, at: usize) {
        let (mut which, mut taken) = (Vec::new(), Vec::new());
        for (index, client) in self.stores[at].clients.iter().enumerate() {
            let mid_every = client.read.as_ref().is_some_and(|read| read.view == View::Every);
            if !taken.contains(&client.dataset) && !mid_every {
                taken.push(client.dataset.clone());
                which.push(index);
            }
        }
        if which.is_empty() {
            return;
        }
        let (entries, bytes) = (self.rng.pick(&[1, 3, 1000]), self.rng.pick(&[0, 200, 1 << 20, 1 << 20]));
        let lim = Lim { entries, bytes, scan: 100_000, view: View::Latest, payloads: true };
        let first = self.rng.index(which.len());
        self.note(format!("s{at} changes_many {which:?} from {first}: {lim:?}"));
        self.stores[at].page_many(&which, first, lim, &mut self.seen);
    }

    fn reads(&mut self, at: usize) {
        let name = self.name();
        self.note(format!("s{at} point reads of {name:?}"));
        let store = &mut self.stores[at];
        store.barrier();
        store.check_reads(&name, &mut self.rng);
        store.check_stat(&name, false);
        store.check_promised_past(&name);
    }

    fn seal(&mut self, at: usize) {
        self.note(format!("s{at} seal"));
        let store = &mut self.stores[at];
        let before = store.engine.metrics().seals;
        store.engine.seal().expect("a seal");
        self.seen.seal |= store.engine.metrics().seals > before;
        store.barrier();
        if !self.setup.background {
            for name in &self.names {
                store.check_stat(name, true);
            }
        }
    }

    fn pass_time(&mut self) {
        let ms = self.rng.pick(&[1, 10, 500, 3_000, 20_000]);
        self.note(format!("{ms} ms pass"));
        self.setup.clock.advance(ms);
        if self.rng.chance(10) {
            let back = self.rng.within(1, 2_000);
            self.note(format!("the wall clock is set back by {back} ms"));
            self.setup.clock.set_wall(self.setup.clock.wall() - back);
            self.stores.iter_mut().for_each(|store| store.oracle.set_back = true);
        }
        for store in &mut self.stores {
            store.oracle.max_wall = store.oracle.max_wall.max(self.setup.clock.wall());
        }
    }

    /// A cap: none, or tight.
    fn cap(&mut self) -> Cap {
        let rng = &mut self.rng;
        Cap {
            entries: rng.chance(50).then(|| rng.pick(&[0, 1, 3, 10])),
            bytes: rng.chance(15).then(|| rng.pick(&[0, 100, 1000])),
            age_ms: rng.chance(15).then(|| rng.pick(&[0, 100, 5_000])),
        }
    }

    pub fn retention(&mut self) -> Retention {
        Retention { keep: Keep::Live, history: self.cap(), tombstones: self.cap() }
    }
}

fn setup(rng: &mut Rng) -> Setup {
    let clock = ManualClock::at(NOON);
    let keys = if rng.chance(25) { SyncKeys::Timestamp } else { SyncKeys::Counter };
    let background = rng.chance(12);
    let grace = Duration::from_millis(rng.pick(&[0, 0, 0, 400]));
    let options: Options = small()
        .sync_keys(keys)
        .background_compaction(background)
        .grace(grace, 1 << 30)
        .sync_interval(Duration::from_millis(2))
        .chunk_bytes(rng.pick(&[64, 256, 256, 2048]))
        .clock(clock.clone());
    Setup { clock, options, keys, background, grace }
}

/// The retention of datasets that have none of their own.
fn first_retention(rng: &mut Rng) -> Retention {
    let mut retention = Retention::unlimited();
    if rng.chance(70) {
        retention.history.entries = Some(rng.pick(&[0, 1, 2, 8]));
    }
    if rng.chance(60) {
        retention.tombstones.entries = Some(rng.pick(&[0, 0, 1, 4]));
    }
    retention
}
