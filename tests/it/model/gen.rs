//! Random batches and random strangers.

use bytes::Bytes;
use tidelog::{Cursor, Expect, StaleReason, SyncKeys, View};

use super::case::Case;
use super::client::{Client, Entrance};
use super::oracle::Dataset;
use super::plan::{Change, Kind, Plan};
use crate::support::stale_reason;

/// Entities whose order in a table is easy to get wrong.
const ODD: [&[u8]; 6] = [b"\0", b"\0\xff", b"\xff", b"\xff\xff", b"e", b"e\0"];

impl Case {
    fn entity(&mut self) -> Bytes {
        if self.rng.chance(6) {
            return Bytes::from_static(self.rng.pick(&ODD));
        }
        Bytes::from(format!("e{}", self.rng.below(self.entities)))
    }

    fn payload(&mut self) -> Bytes {
        let len = match self.rng.below(100) {
            0..=79 => self.rng.below(40),
            80..=95 => self.rng.within(100, 600),
            96..=98 => 3_000,
            _ => 9_000,
        };
        Bytes::from(self.rng.bytes(len as usize))
    }

    /// A batch without expectations.
    pub fn blind(&mut self, at: usize) -> Plan {
        let mut plan = Plan::default();
        for _ in 0..self.rng.pick(&[1, 1, 1, 2, 3, 8]) {
            let (dataset, entity) = (self.name(), self.entity());
            let model = self.stores[at].oracle.datasets.get(&dataset);
            let alive = model.and_then(|model| model.find(&entity)).is_some_and(|rec| rec.op != tidelog::Op::Delete);
            let kind = match self.rng.below(10) {
                0..=4 => Kind::Put,
                5..=7 if alive => Kind::Delete,
                5..=7 => Kind::Create,
                8 => Kind::Update,
                _ => self.rng.pick(&[Kind::Create, Kind::Delete]),
            };
            let payload = if kind == Kind::Delete { Bytes::new() } else { self.payload() };
            plan.changes.push(Change { dataset, kind, entity, payload, expect: None });
        }
        if self.rng.chance(20) {
            plan.origin = Some(Bytes::from(format!("device-{}", self.rng.below(3))));
        }
        plan
    }

    /// A batch, perhaps with expectations and an idempotency id.
    pub fn plan(&mut self, at: usize) -> Plan {
        if self.rng.chance(8) {
            let oracle = &self.stores[at].oracle;
            let known: Vec<Plan> = oracle.ids.values().map(|(plan, _)| plan.clone()).collect();
            if !known.is_empty() {
                let mut plan = known[self.rng.index(known.len())].clone();
                if self.rng.chance(40) {
                    plan.changes = self.blind(at).changes;
                }
                return plan;
            }
        }
        let mut plan = self.blind(at);
        if self.rng.chance(30) {
            for index in 0..plan.changes.len() {
                if self.rng.chance(60) {
                    plan.changes[index].expect = self.expectation(at, &plan.changes[index].clone());
                }
            }
        }
        if self.rng.chance(10) {
            plan.id = Some(Bytes::from(self.rng.next().to_string()));
        }
        plan
    }

    fn expectation(&mut self, at: usize, change: &Change) -> Option<Expect> {
        let model = self.stores[at].oracle.datasets.get(&change.dataset);
        if self.setup.background && model.is_some_and(Dataset::windowed) {
            return None;
        }
        let newest = model.and_then(|model| model.find(&change.entity)).map(|rec| (rec.key, rec.op));
        let truth = match newest {
            Some((key, op)) if op != tidelog::Op::Delete => self.rng.pick(&[Expect::At(key.into()), Expect::Present]),
            _ => Expect::Absent,
        };
        let last = self.stores[at].oracle.last_key;
        let guess = Expect::At(self.rng.within(1, last.max(1)).into());
        Some(if self.rng.chance(70) { truth } else { self.rng.pick(&[Expect::Absent, Expect::Present, guess]) })
    }

    /// A client that comes in by another way than from the start.
    pub fn newcomer(&mut self, at: usize) {
        let name = self.name();
        let store = &mut self.stores[at];
        store.barrier();
        if store.look(&name).is_none() {
            return;
        }
        let model = &store.oracle.datasets[&name];
        let Some((oldest, newest)) = model.recs.first().zip(model.recs.last()) else { return };
        let client = match self.rng.below(4) {
            0 => {
                let key = model.recs[self.rng.index(model.recs.len())].key;
                Client::at(name, Cursor::after(key.into()), Entrance::Key, key, model)
            }
            1 => {
                let time = self.rng.within(oldest.time_ms - 1, newest.time_ms);
                let before = model.recs.partition_point(|rec| rec.time_ms < time);
                let position = before.checked_sub(1).map_or(0, |at| model.recs[at].key);
                Client::at(name, Cursor::since_time(time), Entrance::Time, position, model)
            }
            2 if model.windowed() => Client::at(name, Cursor::oldest(), Entrance::Oldest, 0, model),
            _ => Client::at(name, Cursor::head(), Entrance::Head, model.head(), model),
        };
        let text = format!("s{at} newcomer by {:?} at {} to {:?}", client.entrance, client.position, client.dataset);
        self.admit(at, client);
        self.note(text);
    }

