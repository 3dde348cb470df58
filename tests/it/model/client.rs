//! A client that pages at its own pace, and everything that must be true of each page it is given.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tidelog::{Cursor, EntryRef, Keep, Limits, Op, Page, StaleReason, View};

use super::coverage::Seen;
use super::oracle::{Dataset, Floors, Oracle};

/// A key known to lie within these, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub low: u64,
    pub high: u64,
}

/// The limits of one call, readable.
#[derive(Debug, Clone, Copy)]
pub struct Lim {
    pub entries: usize,
    pub bytes: usize,
    pub scan: usize,
    pub view: View,
    pub payloads: bool,
}

impl Lim {
    pub fn limits(self) -> Limits {
        let limits = Limits::entries(self.entries).bytes(self.bytes).scan(self.scan).view(self.view);
        if self.payloads { limits } else { limits.without_payloads() }
    }

    /// What an entry counts towards the limit in bytes, at least.
    pub fn weight(self, entry: EntryRef<'_>) -> usize {
        entry.entity.len() + if self.payloads { entry.payload_len } else { 0 }
    }
}

/// What was known around one call.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    pub before: Floors,
    pub after: Floors,
    pub visible: Span,
    pub lineage: u64,
}

impl Around {
    /// Nothing moved during the call.
    fn still(&self) -> bool {
        self.before == self.after && self.visible.low == self.visible.high
    }
}

/// What a client holds of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub key: u64,
    pub len: usize,
    pub payload: Option<Bytes>,
}

/// How a client's first cursor came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    Key,
    Time,
    Oldest,
    Head,
}

/// A read under way: from its first page until `more` is false.
#[derive(Debug, Clone)]
pub struct Read {
    pub view: View,
    pub start: u64,
    pub at_start: BTreeSet<Bytes>,
    pub first_bound: Span,
    pub bound: Span,
    pub pages: u64,
    pub moved: bool,
    /// The store chose the start, and it may be 0.
    pub loose: bool,
}

#[derive(Debug, Clone)]
pub struct Client {
    pub dataset: Bytes,
    pub cursor: Cursor,
    pub entrance: Entrance,
    pub position: u64,
    /// Lineage and incarnation of the cursor, once the store made it.
    pub minted: Option<(u64, u64)>,
    /// The incarnation that the state is of.
    pub incarnation: Option<u64>,
    pub state: BTreeMap<Bytes, Held>,
    /// Whether `state` is a whole one (a way into a capped log gives none).
    pub whole: bool,
    pub read: Option<Read>,
}

impl Client {
    pub fn new(dataset: Bytes) -> Client {
        let state = BTreeMap::new();
        let (cursor, entrance) = (Cursor::START, Entrance::Key);
        Client {
            dataset,
            cursor,
            entrance,
            position: 0,
            minted: None,
            incarnation: None,
            state,
            whole: true,
            read: None,
        }
    }

    /// A client that has the state as of `position`.
    pub fn at(dataset: Bytes, cursor: Cursor, entrance: Entrance, position: u64, model: &Dataset) -> Client {
        let held = |key, payload: &Bytes| Held { key, len: payload.len(), payload: Some(payload.clone()) };
        let state = model.state_at(position);
        let state = state.into_iter().map(|(entity, rec)| (entity.clone(), held(rec.key, &rec.payload))).collect();
        let whole = !model.windowed();
        Client { dataset, cursor, entrance, position, minted: None, incarnation: model.first, state, whole, read: None }
    }

    pub fn reset(&mut self) {
        *self = Client::new(self.dataset.clone());
    }

    pub fn mid_latest(&self) -> bool {
        self.read.as_ref().is_some_and(|read| read.view == View::Latest)
    }

    /// The read that the next call belongs to.
    fn read_for(&self, view: View, visible: Span) -> Read {
        match &self.read {
            Some(read) if read.view == view => read.clone(),
            other => {
                // A cursor in the middle of a read of every entry may keep that read's bound.
                let low = other.as_ref().map_or(visible.low, |read| read.bound.low);
                let bound = Span { low, high: visible.high };
                Read {
                    view,
                    start: self.position,
                    at_start: self.state.keys().cloned().collect(),
                    first_bound: bound,
                    bound,
                    pages: 0,
                    moved: false,
                    loose: self.entrance == Entrance::Time,
                }
            }
        }
    }

