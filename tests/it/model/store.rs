//! One store under test beside its model: writing, paging, and judging what comes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidelog::{
    Commit, Cursor, DatasetChanges, DatasetStat, Durability, Engine, Error, Keep, Page, Receipt, Result, SyncKeys, View,
};

use super::client::{Around, Client, Lim, Span};
use super::consume::Consuming;
use super::coverage::Seen;
use super::oracle::{Current, Dataset, Floors, Oracle, Verdict};
use super::plan::Plan;
use crate::support::{ManualClock, PATIENCE};

/// What a case chose for all its stores.
#[derive(Clone)]
pub struct Setup {
    pub clock: Arc<ManualClock>,
    pub options: tidelog::Options,
    pub keys: SyncKeys,
    pub background: bool,
    pub grace: Duration,
}

pub struct Store {
    pub setup: Setup,
    pub engine: Engine,
    pub dir: std::path::PathBuf,
    pub oracle: Oracle,
    pub clients: Vec<Client>,
    pub consumers: Vec<Consuming>,
    pub lineage: u64,
}

impl Store {
    pub fn open(setup: &Setup, dir: std::path::PathBuf, oracle: Oracle, clients: Vec<Client>) -> Store {
        let engine = Engine::open(&dir, setup.options.clone()).expect("the store opens");
        let lineage = engine.store_stat().expect("store_stat").lineage;
        Store { setup: setup.clone(), engine, dir, oracle, clients, consumers: Vec::new(), lineage }
    }

    /// Commits a batch and holds the outcome against the model.
    pub fn commit(&mut self, plan: &Plan, durability: Durability, seen: &mut Seen) {
        let verdict = self.oracle.verdict(plan);
        let result = self.engine.append_with(plan.batch(), durability);
        self.settle(plan, verdict, result, seen);
    }

    fn settle(&mut self, plan: &Plan, verdict: Verdict, result: Result<Commit>, seen: &mut Seen) {
        match (verdict, result) {
            (Verdict::Written, Ok(commit)) => self.written(plan, commit, seen),
            (Verdict::Repeated(first), Ok(commit)) => {
                assert!(commit.repeated, "an idempotent repeat was written again at {}", commit.first);
                let keys = (commit.first, commit.last, commit.time_ms);
                assert_eq!(keys, (first.first, first.last, first.time_ms), "the first commit's keys");
                seen.repeated = true;
            }
            (Verdict::Mismatch(first), Err(Error::IdempotencyMismatch { id, first: got })) => {
                assert_eq!((Some(Bytes::from(id)), got), (plan.id.clone(), first));
            }
            (Verdict::Refused { conflicts, .. }, Err(Error::Conflict { dataset, entity, current })) => {
                let here = conflicts.iter().find(|(d, e, _)| *d == dataset && *e == entity);
                let (_, _, want) = here.unwrap_or_else(|| panic!("the expectation on {entity:?} of {dataset:?} holds"));
                assert!(*want == Current::InBatch || *want == Current::Key(current), "{want:?}, not {current:?}");
                seen.conflict = true;
            }
            (Verdict::Refused { unanswerable: true, .. }, Err(Error::Invalid { .. })) => {}
            (verdict, result) => panic!("expected {verdict:?}, got {result:?}"),
        }
    }

    fn written(&mut self, plan: &Plan, commit: Commit, seen: &mut Seen) {
        let wall = self.setup.clock.wall();
        let (first, last) = (commit.first.get(), commit.last.get());
        assert!(!commit.repeated, "a new commit passes for a repeat");
        let taken = self.oracle.last_key.max(self.oracle.above);
        assert!(first > taken, "key {first} was given out before, {taken} was reached");
        assert_eq!(last - first + 1, plan.changes.len() as u64, "the keys of a commit, in the order of the batch");
        assert!(commit.time_ms >= self.oracle.last_time.max(wall), "the commit time ran backwards");
        assert!(commit.time_ms <= self.oracle.max_wall, "the commit time lies in the future");
        if self.setup.keys == SyncKeys::Timestamp {
            assert!(first >= wall << 20, "key {first} does not tell the time {wall}");
        }
        for change in &plan.changes {
            let known = self.oracle.datasets.get(&change.dataset);
            let newest = known.and_then(|dataset| dataset.find(&change.entity));
            seen.recreated_entity |=
                newest.is_some_and(|rec| rec.op == tidelog::Op::Delete) && change.kind != super::plan::Kind::Delete;
        }
        self.oracle.apply(plan, commit);
        if plan.changes.iter().any(|change| self.oracle.datasets[&change.dataset].first.is_none()) {
            self.meet(plan);
        }
    }

