//! What a recovered store owes: everything acknowledged, and of what was not acknowledged some beginning, each commit
//! whole; exact bytes; cursors that go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tidelog::testing::sim::SimDisk;
use tidelog::{Cursor, Engine, Entry, Error, Limits, Op, Options, Page, StaleReason, Vfs, View};

use super::model::{DATASETS, Dataset, History, Model, Rec, State, Work};
use super::run::{batch, one_put, options};
use super::seen::Seen;

/// A front end: it applies what it is given and keeps the cursor.
#[derive(Debug, Clone)]
pub struct Client {
    pub dataset: usize,
    /// Of the dataset that it reads.
    pub life: u64,
    pub cursor: Cursor,
    pub position: u64,
    pub state: BTreeMap<Bytes, Bytes>,
    /// Not in the middle of a read.
    pub done: bool,
}

impl Client {
    pub fn take(&mut self, page: &Page, known: &Dataset, seen: &mut Seen) {
        for entry in &page.entries {
            seen.note(DATASETS[self.dataset], entry);
            let owned = Bytes::copy_from_slice;
            match entry.payload {
                Some(payload) => drop(self.state.insert(owned(entry.entity), owned(payload))),
                None => drop(self.state.remove(entry.entity)),
            }
        }
        (self.cursor, self.position, self.done) = (page.next, page.position.get(), !page.more);
        if !page.more {
            let state: BTreeMap<Bytes, Bytes> =
                known.state_at(self.position).into_iter().map(|(entity, (_, payload))| (entity, payload)).collect();
            assert_eq!(self.state, state, "a client's state of {} at {}", DATASETS[self.dataset], self.position);
        }
    }
}

/// A backup that was made.
#[derive(Debug, Clone)]
pub struct Copy {
    pub dir: PathBuf,
    pub model: Model,
    /// Its last key.
    pub visible: u64,
}

/// What is known of a store before it is opened again.
#[derive(Debug, Clone, Default)]
pub struct Past {
    pub history: History,
    pub clients: Vec<Client>,
    pub copies: Vec<Copy>,
    pub seen: Seen,
}

/// A dataset as it reads.
struct Found {
    state: State,
    /// Everything above the history floor.
    recs: Vec<Rec>,
    floor: u64,
    history_floor: u64,
    head: u64,
    stat: tidelog::DatasetStat,
}

impl Past {
    /// Holds an open store against what is known, and takes for durable what it finds.
    pub fn check(&mut self, engine: &Engine) {
        let found = dump(engine, &mut self.seen);
        let consumers = engine.consumers(None, 100).expect("consumers");
        let consumers: BTreeMap<Vec<u8>, u64> =
            consumers.into_iter().map(|consumer| (consumer.dataset, consumer.position.get())).collect();
        let mut differences = Vec::new();
        let survived =
            (0..=self.history.pending.len()).rev().find(|count| match self.matches(*count, &found, &consumers) {
                Ok(_) => true,
                Err(difference) => {
                    differences.push(format!("with {count} of the pending: {difference}"));
                    false
                }
            });
        let Some(survived) = survived else {
            panic!("the store is not what was acknowledged and a beginning of what was not:\n{differences:#?}");
        };
        let model = self.matches(survived, &found, &consumers).expect("just compared");
        repeats(engine, &model);
        self.history = History { durable: model, pending: Vec::new() };
        self.go_on_reading(engine, &found);
        self.go_on_writing(engine);
    }

    /// Reads everything, whatever it should be: what was seen before is the same.
    pub fn saw_all(&mut self, engine: &Engine) {
        dump(engine, &mut self.seen);
    }

    /// The model after so many of the pending works, if that is what was found.
    fn matches(
        &self,
        count: usize,
        found: &BTreeMap<usize, Found>,
        consumers: &BTreeMap<Vec<u8>, u64>,
    ) -> Result<Model, String> {
        let mut model = self.history.durable.clone();
        for (work, first) in &self.history.pending[..count] {
            let first = match (work, first) {
                (_, Some(first)) => *first,
                (Work::Batch(plan), None) => learn(plan.number, found).ok_or("a batch is not there")?,
                (_, None) => 0,
            };
            if matches!(work, Work::Batch(_)) && first <= model.last_key {
                return Err(format!("key {first} was given twice"));
            }
            model.apply(work, first);
        }
        if model.datasets.keys().ne(found.keys()) {
            let names = |keys: Vec<&usize>| format!("{keys:?}");
            return Err(format!(
                "datasets {}, not {}",
                names(found.keys().collect()),
                names(model.datasets.keys().collect())
            ));
        }
        for (dataset, known) in &model.datasets {
            let acked = consumers.get(DATASETS[*dataset].as_bytes()).copied();
            same(known, &found[dataset], acked).map_err(|why| format!("{}: {why}", DATASETS[*dataset]))?;
        }
        Ok(model)
    }

