//! What happens to a store besides reading and writing: compaction, retention, closing, copying.

use bytes::Bytes;
use tidelog::{Engine, Error, Keep, Retention, SyncKey, restore, verify};

use super::case::Case;
use super::client::{Client, Entrance, Lim};
use super::oracle::{Dataset, Floors, Oracle};
use super::store::Store;

impl Case {
    pub fn compact(&mut self, at: usize) {
        let one = self.rng.chance(60).then(|| self.name());
        self.note(format!("s{at} compact {one:?}"));
        let names = one.clone().map_or_else(|| self.names.clone(), |name| vec![name]);
        let store = &mut self.stores[at];
        store.barrier();
        let before: Vec<Option<Floors>> =
            names.iter().map(|name| store.look(name).map(|_| floors(store, name))).collect();
        let report = match store.engine.compact(one.as_deref()) {
            Err(Error::DatasetNotFound { .. }) if one.is_some() && before == [None] => return,
            report => report.expect("a compaction"),
        };
        let dropped = report.superseded_dropped + report.tombstones_dropped;
        self.seen.dropped |= dropped > 0;
        self.seen.window_dropped |= report.window_dropped > 0;
        for (name, before) in names.iter().zip(before) {
            let Some(before) = before else { continue };
            store.check_stat(name, !self.setup.background);
            if self.setup.background {
                continue;
            }
            let after = floors(store, name);
            let unmoved = dropped + report.window_dropped > 0 || before == after;
            assert!(unmoved, "{name:?}: nothing was dropped, but {before:?} became {after:?}");
            let leased = store.oracle.leased.contains(name);
            let wall = self.setup.clock.wall();
            if self.setup.grace.is_zero() && !leased && wall == store.oracle.max_wall {
                check_caps(&store.oracle.datasets[name], name, wall);
            } else if !self.setup.grace.is_zero() && !store.oracle.set_back {
                let grace = self.setup.grace.as_millis() as u64;
                check_grace(&store.oracle.datasets[name], before, grace, store.oracle.max_wall);
            }
        }
    }

    pub fn set_retention(&mut self, at: usize, name: &Bytes, retention: Retention) {
        self.note(format!("s{at} retention of {name:?}: {retention:?}"));
        let store = &mut self.stores[at];
        store.engine.set_retention(name, retention).expect("a retention");
        store.oracle.dataset(name).retention = retention;
        assert_eq!(store.engine.retention(name).expect("a retention"), retention);
        store.look(name);
    }

    pub fn change_retention(&mut self, at: usize) {
        let name = self.name();
        let model = self.stores[at].oracle.datasets.get(&name);
        let keep = model.map_or(Keep::Live, |model| model.retention.keep);
        let retention = Retention { keep, ..self.retention() };
        self.set_retention(at, &name, retention);
    }

    pub fn delete_dataset(&mut self, at: usize) {
        let name = self.name();
        self.note(format!("s{at} delete dataset {name:?}"));
        let store = &mut self.stores[at];
        let result = store.engine.delete_dataset(&name);
        if store.oracle.datasets.remove(&name).is_none() {
            assert!(matches!(result, Err(Error::DatasetNotFound { .. })), "{result:?}");
            return;
        }
        result.expect("a dataset is deleted");
        // A way in that was not taken yet would lead into another incarnation.
        let waiting = |client: &&mut Client| client.dataset == name && client.entrance != Entrance::Key;
        store.clients.iter_mut().filter(waiting).for_each(Client::reset);
        store.oracle.leased.remove(&name);
        store.oracle.acked.retain(|(_, dataset), _| *dataset != name);
        assert!(matches!(store.engine.stat(&name), Err(Error::DatasetNotFound { .. })));
    }

    pub fn reopen(&mut self, at: usize) {
        self.note(format!("s{at} close and open"));
        let store = self.stores.remove(at);
        store.engine.close().expect("a clean close");
        assert!(matches!(store.engine.seal(), Err(Error::Closed)));
        let Store { engine, dir, oracle, clients, consumers, lineage, .. } = store;
        drop(engine);
        if self.rng.chance(30) {
            self.check_verify(&dir);
        }
        let mut store = Store::open(&self.setup, dir, oracle, clients);
        store.consumers = consumers;
        assert_eq!(store.lineage, lineage, "a clean reopen began a new lineage");
        assert!(store.engine.visible().get() >= store.oracle.last_key, "a clean close lost commits");
        self.stores.insert(at, store);
        self.seen.reopen = true;
    }

    fn check_verify(&mut self, dir: &std::path::Path) {
        self.note("verify");
        let report = verify(dir, &self.setup.options, &mut |_, _| {}).expect("a verification");
        assert!(report.findings.is_empty(), "a good store: {:#?}", report.findings);
        self.seen.verified = true;
    }