    /// Waits for a new dataset to be visible, and asks for its beginning.
    fn meet(&mut self, plan: &Plan) {
        let datasets: BTreeSet<&Bytes> = plan.changes.iter().map(|change| &change.dataset).collect();
        for dataset in datasets {
            self.await_head(dataset);
            self.look(dataset).expect("a dataset that was written to");
        }
    }

    fn await_head(&self, dataset: &Bytes) {
        let head = self.oracle.datasets[dataset].head();
        let mut watch = self.engine.watch(&[(dataset.as_ref(), (head - 1).into())]).expect("a watcher");
        assert!(watch.wait(PATIENCE), "a commit at {head} never became visible");
    }

    /// Hands several batches in before it waits for any. None of them expects anything.
    pub fn commit_together(&mut self, plans: &[(Plan, Durability)], seen: &mut Seen) {
        let submit = |(plan, durability): &(Plan, Durability)| self.engine.submit(plan.batch(), *durability);
        let receipts: Vec<Result<Receipt>> = plans.iter().map(submit).collect();
        let mut commits = Vec::new();
        for ((plan, _), receipt) in plans.iter().zip(receipts) {
            commits.push((plan, receipt.and_then(Receipt::wait).expect("a blind batch is committed")));
        }
        commits.sort_by_key(|(_, commit)| commit.first);
        for (plan, commit) in commits {
            self.written(plan, commit, seen);
        }
    }

    /// Returns when everything acknowledged is visible.
    pub fn barrier(&self) {
        let behind = |dataset: &&Bytes| self.oracle.datasets[*dataset].head() > self.engine.visible().get();
        self.oracle.datasets.keys().filter(behind).for_each(|dataset| self.await_head(dataset));
        assert!(self.engine.visible().get() >= self.oracle.last_key, "visible lies before the last key");
    }

    /// Asks for a dataset's floors and checks the rest of the answer.
    pub fn look(&mut self, dataset: &Bytes) -> Option<DatasetStat> {
        let stat = match self.engine.stat(dataset) {
            Ok(stat) => stat,
            Err(Error::DatasetNotFound { dataset: named }) => {
                assert_eq!(named, dataset.as_ref());
                assert!(!self.oracle.datasets.contains_key(dataset), "dataset {dataset:?} is not found");
                return None;
            }
            Err(error) => panic!("stat: {error:?}"),
        };
        let model = self.oracle.datasets.get_mut(dataset).unwrap_or_else(|| panic!("{dataset:?} was deleted"));
        let first = *model.first.get_or_insert(stat.first.get());
        assert_eq!(stat.first.get(), first, "the beginning of an incarnation moved");
        assert!(first > model.after, "an incarnation began at {first}, at or below older keys");
        assert!(model.recs.first().is_none_or(|rec| rec.key >= first), "an entry before its incarnation");
        assert_eq!(stat.retention, model.retention, "retention");
        let floors = Floors { history: stat.history_floor.get(), floor: stat.floor.get() };
        assert!(floors.floor <= floors.history, "{floors:?}: the floor is above the history floor");
        assert!(floors.floor >= model.floors.floor, "the floor fell: {floors:?} after {:?}", model.floors);
        assert!(floors.history >= model.floors.history, "the history floor fell: {floors:?} after {:?}", model.floors);
        check_floors(model, floors);
        model.floors = floors;
        Some(stat)
    }

    pub fn around(&mut self, dataset: &Bytes) -> Option<Around> {
        let before = self.look(dataset).map(|_| self.oracle.datasets[dataset].floors)?;
        let visible = self.engine.visible().get();
        Some(Around { before, after: before, visible: Span { low: visible, high: visible }, lineage: self.lineage })
    }

    fn around_end(&mut self, dataset: &Bytes, around: &mut Around) {
        around.visible.high = self.engine.visible().get();
        self.look(dataset);
        around.after = self.oracle.datasets[dataset].floors;
    }

    /// The next page of one client; whether there is more to read.
    pub fn page(&mut self, at: usize, lim: Lim, seen: &mut Seen) -> bool {
        let (dataset, cursor) = (self.clients[at].dataset.clone(), self.clients[at].cursor);
        let Some(mut around) = self.around(&dataset) else {
            let result = self.engine.changes(&dataset, &cursor, lim.limits());
            assert!(matches!(result, Err(Error::DatasetNotFound { .. })), "no dataset, but {result:?}");
            self.clients[at].reset();
            return false;
        };
        let result = self.engine.changes(&dataset, &cursor, lim.limits());
        self.around_end(&dataset, &mut around);
        self.answer(at, lim, around, result, seen)
    }