    /// Every cursor that is accepted leads to the exact state, and one that is refused says why.
    fn go_on_reading(&mut self, engine: &Engine, found: &BTreeMap<usize, Found>) {
        for client in &mut self.clients {
            let name = DATASETS[client.dataset];
            let known = self.history.durable.datasets.get(&client.dataset);
            loop {
                match (engine.changes(name, &client.cursor, Limits::entries(4)), known) {
                    (Ok(page), Some(known)) => {
                        assert!(client.life == known.life || client.position == 0, "{name}: a cursor of another life");
                        assert!(
                            page.more || page.next != client.cursor || page.entries.is_empty(),
                            "it turns in circles"
                        );
                        client.life = known.life;
                        client.take(&page, known, &mut self.seen);
                        if !page.more {
                            break;
                        }
                    }
                    (Err(Error::DatasetNotFound { .. }), None) => break,
                    (Err(Error::Stale(stale)), Some(known)) => {
                        let fits = match stale.reason {
                            StaleReason::Recreated => known.life != client.life,
                            StaleReason::Trimmed => found[&client.dataset].floor > client.position,
                            _ => false,
                        };
                        assert!(
                            fits,
                            "{name}: a cursor at {} of life {} is stale: {stale}",
                            client.position, client.life
                        );
                        break;
                    }
                    (other, known) => panic!("{name}, which is there: {}: {other:?}", known.is_some()),
                }
            }
        }
    }

    /// The next key was never given out before.
    fn go_on_writing(&mut self, engine: &Engine) {
        let taken = self.seen.greatest().max(self.history.durable.last_key) + self.history.pending_keys();
        let commit = engine.append(one_put()).expect("a recovered store takes writes");
        let first = commit.first.get();
        assert!(first > taken, "key {first} may have been given out before: up to {taken}");
        let entry = engine.get("after", "entity").expect("a get").expect("it was just written");
        self.seen.note("after", &entry);
    }
}

/// An idempotency id tells what became of its batch.
fn repeats(engine: &Engine, model: &Model) {
    for (plan, first) in model.repeats.values() {
        let commit = engine.append(batch(plan)).expect("a repeat");
        assert!(commit.repeated && commit.first.get() == *first, "{plan:?} was committed at {first}: {commit:?}");
    }
}

/// The first key of a batch that nobody was told the keys of.
fn learn(number: u64, found: &BTreeMap<usize, Found>) -> Option<u64> {
    found.values().flat_map(|found| &found.recs).filter(|rec| rec.batch == number).map(|rec| rec.key).min()
}

fn same(known: &Dataset, found: &Found, acked: Option<u64>) -> Result<(), String> {
    let Found { state, recs, floor, history_floor, head, stat } = found;
    if *state != known.state_at(u64::MAX) {
        return Err(format!("the state is {state:?}, not {:?}", known.state_at(u64::MAX)));
    }
    let due: Vec<&Rec> = known.recs.iter().filter(|rec| rec.key > *history_floor).collect();
    if recs.iter().ne(due.iter().copied()) {
        return Err(format!("above {history_floor} there is {recs:?}, not {due:?}"));
    }
    if *head != known.head() || floor > history_floor || history_floor > head {
        return Err(format!("head {head}, not {}; floors {floor} and {history_floor}", known.head()));
    }
    if known.retention.is_some_and(|retention| retention != stat.retention) {
        return Err(format!("retention {:?}, not {:?}", stat.retention, known.retention));
    }
    if known.acked != acked {
        return Err(format!("acknowledged up to {acked:?}, not {:?}", known.acked));
    }
    Ok(())
}

