use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidelog::client::Client;
use tidelog::{Batch, Commit, SyncKey};

use super::state::{Dataset, State};

/// Every change that was acknowledged, by its key.
#[derive(Default)]
pub struct Ledger {
    changes: Mutex<BTreeMap<SyncKey, Change>>,
    repeated: AtomicU64,
}

#[derive(Debug, Clone, PartialEq)]
struct Change {
    dataset: Bytes,
    entity: Bytes,
    payload: Option<Bytes>,
}

impl Ledger {
    pub fn len(&self) -> usize {
        self.changes.lock().unwrap().len()
    }

    /// How many commits were answered as repeated: they had been done, and their answer was lost.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// The keys of a dataset's changes, in order.
    pub fn keys(&self, dataset: &str) -> Vec<SyncKey> {
        let changes = self.changes.lock().unwrap();
        changes.iter().filter(|(_, change)| change.dataset == dataset).map(|(key, _)| *key).collect()
    }

    /// What the store must hold: all that was acknowledged, in the order of the keys.
    pub fn state(&self) -> State {
        let mut state = State::new();
        for change in self.changes.lock().unwrap().values() {
            let entities = state.entry(change.dataset.clone()).or_default();
            match &change.payload {
                Some(payload) => entities.insert(change.entity.clone(), payload.clone()),
                None => entities.remove(&change.entity),
            };
        }
        // An export has no dataset without live entities.
        state.retain(|_, entities| !entities.is_empty());
        state
    }

    pub fn dataset(&self, dataset: &str) -> Dataset {
        self.state().remove(dataset.as_bytes()).unwrap_or_default()
    }

    fn note(&self, commit: &Commit, changes: Vec<Change>) {
        self.repeated.fetch_add(u64::from(commit.repeated), Ordering::Relaxed);
        let mut noted = self.changes.lock().unwrap();
        let keys = commit.first.get()..=commit.last.get();
        assert_eq!(keys.clone().count(), changes.len(), "a key for each change: {commit:?}");
        for (key, change) in keys.zip(changes) {
            let before = noted.insert(SyncKey::new(key), change);
            assert_eq!(before, None, "key {key} was given out twice");
        }
    }
}

/// Writes under idempotency ids of its own, and notes what was acknowledged.
pub struct Writer<'a> {
    client: Client,
    ledger: &'a Ledger,
    name: String,
    commits: u64,
    batch: Batch,
    changes: Vec<Change>,
}

impl<'a> Writer<'a> {
    pub fn new(client: Client, ledger: &'a Ledger, name: &str) -> Writer<'a> {
        Writer { client, ledger, name: name.to_owned(), commits: 0, batch: Batch::new(), changes: Vec::new() }
    }

    pub fn put(&mut self, dataset: &str, entity: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> &mut Writer<'a> {
        let (dataset, entity) = (Bytes::from(dataset.to_owned()), Bytes::copy_from_slice(entity.as_ref()));
        let payload = Bytes::copy_from_slice(payload.as_ref());
        self.batch.put(dataset.clone(), entity.clone(), payload.clone());
        self.changes.push(Change { dataset, entity, payload: Some(payload) });
        self
    }

    pub fn delete(&mut self, dataset: &str, entity: &str) -> &mut Writer<'a> {
        let (dataset, entity) = (Bytes::from(dataset.to_owned()), Bytes::from(entity.to_owned()));
        self.batch.delete(dataset.clone(), entity.clone());
        self.changes.push(Change { dataset, entity, payload: None });
        self
    }

    /// Commits what was added since the last commit; comes back once that is acknowledged.
    pub fn commit(&mut self) -> Commit {
        self.commits += 1;
        let mut batch = std::mem::take(&mut self.batch);
        batch.idempotency_id(format!("{}-{}", self.name, self.commits));
        let commit = self.client.commit(&batch).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        self.ledger.note(&commit, std::mem::take(&mut self.changes));
        commit
    }
}
