//! Everything but `changes`: point reads, lists and figures, held against the model.

use std::collections::BTreeSet;

use bytes::Bytes;
use tidelog::{Cursor, DatasetStat, Entry, Keep, Limits, Op, StaleReason, View};

use super::client::{Client, Entrance};
use super::oracle::{Dataset, Floors, Rec};
use super::store::Store;
use crate::support::{Rng, stale_reason};

impl Store {
    /// Compares point reads and lists of one dataset. Everything acknowledged is visible.
    pub fn check_reads(&mut self, dataset: &Bytes, rng: &mut Rng) {
        if self.look(dataset).is_none() {
            return;
        }
        self.check_gets(dataset, rng);
        self.check_history(dataset, rng);
        self.check_entities(dataset, rng);
        self.check_recent(dataset, rng);
        self.check_names(rng);
    }

    fn some_entities(&self, dataset: &Bytes, rng: &mut Rng) -> Vec<Bytes> {
        let known: Vec<&Bytes> = self.oracle.datasets[dataset].newest.keys().collect();
        let mut some = vec![Bytes::from_static(b"never written")];
        for _ in 0..3.min(known.len()) {
            some.push(rng.pick(&known).clone());
        }
        some
    }

    fn check_gets(&mut self, dataset: &Bytes, rng: &mut Rng) {
        let entities = self.some_entities(dataset, rng);
        for entity in &entities {
            let got = self.engine.get(dataset, entity).expect("get");
            self.check_get(dataset, entity, got.as_ref());
        }
        let slices: Vec<&[u8]> = entities.iter().map(Bytes::as_ref).collect();
        let (got, cursor) = self.engine.get_many(dataset, &slices).expect("get_many");
        assert_eq!(got.len(), entities.len(), "one answer each");
        for (entity, got) in entities.iter().zip(&got) {
            self.check_get(dataset, entity, got.as_ref());
        }
        let position = cursor.position().expect("a cursor of a moment").get();
        let model = &self.oracle.datasets[dataset];
        assert!(position >= model.head(), "the cursor of get_many lies before the head");
        // The rest of the state came along: from here on it is a client like any other.
        if !model.windowed() && self.clients.len() < 12 {
            let mut client = Client::at(dataset.clone(), cursor, Entrance::Key, position, model);
            client.minted = model.first.map(|first| (self.lineage, first));
            self.clients.push(client);
        }
    }

    fn check_get(&self, dataset: &Bytes, entity: &Bytes, got: Option<&Entry>) {
        let model = &self.oracle.datasets[dataset];
        let want = model.find(entity).filter(|rec| rec.op != Op::Delete);
        if model.windowed() && self.setup.background {
            // The floor may move at any moment: what is there must be right.
            if let Some(entry) = got {
                model.rec(entry.key.get()).expect("a committed key").check(entry, true);
            }
            return;
        }
        match (want, got) {
            (None, None) => {}
            (Some(rec), Some(entry)) => {
                rec.check(entry, true);
                assert!(model.windowed() || entry.new == rec.begins, "`new` of {} by get", rec.key);
            }
            (want, got) => panic!("get {entity:?}: expected {want:?}, got {got:?}"),
        }
    }

    fn check_history(&mut self, dataset: &Bytes, rng: &mut Rng) {
        for entity in self.some_entities(dataset, rng) {
            let limit = rng.pick(&[1, 2, 1000]);
            let got = self.engine.history(dataset, &entity, limit).expect("history");
            self.look(dataset);
            let model = &self.oracle.datasets[dataset];
            assert!(got.len() <= limit, "{} entries of history, {limit} allowed", got.len());
            assert!(got.is_sorted_by_key(|entry| entry.key), "history, oldest first");
            for entry in &got {
                let rec = model.rec(entry.key.get()).expect("a committed key");
                assert_eq!(rec.entity, entity, "history of another entity");
                rec.check(entry, true);
                let unsaid = model.windowed() || rec.op == Op::Delete;
                assert!(unsaid || entry.new == rec.begins, "`new` of {} by history", rec.key);
            }
            let due = model.recs.iter().filter(|rec| rec.entity == entity && model.must_hold(rec, model.floors));
            let keys: BTreeSet<u64> = got.iter().map(|entry| entry.key.get()).collect();
            for rec in due.filter(|rec| !keys.contains(&rec.key)) {
                let cut = got.len() == limit && keys.first().is_some_and(|oldest| *oldest > rec.key);
                assert!(cut, "history of {entity:?} lacks key {} ({:?})", rec.key, model.floors);
            }
        }
    }

    fn check_entities(&mut self, dataset: &Bytes, rng: &mut Rng) {
        let limit = rng.pick(&[1, 3, 1000]);
        let (mut got, mut after): (Vec<(Bytes, u64)>, Option<Bytes>) = (Vec::new(), None);
        loop {
            let rows = self.engine.entities(dataset, after.as_deref(), limit).expect("entities");
            assert!(rows.len() <= limit, "{} rows, {limit} allowed", rows.len());
            let Some(row) = rows.last() else { break };
            after = Some(row.entity.clone());
            got.extend(rows.into_iter().map(|row| (row.entity, row.key.get())));
        }
        let model = &self.oracle.datasets[dataset];
        if model.windowed() {
            assert!(got.is_sorted(), "entities in id order");
            return;
        }
        let want: Vec<(Bytes, u64)> =
            model.state_at(u64::MAX).into_iter().map(|(entity, rec)| (entity.clone(), rec.key)).collect();
        assert_eq!(got, want, "live entities, in id order");
    }