/// Everything that can be read.
fn dump(engine: &Engine, seen: &mut Seen) -> BTreeMap<usize, Found> {
    let mut all = BTreeMap::new();
    for (index, name) in DATASETS.iter().enumerate() {
        let stat = match engine.stat(name) {
            Ok(stat) => stat,
            Err(Error::DatasetNotFound { .. }) => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        let (floor, history_floor) = (stat.floor.get(), stat.history_floor.get());
        let mut state = State::new();
        for entry in pages(engine, name, Cursor::START, View::Latest, seen) {
            match entry.payload {
                Some(payload) => drop(state.insert(entry.entity, (entry.key.get(), payload))),
                None => drop(state.remove(&entry.entity)),
            }
        }
        let from = if history_floor == 0 { Cursor::START } else { Cursor::after(stat.history_floor) };
        let recs = pages(engine, name, from, View::Every, seen).into_iter().map(rec).collect();
        for (entity, (key, payload)) in &state {
            let entry = engine.get(name, entity).expect("a get").expect("an entity of the state");
            assert_eq!((entry.key.get(), entry.payload.as_ref()), (*key, Some(payload)), "{name}: a get");
        }
        all.insert(index, Found { state, recs, floor, history_floor, head: stat.head.get(), stat });
    }
    all
}

fn rec(entry: Entry) -> Rec {
    let batch = entry.origin.as_deref().and_then(|origin| std::str::from_utf8(origin).ok()?.parse().ok());
    let payload = if entry.op == Op::Delete { Bytes::new() } else { entry.payload.expect("payloads were asked for") };
    let batch = batch.expect("every entry has an origin");
    Rec { key: entry.key.get(), op: entry.op, entity: entry.entity, payload, batch }
}

fn pages(engine: &Engine, name: &str, mut cursor: Cursor, view: View, seen: &mut Seen) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let page = engine.changes(name, &cursor, Limits::entries(7).view(view)).expect("a page");
        page.entries.iter().for_each(|entry| seen.note(name, entry));
        entries.extend(page.entries);
        cursor = page.next;
        if !page.more {
            return entries;
        }
    }
}

/// Opens what a crash left, and holds it against the past; and each backup that was made.
pub fn recover(dir: &Path, disk: &SimDisk, seed: u64, past: &mut Past) {
    let options = options(disk, seed);
    let engine = Engine::open(dir, options.clone()).expect("a crash is repaired");
    past.check(&engine);
    sound(engine, dir, disk, &options);
    for copy in past.copies.clone() {
        let dest = Path::new("/machine/restored");
        tidelog::restore(&copy.dir, dest, &options).expect("a backup that was made is whole");
        let engine = Engine::open(dest, options.clone()).expect("a restored store opens");
        let mut restored = Past { seen: past.seen.clone(), ..Past::default() };
        restored.history.durable = copy.model;
        restored.check(&engine);
        sound(engine, dest, disk, &options);
        disk.remove_dir_all(dest).expect("a directory");
    }
}

/// Seals and closes a store, and looks at it from outside: nothing is found, and nothing lies about.
pub fn sound(engine: Engine, dir: &Path, disk: &SimDisk, options: &Options) {
    engine.seal().expect("a seal");
    engine.close().expect("a clean close");
    drop(engine);
    let report = tidelog::verify(dir, options, &mut |_, _| {}).expect("a verification");
    assert!(report.findings.is_empty(), "a recovered store: {:#?}", report.findings);
    let names = |dir: &Path| {
        let names = disk.list(dir).expect("a directory");
        names.into_iter().map(|name| name.into_string().expect("a name")).collect::<Vec<_>>()
    };
    let known = ["LOCK", "ledger", "db", "log"];
    let orphan = names(dir).into_iter().find(|name| !known.contains(&name.as_str()));
    assert_eq!(orphan, None, "an orphan in the store");
    let log = names(&dir.join("log"));
    let count = |prefix: &str, suffix: &str| {
        log.iter().filter(|name| name.starts_with(prefix) && name.ends_with(suffix)).count()
    };
    let (live, spare, torn) = (count("0", ".log"), count("spare-", ""), count("torn-", ".bin"));
    assert_eq!(live + spare + torn, log.len(), "an orphan in the log: {log:?}");
    assert!(live <= 2 && spare <= 2 && torn <= 4, "too much is left in the log: {log:?}");
}