    /// The reasons for which the cursor may be refused, and whether it must be.
    pub fn stale(&self, view: View, oracle: &Oracle, model: &Dataset, around: &Around) -> (bool, Vec<StaleReason>) {
        let (mut must, mut may) = (false, Vec::new());
        let read = self.read_for(view, around.visible);
        let position = self.position;
        if self.entrance == Entrance::Oldest || self.entrance == Entrance::Head {
            return (false, if around.still() { may } else { vec![StaleReason::Trimmed, StaleReason::HistoryTrimmed] });
        }
        if let Some((lineage, incarnation)) = self.minted {
            let shared = oracle.ancestors.get(&lineage).copied();
            // A cursor in the middle of a read of every entry may name a bound that a read of the latest does not use.
            let high = self.read.as_ref().map_or(position, |read| position.max(read.bound.high));
            let low = if self.mid_latest() { position.max(read.bound.low) } else { position };
            if lineage != around.lineage && shared.is_none_or(|shared| high > shared) {
                may.push(StaleReason::OtherLineage);
                must |= shared.is_none_or(|shared| low > shared);
            }
            if Some(incarnation) != model.first {
                may.push(StaleReason::Recreated);
                must = true;
            }
        } else if self.entrance == Entrance::Key && position > 0 && position < model.first.unwrap_or(0) {
            may.push(StaleReason::Recreated);
            must = true;
        }
        let due = |bound: u64, whole: bool| if whole { bound.max(position) } else { position };
        let windowed = model.windowed();
        if view == View::Every || windowed {
            must |= around.before.history > position && (!windowed || around.before.floor > position);
            if around.after.history > position {
                may.extend([StaleReason::HistoryTrimmed, StaleReason::Trimmed]);
            }
        } else {
            must |= around.before.floor > due(read.first_bound.high, read.start == 0 || read.loose);
            if around.after.floor > due(read.first_bound.low, read.start == 0 && !read.loose) {
                may.push(StaleReason::Trimmed);
            }
        }
        if self.entrance == Entrance::Time {
            // The store may have to look further back for the moment than the model does.
            must = false;
            if around.after.history > 0 {
                may.extend([StaleReason::HistoryTrimmed, StaleReason::Trimmed]);
            }
        }
        (must, may)
    }

    /// Takes a page, having checked everything that must be true of it.
    pub fn take(&mut self, page: &Page, lim: Lim, model: &Dataset, around: &Around, seen: &mut Seen) {
        let mut read = self.read_for(lim.view, around.visible);
        let from = self.enter(page, model, around);
        if self.entrance == Entrance::Time && self.incarnation != model.first {
            // A time says nothing of incarnations: whoever names one from before the dataset was made has none of it.
            self.state.clear();
            read.at_start.clear();
        }
        if self.entrance == Entrance::Head {
            // The head is where it is when it is first asked for, and the client vouches for the state there.
            *self = Client {
                cursor: self.cursor,
                ..Client::at(self.dataset.clone(), page.next, Entrance::Head, from, model)
            };
            read.at_start = self.state.keys().cloned().collect();
        }
        if read.pages == 0 {
            read.start = if self.entrance == Entrance::Key { read.start } else { from };
        } else if lim.view == View::Latest && around.after.history > read.bound.low {
            read.moved |= around.before.history > read.bound.high;
            let sure = around.before.history > read.bound.high;
            read.bound =
                Span { low: if sure { around.visible.low } else { read.bound.low }, high: around.visible.high };
        }
        read.pages += 1;
        seen.moved_bound |= read.moved;

        self.check_frame(page, lim, model, around, from);
        match lim.view {
            View::Every => check_every(page, lim, model, from),
            _ => check_latest(page, lim, model, &read, from),
        }
        self.check_pending(page, lim, model, around);
        if lim.view == View::Latest {
            check_headroom(page, &read, around);
        }
        self.apply(page, &read, model);

        self.position = page.position.get();
        self.entrance = Entrance::Key;
        self.cursor = page.next;
        self.minted = Some((around.lineage, model.first.expect("its beginning was asked for")));
        if page.more {
            self.read = Some(read);
        } else {
            self.check_end(page, &read, model, seen);
            self.read = None;
        }
    }

