//! What the store must hold, and what a client makes of what it is given.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::cursor::Cursor;
use crate::types::{EntryRef, Expect, Op, View};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Create,
    Update,
    Put,
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub dataset: usize,
    pub kind: Kind,
    pub entity: Bytes,
    pub payload: Bytes,
    pub expect: Option<Expect>,
}

/// One committed entry.
#[derive(Debug)]
pub struct Rec {
    pub key: u64,
    /// None if both create and update are right: the store may have forgotten the entity.
    pub op: Option<Op>,
    pub entity: Bytes,
    pub payload: Bytes,
}

impl Rec {
    pub fn is_delete(&self) -> bool {
        self.op == Some(Op::Delete)
    }

    fn check(&self, entry: EntryRef<'_>) {
        let payload = (!self.is_delete()).then_some(&self.payload[..]);
        let at = self.key;
        assert_eq!((entry.entity, entry.payload), (&self.entity[..], payload), "the bytes of key {at}");
        match self.op {
            Some(op) => assert_eq!(entry.op, op, "the op of key {at}"),
            None => assert_ne!(entry.op, Op::Delete, "the op of key {at}"),
        }
        assert_eq!(entry.payload_len, self.payload.len());
    }
}

/// Everything ever committed to one incarnation of a dataset.
#[derive(Debug)]
pub struct Dataset {
    /// Which incarnation of all this is.
    pub incarnation: u64,
    pub windowed: bool,
    pub recs: Vec<Rec>,
}

impl Dataset {
    pub fn newest(&self, entity: &Bytes) -> Option<&Rec> {
        self.recs.iter().rev().find(|rec| rec.entity == *entity)
    }

    pub fn alive(&self, entity: &Bytes) -> Option<u64> {
        self.newest(entity).filter(|rec| !rec.is_delete()).map(|rec| rec.key)
    }

    pub fn state_at(&self, key: u64) -> BTreeMap<Bytes, Bytes> {
        let mut state = BTreeMap::new();
        for rec in self.recs.iter().take_while(|rec| rec.key <= key) {
            match rec.is_delete() {
                true => state.remove(&rec.entity),
                false => state.insert(rec.entity.clone(), rec.payload.clone()),
            };
        }
        state
    }

    /// The keys in `after + 1..=upto`.
    pub fn keys(&self, after: u64, upto: u64) -> Vec<u64> {
        self.recs.iter().map(|rec| rec.key).filter(|key| *key > after && *key <= upto).collect()
    }
}

/// A front end: it applies what it is given and keeps the cursor.
#[derive(Debug)]
pub struct Client {
    pub dataset: usize,
    pub view: View,
    pub cursor: Cursor,
    /// None before the first page of `Cursor::oldest`.
    pub position: Option<u64>,
    /// Of the cursor, once the store made it.
    pub incarnation: Option<u64>,
    pub state: BTreeMap<Bytes, Bytes>,
}

impl Client {
    pub fn new(dataset: usize, view: View) -> Client {
        let (cursor, position) = match view {
            View::Latest => (Cursor::START, Some(0)),
            View::Every => (Cursor::oldest(), None),
        };
        Client { dataset, view, cursor, position, incarnation: None, state: BTreeMap::new() }
    }

    pub fn reset(&mut self) {
        *self = Client::new(self.dataset, self.view);
    }

    /// Applies a page that was read from `from` on.
    pub fn take(&mut self, page: &crate::types::Page, limit: usize, from: u64, model: &Dataset) {
        let position = page.position.get();
        assert!(page.entries.len() <= limit, "{} entries, {limit} allowed", page.entries.len());
        let mut last = from;
        for entry in &page.entries {
            let key = entry.key.get();
            assert!(key > last && key <= position, "key {key} is not within {last}..={position}");
            let rec = model.recs.iter().find(|rec| rec.key == key);
            rec.unwrap_or_else(|| panic!("key {key} was never committed")).check(entry);
            match entry.payload {
                None => self.state.remove(entry.entity),
                Some(payload) => {
                    self.state.insert(Bytes::copy_from_slice(entry.entity), Bytes::copy_from_slice(payload))
                }
            };
            last = key;
        }
        assert!(!page.more || position > from, "`more`, but the cursor stays at {from}");
        if self.view == View::Every {
            let delivered: Vec<u64> = page.entries.iter().map(|entry| entry.key.get()).collect();
            assert_eq!(delivered, model.keys(from, position), "every entry in {from}..={position}");
        } else if !page.more {
            assert_eq!(self.state, model.state_at(position), "the state at {position}");
        }
        (self.cursor, self.position, self.incarnation) = (page.next, Some(position), Some(model.incarnation));
    }
}