    /// A backup, more work on the original, and a restored copy that goes on beside it.
    pub fn copy(&mut self, at: usize) {
        if self.stores.len() > 1 {
            let other = self.stores.remove(1 - at);
            self.note(format!("s{} is closed for good", 1 - at));
            other.engine.close().expect("a clean close");
        }
        self.copies += 1;
        let backup = self.dir.path().join(format!("backup-{}", self.copies));
        let dest = self.dir.path().join(format!("store-{}", self.copies));
        self.note(format!("backup, then restore into store-{}", self.copies));
        let store = &mut self.stores[0];
        store.barrier();
        let report = store.engine.backup(&backup).expect("a backup");
        let visible = report.visible.get();
        assert_eq!(report.visible, store.engine.visible(), "a backup is complete up to what is visible");
        let oracle: Oracle = store.oracle.shared(visible, store.lineage);
        for _ in 0..self.rng.below(6) {
            let plan = self.blind(0);
            self.note(format!("s0 append {}", plan.text()));
            self.stores[0].commit(&plan, tidelog::Durability::Synced, &mut self.seen);
            let which = self.rng.index(self.stores[0].clients.len());
            let lim = self.lim(&self.stores[0].clients[which].clone(), false);
            self.note(format!("s0 client {which}: {lim:?}"));
            self.stores[0].page(which, lim, &mut self.seen);
        }
        restore(&backup, &dest, &self.setup.options).expect("a restore");
        // Likewise only what the original made, or what lies within the backup, leads into the copy.
        let known = |client: &&Client| client.minted.is_some() || client.position <= visible;
        let mut clients: Vec<Client> = self.stores[0].clients.iter().filter(known).cloned().collect();
        clients.push(Client::new(self.name()));
        let mut copy = Store::open(&self.setup, dest, oracle, clients);
        assert_ne!(copy.lineage, self.stores[0].lineage, "a restore begins a new lineage");
        assert_eq!(copy.engine.visible(), SyncKey::new(visible), "a restored store holds the backup, no more");
        if self.setup.keys == tidelog::SyncKeys::Counter {
            copy.oracle.above = self.stores[0].oracle.last_key;
        }
        self.seen.restored = true;
        self.stores.push(copy);
    }

    /// Everyone reads to the end; everything is compared; the store is closed and verified.
    pub fn finish(&mut self, at: usize) {
        self.note(format!("s{at} finish"));
        let store = &mut self.stores[at];
        store.barrier();
        let lim = Lim { entries: 13, bytes: 1 << 20, scan: 100_000, view: tidelog::View::Latest, payloads: true };
        for which in 0..store.clients.len() {
            let windowed = |store: &Store| {
                let name = &store.clients[which].dataset;
                store.oracle.datasets.get(name).is_some_and(Dataset::windowed)
            };
            let view = if windowed(store) { tidelog::View::Every } else { tidelog::View::Latest };
            if store.clients[which].mid_latest() && windowed(store) {
                store.clients[which].reset();
            }
            if windowed(store) && store.clients[which].entrance == Entrance::Time {
                continue;
            }
            // A stale one begins anew, once.
            while store.page(which, Lim { view, ..lim }, &mut self.seen) {}
            while store.page(which, Lim { view, ..lim }, &mut self.seen) {}
        }
        let names = self.names.clone();
        for name in &names {
            store.check_reads(name, &mut self.rng);
            store.check_promised_past(name);
        }
        store.check_consumers();
        let store = &self.stores[at];
        store.engine.close().expect("a clean close");
        if self.rng.chance(15) {
            let dir = store.dir.clone();
            self.check_verify(&dir);
        }
    }
}

fn floors(store: &Store, name: &Bytes) -> Floors {
    store.oracle.datasets[name].floors
}

/// After a compaction no cap is exceeded.
fn check_caps(model: &Dataset, name: &Bytes, now: u64) {
    let (history, tombstones, floors) = (model.retention.history, model.retention.tombstones, model.floors);
    if model.windowed() {
        let kept = model.above(floors.floor, u64::MAX);
        assert!(history.entries.is_none_or(|cap| kept.len() as u64 <= cap), "{name:?}: {} entries", kept.len());
        let old = |rec: &super::oracle::Rec| history.age_ms.is_some_and(|cap| rec.time_ms + cap < now);
        assert!(!kept.iter().any(old), "{name:?}: entries over the age cap");
        return;
    }
    let kept: Vec<_> = model.above(floors.history, u64::MAX).iter().filter(|rec| rec.supersedes).collect();
    assert!(history.entries.is_none_or(|cap| kept.len() as u64 <= cap), "{name:?}: {} superseding", kept.len());
    let old = kept.iter().any(|rec| history.age_ms.is_some_and(|cap| rec.time_ms + cap < now));
    assert!(!old, "{name:?}: superseded entries over the age cap");
    if history.entries == Some(0) {
        let above = model.above(floors.floor, u64::MAX).iter();
        let deletes: Vec<_> = above.filter(|rec| rec.op == tidelog::Op::Delete && rec.next.is_none()).collect();
        assert!(
            tombstones.entries.is_none_or(|cap| deletes.len() as u64 <= cap),
            "{name:?}: {} deletes",
            deletes.len()
        );
        let old = deletes.iter().any(|rec| tombstones.age_ms.is_some_and(|cap| rec.time_ms + cap < now));
        assert!(!old, "{name:?}: tombstones over the age cap");
    }
}

/// A floor that moved passed no entry younger than grace.
fn check_grace(model: &Dataset, before: Floors, grace: u64, now: u64) {
    for (old, new) in [(before.history, model.floors.history), (before.floor, model.floors.floor)] {
        if new > old {
            let time = model.rec(new).expect("a floor at an entry").time_ms;
            assert!(time + grace <= now, "a floor passed an entry {} ms old, {grace} are promised", now - time);
        }
    }
}

/// Closing what a failed case left open is not this test's business: dropping it is enough.
impl Drop for Case {
    fn drop(&mut self) {
        let engines: Vec<Engine> = self.stores.drain(..).map(|store| store.engine).collect();
        drop(engines);
    }
}