    /// The position from which this page was read; special ways in are resolved by the store.
    fn enter(&self, page: &Page, model: &Dataset, around: &Around) -> u64 {
        match self.entrance {
            Entrance::Key => self.position,
            Entrance::Head => {
                assert!(page.entries.is_empty() && !page.more, "the head has nothing after it");
                assert!(page.position.get() >= around.visible.low, "the head lies before what is visible");
                page.position.get()
            }
            Entrance::Oldest => match page.entries.first() {
                Some(entry) => {
                    let key = entry.key.get();
                    let first = |floor: u64| model.above(floor, u64::MAX).first().map_or(u64::MAX, |rec| rec.key);
                    assert!(first(around.before.floor) <= key, "an entry below the floor");
                    assert!(key <= first(around.after.floor), "the oldest entry was left out");
                    key - 1
                }
                None => around.before.floor,
            },
            // It may begin earlier than asked for, never later.
            Entrance::Time => {
                page.entries.first().map_or(self.position, |entry| self.position.min(entry.key.get() - 1))
            }
        }
    }

    /// What holds for every page.
    fn check_frame(&self, page: &Page, lim: Lim, model: &Dataset, around: &Around, from: u64) {
        let position = page.position.get();
        assert!(page.entries.len() <= lim.entries, "{} entries, {} allowed", page.entries.len(), lim.entries);
        let bytes: usize = page.entries.iter().map(|entry| lim.weight(entry)).sum();
        assert!(bytes <= lim.bytes || page.entries.len() <= 1, "{bytes} bytes, {} allowed", lim.bytes);
        let mut last = from;
        for entry in &page.entries {
            assert!(entry.key.get() > last, "key {} does not follow {last}", entry.key);
            last = entry.key.get();
            let rec = model.rec(last).unwrap_or_else(|| panic!("key {last} was never committed"));
            rec.check(entry, lim.payloads);
        }
        assert!(position >= last, "the position {position} lies before the last entry {last}");
        assert!(position <= around.visible.high, "the position {position} is not visible yet");
        if page.more {
            assert!(position > from, "`more`, but the cursor stays at {from}");
            if page.entries.is_empty() {
                let scanned = model.above(from, position).len();
                assert!(scanned >= lim.scan, "an empty page with `more` after {scanned} of {} entries", lim.scan);
            }
        }
        assert_eq!(page.next.position().map(|key| key.get()), Some(position), "the next cursor's position");
        let (low, high) = (model.head_at(around.visible.low), model.head_at(around.visible.high));
        assert!((low..=high).contains(&page.head.get()), "head {} is not within {low}..={high}", page.head);
    }

    /// What is said to be due covers what is due.
    fn check_pending(&self, page: &Page, lim: Lim, model: &Dataset, around: &Around) {
        let (position, head) = (page.position.get(), page.head.get());
        let above = model.above(position, head);
        let held = |entity: &Bytes| self.state.contains_key(entity) || page.entries.iter().any(|e| e.entity == *entity);
        if lim.view == View::Every {
            if model.windowed() && !around.still() {
                return;
            }
            let above: Vec<_> = above.iter().filter(|rec| !model.windowed() || rec.key > around.after.floor).collect();
            assert_eq!(page.pending.entries, above.len() as u64, "entries due after {position}");
            assert_eq!(page.pending.bytes, above.iter().map(|rec| rec.bytes()).sum::<u64>(), "bytes due");
            return;
        }
        let due = above.iter().filter(|rec| rec.newest_at(head) && (rec.op != Op::Delete || held(&rec.entity)));
        let (entries, bytes) = due.fold((0, 0), |(entries, bytes), rec| (entries + 1, bytes + rec.bytes()));
        assert!(page.pending.entries >= entries, "{} said to be due, {entries} are", page.pending.entries);
        assert!(page.pending.bytes >= bytes, "{} bytes said to be due, {bytes} are", page.pending.bytes);
        assert!(page.pending.entries <= above.len() as u64, "more said to be due than was ever written");
        if position >= head {
            assert_eq!((page.pending.entries, page.pending.bytes), (0, 0), "nothing is due at the head");
        }
    }