    fn admit(&mut self, at: usize, client: Client) {
        let clients = &mut self.stores[at].clients;
        if clients.len() < 10 {
            clients.push(client);
        } else {
            let which = self.rng.index(clients.len());
            clients[which] = client;
        }
    }

    /// Cursors that nobody ought to present.
    pub fn mischief(&mut self, at: usize) {
        let which = self.rng.index(self.stores[at].clients.len());
        let client = self.stores[at].clients[which].clone();
        match self.rng.below(6) {
            0 => self.damage(&client),
            1 => self.round_trip(&client),
            2 => {
                let visible = self.stores[at].engine.visible().get();
                let key = visible + self.rng.pick(&[1 << 20, 1 << 41, u64::MAX / 2 - visible]);
                // What a copy has not reached yet may also lie in the gap that it leaped over.
                let copied = !self.stores[at].oracle.ancestors.is_empty();
                let reason = if copied { StaleReason::OtherLineage } else { StaleReason::Future };
                self.expect_stale(at, &client.dataset, key, &[StaleReason::Future, reason]);
            }
            3 => self.gap(at, &client.dataset),
            // A bare key says nothing of where it is from: whoever presents it vouches for it.
            4 if client.minted.is_some() => {
                let dataset = self.name();
                self.note(format!("s{at} the cursor of client {which} goes to {dataset:?}"));
                let stranger = Client { dataset, ..client };
                self.admit(at, stranger);
            }
            _ if self.stores.len() > 1 => {
                let others = &self.stores[1 - at].clients;
                let stranger = others[self.rng.index(others.len())].clone();
                if stranger.minted.is_some() {
                    self.note(format!("s{at} a cursor at {} of the other store", stranger.position));
                    self.admit(at, stranger);
                }
            }
            _ => {}
        }
    }

    /// A flipped bit, a missing end or a changed character is noticed.
    fn damage(&mut self, client: &Client) {
        let bytes = client.cursor.to_bytes();
        let mut flipped = bytes.clone();
        let at = self.rng.index(bytes.len());
        flipped[at] ^= 1 << self.rng.below(8);
        let cut = &bytes[..self.rng.index(bytes.len())];
        self.note(format!("cursor damaged at {at}, cut to {}", cut.len()));
        assert_eq!(stale_reason(Cursor::from_bytes(&flipped)), StaleReason::Malformed);
        assert_eq!(stale_reason(Cursor::from_bytes(cut)), StaleReason::Malformed);
        let text = client.cursor.to_string();
        if let Some(rest) = text.strip_prefix('c') {
            assert_eq!(stale_reason(rest[..rest.len() / 2].replace(char::is_numeric, "x").parse::<Cursor>()), {
                StaleReason::Malformed
            });
        }
        self.seen.malformed = true;
    }

    fn round_trip(&mut self, client: &Client) {
        let cursor = client.cursor;
        assert_eq!(Cursor::from_bytes(&cursor.to_bytes()).expect("its own bytes"), cursor);
        let text = cursor.to_string();
        assert_eq!(text.parse::<Cursor>().expect("its own text"), cursor);
        let bare = text.bytes().all(|byte| byte.is_ascii_digit());
        assert!(bare || text.starts_with('c'), "the text of a cursor: {text}");
        assert!(!bare || client.minted.is_none(), "a cursor that the store made passes for a bare key");
    }

    fn expect_stale(&mut self, at: usize, dataset: &Bytes, key: u64, reasons: &[StaleReason]) {
        if self.stores[at].look(dataset).is_none() {
            return;
        }
        self.note(format!("s{at} bare key {key} of {dataset:?}"));
        let windowed = self.stores[at].oracle.datasets[dataset].windowed();
        let limits = tidelog::Limits::default().view(if windowed { View::Every } else { View::Latest });
        let reason = stale_reason(self.stores[at].engine.changes(dataset, &Cursor::after(key.into()), limits));
        assert!(reasons.contains(&reason), "{reason:?} for the bare key {key}, expected {reasons:?}");
        self.seen.stale(reason);
    }

    /// A key that no lineage of this store ever gave out, or one from before the dataset began.
    fn gap(&mut self, at: usize, dataset: &Bytes) {
        let store = &mut self.stores[at];
        if store.look(dataset).is_none() {
            return;
        }
        let first = store.oracle.datasets[dataset].first.expect("its beginning was asked for");
        let shared = store.oracle.ancestors.values().max().copied();
        let gap = shared.map(|shared| shared + (1 << 30)).filter(|gap| *gap < store.engine.visible().get());
        match gap {
            Some(gap) if self.setup.keys == SyncKeys::Counter => {
                let reason = if gap < first { StaleReason::Recreated } else { StaleReason::OtherLineage };
                self.expect_stale(at, dataset, gap, &[reason, StaleReason::OtherLineage]);
            }
            _ if first > 1 => {
                self.expect_stale(at, dataset, first - 1, &[StaleReason::Recreated, StaleReason::OtherLineage])
            }
            _ => {}
        }
    }
}
