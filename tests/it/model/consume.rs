//! Durable consumers: whatever they acknowledge and whenever, they end with the right state.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidelog::{Error, Limits, Op, StaleReason};

use super::case::Case;
use super::store::Store;

/// A consumer that applies a page and acknowledges it in one step, or loses the page before it did either.
#[derive(Debug, Clone)]
pub struct Consuming {
    name: String,
    dataset: Bytes,
    incarnation: Option<u64>,
    acked: u64,
    state: BTreeMap<Bytes, u64>,
}

impl Case {
    pub fn consume(&mut self, at: usize) {
        let name = self.name();
        if self.stores[at].oracle.datasets.get(&name).is_some_and(|model| model.windowed()) {
            return;
        }
        // A copy has the original's consumers on record; its own have other names.
        let consumer = format!("c{}-{}", self.stores[at].dir.file_name().map_or(0, |n| n.len()), self.copies);
        let known = self.stores[at].consumers.iter().position(|known| known.dataset == name);
        let which = known.unwrap_or_else(|| {
            let state = BTreeMap::new();
            let new = Consuming { name: consumer, dataset: name.clone(), incarnation: None, acked: 0, state };
            self.stores[at].consumers.push(new);
            self.stores[at].consumers.len() - 1
        });
        let (limit, lost) = (self.rng.pick(&[1, 3, 1000]), self.rng.chance(30));
        self.note(format!("s{at} consumer of {name:?} fetches {limit}, lost: {lost}"));
        self.stores[at].consume(which, limit, lost);
    }
}

impl Store {
    fn consume(&mut self, which: usize, limit: usize, lost: bool) {
        self.barrier();
        let mut consumer = self.consumers[which].clone();
        let dataset = consumer.dataset.clone();
        let known = self.look(&dataset).is_some();
        self.oracle.leased.insert(dataset.clone());
        let page = match self.engine.consumer_fetch(&consumer.name, &dataset, Limits::entries(limit)) {
            Err(Error::DatasetNotFound { .. }) if !known => {
                self.consumers.remove(which);
                return;
            }
            Err(Error::Stale(stale)) => {
                let current = self.oracle.datasets[&dataset].first;
                assert_eq!(stale.reason, StaleReason::Recreated, "a consumer with a lease: {stale:?}");
                assert_ne!(consumer.incarnation, current, "not re-created");
                self.engine.consumer_remove(&consumer.name, &dataset).expect("a consumer is removed");
                self.consumers.remove(which);
                return;
            }
            page => page.expect("a consumer with a lease"),
        };
        let model = &self.oracle.datasets[&dataset];
        if consumer.incarnation != model.first {
            consumer = Consuming { incarnation: model.first, acked: 0, state: BTreeMap::new(), ..consumer };
        }
        // The first fetch registers it: from then on retention waits for it.
        self.oracle.acked.entry((consumer.name.clone(), dataset.clone())).or_insert(0);
        if lost {
            return;
        }
        let mut last = consumer.acked;
        for entry in &page.entries {
            assert!(entry.key.get() > last, "key {} does not follow {last}", entry.key);
            last = entry.key.get();
            model.rec(last).expect("a committed key").check(entry, true);
            match entry.op {
                Op::Delete => consumer.state.remove(entry.entity),
                _ => consumer.state.insert(Bytes::copy_from_slice(entry.entity), last),
            };
        }
        let position = page.position.get();
        assert!(position >= last && (!page.more || position > consumer.acked), "the position {position}");
        if !page.more {
            let want: BTreeMap<Bytes, u64> =
                model.state_at(position).into_iter().map(|(entity, rec)| (entity.clone(), rec.key)).collect();
            assert_eq!(consumer.state, want, "a consumer's state at {position}");
        }
        let acked = self.engine.consumer_ack(&consumer.name, &dataset, page.position).expect("an acknowledgement");
        assert_eq!(acked, page.position);
        let lower = self.engine.consumer_ack(&consumer.name, &dataset, (last / 2).into());
        let below = model.first.is_some_and(|first| last / 2 < first);
        assert!(below || lower.is_ok_and(|acked| acked == page.position), "an older acknowledgement moved it back");
        consumer.acked = position;
        self.oracle.acked.insert((consumer.name.clone(), dataset), position);
        self.consumers[which] = consumer;
    }

    /// The list of consumers holds every acknowledged position.
    pub fn check_consumers(&self) {
        let list = self.engine.consumers(None, 1000).expect("consumers");
        let key = |c: &tidelog::Consumer| (c.name.clone(), c.dataset.clone());
        assert!(list.is_sorted_by_key(key), "consumers in order of name and dataset");
        for ((name, dataset), acked) in &self.oracle.acked {
            let consumer = list.iter().find(|consumer| consumer.name == *name && consumer.dataset == *dataset);
            let consumer = consumer.unwrap_or_else(|| panic!("consumer {name} of {dataset:?} is forgotten"));
            assert_eq!(consumer.position.get(), *acked, "the position of {name}");
            assert!(!consumer.evicted, "{name} was evicted");
        }
    }
}