    fn apply(&mut self, page: &Page, read: &Read, model: &Dataset) {
        for entry in &page.entries {
            if entry.op == Op::Delete {
                self.state.remove(entry.entity);
                continue;
            }
            if self.whole && model.retention.keep == Keep::Live {
                let known = read.at_start.contains(entry.entity);
                assert!(entry.new || known, "`new` under-reported at key {}", entry.key);
            }
            let payload = entry.payload.map(Bytes::copy_from_slice);
            let held = Held { key: entry.key.get(), len: entry.payload_len, payload };
            self.state.insert(Bytes::copy_from_slice(entry.entity), held);
        }
    }

    /// The end of a read: the client's state is the dataset's at the position.
    fn check_end(&self, page: &Page, read: &Read, model: &Dataset, seen: &mut Seen) {
        let position = page.position.get();
        assert!(position >= read.bound.low.min(page.head.get()), "the read ended at {position}, before its bound");
        if !self.whole {
            return;
        }
        let want = model.state_at(position);
        let text = |entity: &Bytes| entity.escape_ascii().to_string();
        for (entity, rec) in &want {
            let held = self.state.get(*entity);
            let held = held.unwrap_or_else(|| panic!("at {position}: {} of key {} is missing", text(entity), rec.key));
            assert_eq!(held.key, rec.key, "at {position}: the version of {}", text(entity));
            assert_eq!(held.len, rec.payload.len(), "at {position}: the length of {}", text(entity));
            assert!(held.payload.as_ref().is_none_or(|payload| *payload == rec.payload), "at {position}: the bytes");
        }
        for (entity, held) in &self.state {
            assert!(want.contains_key(entity), "at {position}: {} of key {} is deleted", text(entity), held.key);
        }
        let later = model.above(read.first_bound.high, u64::MAX);
        seen.delete_across_pages |=
            read.pages > 1 && later.iter().any(|rec| rec.op == Op::Delete && rec.prev.is_some());
    }
}

/// A page of every entry is the model's list.
fn check_every(page: &Page, lim: Lim, model: &Dataset, from: u64) {
    let want = model.above(from, page.position.get());
    let (got, want): (Vec<u64>, Vec<u64>) =
        (page.entries.iter().map(|entry| entry.key.get()).collect(), want.iter().map(|rec| rec.key).collect());
    assert_eq!(got, want, "every entry after {from}, up to {}, by {lim:?}", page.position);
}

/// A page of the latest view holds nothing that need not be sent.
fn check_latest(page: &Page, lim: Lim, model: &Dataset, read: &Read, from: u64) {
    let unmoved = read.bound == read.first_bound && read.bound.low == read.bound.high;
    for entry in &page.entries {
        let rec = model.rec(entry.key.get()).expect("checked before");
        assert!(rec.next.is_none_or(|next| next > read.bound.low), "key {} is superseded within the window", rec.key);
        if unmoved && read.start == 0 && !read.loose && model.retention.keep == Keep::Live {
            assert_ne!(rec.op, Op::Delete, "a delete at key {} for a client that has nothing", rec.key);
        }
    }
    // Nothing newest and alive was passed over.
    let passed = model.above(from, page.position.get()).iter().filter(|rec| rec.newest_at(u64::MAX));
    for rec in passed.filter(|rec| rec.op != Op::Delete) {
        assert!(
            page.entries.iter().any(|entry| entry.key.get() == rec.key),
            "key {} was passed over by {lim:?}",
            rec.key
        );
    }
}

/// How far the floor is from overtaking the cursor.
fn check_headroom(page: &Page, read: &Read, around: &Around) {
    let position = page.position.get();
    let due = |bound: u64, whole: bool| if page.more && whole { bound.max(position) } else { position };
    let low = due(read.first_bound.low, read.start == 0 && !read.loose).saturating_sub(around.after.floor);
    let high = due(read.first_bound.high, read.start == 0 || read.loose).saturating_sub(around.before.floor) + 1;
    assert!((low..=high).contains(&page.headroom), "headroom {} is not within {low}..={high}", page.headroom);
}