    fn answer(&mut self, at: usize, lim: Lim, around: Around, result: Result<Page>, seen: &mut Seen) -> bool {
        let client = &mut self.clients[at];
        let model = &self.oracle.datasets[&client.dataset];
        let (must, may) = client.stale(lim.view, &self.oracle, model, &around);
        match result {
            Ok(page) => {
                assert!(!must, "a cursor at {} was served, though it is stale: {may:?}, {around:?}", client.position);
                assert!(lim.view == View::Every || !model.windowed(), "the latest view of a capped log");
                client.take(&page, lim, model, &around, seen);
                page.more
            }
            Err(Error::Stale(stale)) => {
                let known = (client.position, &client.read, client.minted);
                assert!(may.contains(&stale.reason), "{stale:?} for {known:?}, allowed {may:?}, {around:?}");
                assert_eq!(stale.dataset, client.dataset, "the dataset of a stale cursor");
                seen.stale(stale.reason);
                client.reset();
                false
            }
            Err(Error::Invalid { .. }) if model.windowed() && lim.view == View::Latest => {
                client.reset();
                false
            }
            Err(error) => panic!("a page for the client at {}: {error:?}", client.position),
        }
    }

    /// One page over several clients of different datasets.
    pub fn page_many(&mut self, which: &[usize], first: usize, lim: Lim, seen: &mut Seen) {
        let names: Vec<Bytes> = which.iter().map(|at| self.clients[*at].dataset.clone()).collect();
        let request: Vec<(&[u8], Cursor)> =
            which.iter().zip(&names).map(|(at, name)| (name.as_ref(), self.clients[*at].cursor)).collect();
        let arounds: Vec<Option<Around>> = names.iter().map(|name| self.around(name)).collect();
        let many = self.engine.changes_many(&request, first, lim.limits()).expect("changes_many");
        assert_eq!(many.datasets.len(), which.len(), "one answer each");
        assert!(many.next_index < which.len(), "next_index {} of {}", many.next_index, which.len());
        let (mut entries, mut bytes, mut more, mut failed) = (0, 0, false, false);
        for (((at, name), around), answer) in which.iter().zip(&names).zip(arounds).zip(many.datasets) {
            let result = match answer {
                DatasetChanges::NotReached => {
                    more = true;
                    continue;
                }
                DatasetChanges::Page(page) => Ok(page),
                DatasetChanges::Failed(error) => Err(error),
                other => panic!("an answer that this test does not know: {other:?}"),
            };
            let Some(mut around) = around else {
                assert!(matches!(result, Err(Error::DatasetNotFound { .. })), "no dataset, but {result:?}");
                self.clients[*at].reset();
                failed = true;
                continue;
            };
            self.around_end(name, &mut around);
            let (low, high) = (around.visible.low, around.visible.high);
            let visible = many.visible.get();
            assert!((low..=high).contains(&visible), "visible {visible} is not within {low}..={high}");
            if let Ok(page) = &result {
                entries += page.entries.len();
                bytes += page.entries.iter().map(|entry| lim.weight(entry)).sum::<usize>();
                more |= page.more;
            }
            failed |= result.is_err();
            self.answer(*at, lim, around, result, seen);
        }
        assert!(entries <= lim.entries, "{entries} entries, {} allowed for all", lim.entries);
        assert!(bytes <= lim.bytes || entries <= 1, "{bytes} bytes, {} allowed for all", lim.bytes);
        assert!(many.more == more, "`more` is {}, the parts say {more}", many.more);
        assert!(entries > 0 || !more || failed, "nothing delivered, but more to read");
    }
}

/// A floor names something that went, and nothing beyond it.
fn check_floors(model: &Dataset, floors: Floors) {
    for floor in [floors.history, floors.floor].into_iter().filter(|floor| *floor > 0) {
        let rec = model.rec(floor).unwrap_or_else(|| panic!("a floor at {floor}, where no entry ever was"));
        if model.retention.keep == Keep::Live {
            let cause = if floor == floors.floor { false } else { rec.prev.is_some() };
            assert!(cause || rec.op == tidelog::Op::Delete, "a floor at {floor}, which cost nothing");
        }
    }
}