    fn check_recent(&mut self, dataset: &Bytes, rng: &mut Rng) {
        let (view, limit) = (rng.pick(&[View::Every, View::Latest]), rng.pick(&[1, 4, 1000]));
        let view = if self.oracle.datasets[dataset].windowed() { View::Every } else { view };
        let head = self.oracle.datasets[dataset].head();
        let before = rng.chance(50).then(|| rng.within(1, head + 1));
        let limits = Limits::entries(limit).view(view);
        let got = self.engine.recent(dataset, before.map(Into::into), limits).expect("recent");
        self.look(dataset);
        let model = &self.oracle.datasets[dataset];
        assert!(got.len() <= limit, "{} recent entries, {limit} allowed", got.len());
        let mut last = before.unwrap_or(u64::MAX);
        for entry in &got {
            assert!(entry.key.get() < last, "recent: {} after {last}", entry.key);
            last = entry.key.get();
            model.rec(last).expect("a committed key").check(entry, true);
        }
        let due = |rec: &&Rec| {
            let shown = view == View::Every || (rec.next.is_none() && rec.op != Op::Delete);
            shown && before.is_none_or(|before| rec.key < before) && model.must_hold(rec, model.floors)
        };
        let keys: BTreeSet<u64> = got.iter().map(|entry| entry.key.get()).collect();
        for rec in model.recs.iter().filter(due).filter(|rec| !keys.contains(&rec.key)) {
            assert!(got.len() == limit && last > rec.key, "recent lacks key {} ({:?})", rec.key, model.floors);
        }
    }

    fn check_names(&self, rng: &mut Rng) {
        let (prefix, limit) = (rng.pick(&["", "d", "d1", "no such"]), rng.pick(&[1, 2, 1000]));
        let (mut got, mut after): (Vec<Bytes>, Option<Bytes>) = (Vec::new(), None);
        loop {
            let page = self.engine.datasets(prefix, after.as_deref(), limit).expect("datasets");
            assert!(page.names.len() <= limit, "{} names, {limit} allowed", page.names.len());
            after = page.names.last().cloned();
            got.extend(page.names);
            if !page.more {
                break;
            }
            assert!(after.is_some(), "no names, but more");
        }
        let want: Vec<&Bytes> =
            self.oracle.datasets.keys().filter(|name| name.starts_with(prefix.as_bytes())).collect();
        assert_eq!(got.iter().collect::<Vec<_>>(), want, "datasets that begin with '{prefix}'");
        let stat = self.engine.store_stat().expect("store_stat");
        assert_eq!(stat.datasets, self.oracle.datasets.len() as u64, "how many datasets");
        assert!(stat.visible.get() >= self.oracle.last_key, "visible");
        assert_eq!(stat.lineage, self.lineage, "the lineage changed without a cause");
    }

    /// The figures of a dataset; exact where nothing waits to be sealed.
    pub fn check_stat(&mut self, dataset: &Bytes, sealed: bool) {
        let Some(stat) = self.look(dataset) else { return };
        let model = &self.oracle.datasets[dataset];
        assert_eq!(stat.head.get(), model.head(), "head");
        assert_eq!(stat.time_ms, model.recs.last().map_or(0, |rec| rec.time_ms), "the time of the newest commit");
        check_counts(model, &stat, sealed);
    }

    /// State as of the floor, and every entry after it: the whole past that is promised, exactly.
    pub fn check_promised_past(&mut self, dataset: &Bytes) {
        if self.look(dataset).is_none() {
            return;
        }
        let model = &self.oracle.datasets[dataset];
        let floor = model.floors.history;
        let (mut cursor, mut got) = (Cursor::after(floor.into()), Vec::new());
        loop {
            let page = match self.engine.changes(dataset, &cursor, Limits::entries(7).view(View::Every)) {
                Err(error) if self.setup.background => {
                    let reason = stale_reason::<()>(Err(error));
                    assert!(matches!(reason, StaleReason::HistoryTrimmed | StaleReason::Trimmed), "{reason:?}");
                    return;
                }
                page => page.expect("every entry above the history floor"),
            };
            got.extend(page.entries.iter().map(|entry| entry.key.get()));
            cursor = page.next;
            if !page.more {
                break;
            }
        }
        let want: Vec<u64> = model.above(floor, u64::MAX).iter().map(|rec| rec.key).collect();
        assert_eq!(got, want, "every entry above the history floor {floor}");
    }
}

fn check_counts(model: &Dataset, stat: &DatasetStat, sealed: bool) {
    let floors = Floors { history: stat.history_floor.get(), floor: stat.floor.get() };
    let held: Vec<&Rec> = model.recs.iter().filter(|rec| model.must_hold(rec, floors)).collect();
    let total: u64 = model.recs.iter().map(Rec::bytes).sum();
    assert!(stat.entries <= model.recs.len() as u64, "more entries than were ever written");
    let keys: Vec<u64> = held.iter().map(|rec| rec.key).collect();
    assert!(stat.entries >= keys.len() as u64, "{stat:?}, but these must be there: {keys:?}");
    assert!(stat.bytes <= total, "more bytes than were ever written");
    assert!(stat.bytes >= held.iter().map(|rec| rec.bytes()).sum(), "fewer bytes than must be there");
    if !sealed || model.retention.keep == Keep::Window {
        return;
    }
    let live = model.state_at(u64::MAX).len() as u64;
    let tombstones = |rec: &&&Rec| rec.next.is_none() && rec.op == Op::Delete;
    let least = held.iter().filter(tombstones).count() as u64;
    let most = model.recs.iter().filter(|rec| tombstones(&rec)).count() as u64;
    assert!((least..=most).contains(&stat.tombstones), "{} tombstones, not {least}..={most}", stat.tombstones);
    assert_eq!(stat.entries, live + stat.tombstones + stat.superseded, "live, deleted or superseded");
}
