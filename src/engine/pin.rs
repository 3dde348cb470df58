//! One moment of the store, as a reader holds it.
//!
//! The order is what makes it one moment: load `visible`; pin the tails; take one snapshot of the index store for all
//! iterators; take the dataset's record, with its floors, from that snapshot; ignore rows at or above the oldest
//! pinned tail's base. Whatever is at or below `visible` is then in a pinned tail or in the snapshot.

mod chunks;

pub use chunks::Reading;

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::core::Core;
use super::tails::{InTails, Tails};
use crate::error::{Error, Result};
use crate::store::{DatasetRecord, Sealed, Snapshot, Store, Version};
use crate::types::{Op, Retention};
use crate::window::{Born, Floors};

/// A pinned moment.
pub struct Pin<'a> {
    pub visible: u64,
    pub tails: Arc<Tails>,
    pub store: &'a Store,
    snapshot: OnceCell<Taken<'a>>,
    /// Whether what the index store remembers is used.
    trusting: bool,
    /// The count of changes of what was used of it.
    used: Cell<Option<u64>>,
    /// Whether the snapshot is of a later moment than what was used before it was taken.
    torn: Cell<bool>,
    /// Everything at or below this key is sealed as far as this moment knows.
    pub sealed_upto: u64,
    /// The key up to which the snapshot has applied the log.
    applied: OnceCell<u64>,
}

/// A snapshot, and the count of changes of which it is: none if one was being made.
struct Taken<'a> {
    snapshot: Snapshot<'a>,
    count: Option<u64>,
}

/// A dataset as of a pinned moment.
pub struct Dataset {
    pub id: u64,
    sealed: Arc<Sealed>,
    /// Whether the index store remembered it.
    remembered: bool,
    in_tails: InTails,
}

impl Dataset {
    /// One that was not remembered, or has no sealed part.
    fn new(id: u64, record: DatasetRecord, in_tails: InTails) -> Dataset {
        Dataset { id, sealed: Arc::new(Sealed::new(record)), remembered: false, in_tails }
    }

    /// Its newest visible key; 0 if it has no entry.
    pub fn head(&self) -> u64 {
        self.in_tails.head.unwrap_or(self.record().head)
    }

    /// Whether tails have a visible entry above `position`.
    pub fn is_due_in_tails(&self, position: u64) -> bool {
        self.in_tails.head.is_some_and(|head| head > position)
    }

    /// The retention set for it, if one is.
    pub fn retention(&self) -> Option<Retention> {
        self.in_tails.retention.unwrap_or(self.record().retention)
    }

    /// Its sealed part; empty floors and counters if nothing of it is sealed.
    pub fn record(&self) -> &DatasetRecord {
        &self.sealed.record
    }

    pub fn floors(&self) -> Floors {
        let DatasetRecord { floor, history_floor, window_floor, .. } = *self.record();
        Floors { floor, history_floor, window_floor }
    }
}

impl<'a> Pin<'a> {
    /// Everything that is visible now.
    pub fn new(core: &Core, store: &'a Store) -> Pin<'a> {
        Pin::upto(core, store, core.visible())
    }

    /// Everything written, visible or not: for the commit path alone.
    pub fn all(core: &Core, store: &'a Store) -> Pin<'a> {
        Pin::upto(core, store, u64::MAX)
    }

    fn upto(core: &Core, store: &'a Store, visible: u64) -> Pin<'a> {
        let tails = core.tails.pin();
        let sealed_upto = tails.base().saturating_sub(1);
        Pin {
            visible,
            tails,
            store,
            snapshot: OnceCell::new(),
            trusting: false,
            used: Cell::new(None),
            torn: Cell::new(false),
            sealed_upto,
            applied: OnceCell::new(),
        }
    }

    /// A moment that uses what the index store remembers. Whoever reads at it asks [`Pin::is_torn`] at the end, and if so
    /// forgets what it read, an error too, and reads again at a moment that does not.
    pub fn trusting(core: &Core, store: &'a Store) -> Pin<'a> {
        Pin { trusting: true, ..Pin::new(core, store) }
    }

    /// Reads of the dataset `name` at one moment, and mostly without a snapshot of the index store.
    ///
    /// # Errors
    ///
    /// [`Error::DatasetNotFound`], and those of `read`.
    pub fn read<T>(
        core: &Core,
        store: &'a Store,
        name: &[u8],
        mut read: impl FnMut(&Pin<'a>, &Dataset) -> Result<T>,
    ) -> Result<T> {
        let (pin, dataset) = Pin::find(name, core, || Pin::trusting(core, store))?;
        let outcome = read(&pin, &dataset);
        if !pin.is_torn() {
            return outcome;
        }
        let (pin, dataset) = Pin::of(core, store, name)?;
        read(&pin, &dataset)
    }

    /// Whether something was read that is not of this moment.
    pub fn is_torn(&self) -> bool {
        self.torn.get()
    }

    /// A moment, and the dataset `name` in it.
    ///
    /// # Errors
    ///
    /// [`Error::DatasetNotFound`].
    pub fn of(core: &Core, store: &'a Store, name: &[u8]) -> Result<(Pin<'a>, Dataset)> {
        Pin::find(name, core, || Pin::new(core, store))
    }

    fn find(name: &[u8], core: &Core, pin: impl Fn() -> Pin<'a>) -> Result<(Pin<'a>, Dataset)> {
        loop {
            let hint = core.names.hint(name);
            let pin = pin();
            let dataset = match hint.map(|id| pin.known(id)).transpose()?.flatten() {
                Some(dataset) => dataset,
                None => {
                    let found = pin.dataset(name)?;
                    let dataset = found.ok_or_else(|| Error::DatasetNotFound { dataset: name.to_vec() })?;
                    if hint != Some(dataset.id) {
                        core.names.insert_hint(pin.store, name, dataset.id);
                    }
                    dataset
                }
            };
            if pin.is_behind(&dataset) {
                continue;
            }
            return Ok((pin, dataset));
        }
    }

    /// The index store at this moment. Taken when it is first needed: a commit that depends on nothing needs none.
    pub fn snapshot(&self) -> &Snapshot<'a> {
        &self.taken().snapshot
    }

    fn taken(&self) -> &Taken<'a> {
        self.snapshot.get_or_init(|| {
            let before = self.store.count();
            let snapshot = self.store.snapshot();
            let count = before.filter(|_| self.store.count() == before);
            if self.used.get().is_some_and(|used| count != Some(used)) {
                self.torn.set(true);
            }
            Taken { snapshot, count }
        })
    }

    /// Whether the snapshot is of a later moment than `visible`, so that it lacks what `visible` would need. By then
    /// `visible` itself has moved on: pin again.
    pub fn is_behind(&self, dataset: &Dataset) -> bool {
        dataset.record().history_floor.max(dataset.record().head) > self.visible
    }

    /// The dataset of this name, if `id` is an id that it had a moment ago and still has.
    ///
    /// What is gone by now has no record. Nor has what no seal has reached yet: that is found by its name.
    fn known(&self, id: u64) -> Result<Option<Dataset>> {
        let in_tails = self.tails.of(id, self.visible);
        if id > self.visible || in_tails.deleted {
            return Ok(None);
        }
        self.sealed(id, in_tails)
    }

    /// The dataset of this id, if it has a sealed part.
    fn sealed(&self, id: u64, in_tails: InTails) -> Result<Option<Dataset>> {
        if let Some(sealed) = self.remembered(id) {
            return Ok(Some(Dataset { id, sealed, remembered: true, in_tails }));
        }
        let Some(record) = self.snapshot().record(id)? else { return Ok(None) };
        let dataset = Dataset::new(id, record, in_tails);
        if let Some(count) = self.remembering() {
            self.store.remember(count, id, &dataset.sealed);
        }
        Ok(Some(dataset))
    }

    /// The count at which what the snapshot says may be remembered, if it may be: not what is of another moment than the
    /// rest, nor what is read since what is remembered was of no use.
    fn remembering(&self) -> Option<u64> {
        self.taken().count.filter(|_| self.trusting && !self.is_torn())
    }

    /// What the index store remembers of a dataset, if that is of this moment.
    fn remembered(&self, id: u64) -> Option<Arc<Sealed>> {
        self.recall(|store| store.recent(id))
    }

    /// What the index store remembers, if that is of this moment.
    fn recall<T>(&self, of: impl Fn(&Store) -> Option<T>) -> Option<T> {
        let count = self.store.count().filter(|_| self.trusting && !self.is_torn())?;
        let moment = match self.snapshot.get() {
            Some(taken) => taken.count?,
            None => self.used.get().unwrap_or(count),
        };
        if count != moment {
            return None;
        }
        let known = of(self.store)?;
        // It is of a count that is the same before and after.
        if self.store.count() != Some(moment) {
            return None;
        }
        self.used.set(Some(moment));
        Some(known)
    }

    /// The dataset of this name.
    pub fn dataset(&self, name: &[u8]) -> Result<Option<Dataset>> {
        let in_tails = self.tails.oldest_first().rev().find_map(|tail| {
            let inner = tail.read();
            inner.names.get(name).and_then(|known| known.at(self.visible).map(|(_, id)| *id))
        });
        let id = match in_tails {
            Some(id) => Some(id),
            None => self.snapshot().name(name)?,
        };
        let Some(id) = id else { return Ok(None) };
        let in_tails = self.tails.of(id, self.visible);
        if in_tails.deleted {
            return Ok(None);
        }
        let new = || DatasetRecord { id, name: name.to_vec(), ..DatasetRecord::default() };
        Ok(Some(self.sealed(id, in_tails)?.unwrap_or_else(|| Dataset::new(id, new(), in_tails))))
    }

    /// The entity's newest sealed version, for who has found none in the tails. What was sealed after this moment began is
    /// in them too, and what lies above `visible` is in no dataset of this moment: see [`Pin::is_behind`].
    pub fn newest_sealed(&self, id: u64, entity: &[u8]) -> Result<Option<Version>> {
        self.snapshot().newest(id, entity)
    }

    /// The key of the entity's newest visible version, as far as tails have one: none inside if it is a delete.
    pub fn newest_in_tails(&self, id: u64, entity: &[u8]) -> Option<Option<u64>> {
        self.tails.oldest_first().rev().find_map(|tail| {
            let inner = tail.read();
            let entry = inner.newest(id, entity, self.visible)?;
            Some((!entry.is_delete()).then_some(entry.key))
        })
    }

    /// Whether the entity's newest version below `base` is a delete, as far as tails have one there.
    pub fn newest_below(&self, id: u64, entity: &[u8], base: u64) -> Option<bool> {
        let older = self.tails.oldest_first().rev().filter(|tail| tail.base() < base);
        older.filter_map(|tail| tail.read().newest(id, entity, u64::MAX).map(|entry| entry.is_delete())).next()
    }

    /// When the present life of a tail's entry began.
    ///
    /// A seal and a compaction may have passed over pinned tails, so the entry itself decides if it is in a chunk; else the
    /// versions before it in the tails, on top of the sealed one. Where the index store has been over these keys and knows
    /// nothing, an older life may be forgotten: the answer is then the safe one.
    pub fn born(&self, dataset: &Dataset, entity: &[u8], key: u64) -> Result<Born> {
        let (id, floor) = (dataset.id, dataset.record().floor);
        let home = self.tails.oldest_first().rev().find(|tail| tail.base() <= key);
        let known = home.and_then(|tail| {
            let inner = tail.read();
            let part = inner.datasets.get(&id)?;
            part.born(part.entry(key)?, floor)
        });
        if let Some(known) = known {
            return Ok(known);
        }
        // From the version before it, if that one's is known and no seal has been here: a reader of every version of one
        // entity goes through them once, not once for each.
        let known = match key > self.applied()? {
            true => home.and_then(|tail| tail.read().datasets.get(&id)?.born_after_older(key, floor)),
            false => self.sealed_born(dataset, key)?,
        };
        let born = match known {
            Some(born) => born,
            None => self.find_born(id, entity, key)?,
        };
        if let Some(part) = home.map(|tail| tail.read()).as_ref().and_then(|inner| inner.datasets.get(&id))
            && let Some(entry) = part.entry(key)
            && !self.is_torn()
        {
            part.set_born(entry, born, floor);
        }
        Ok(born)
    }

    fn applied(&self) -> Result<u64> {
        match self.applied.get() {
            Some(applied) => Ok(*applied),
            None => {
                let applied = self.snapshot().applied()?.key;
                Ok(*self.applied.get_or_init(|| applied))
            }
        }
    }

    /// When the life of the entry at `key` began, if that is in a chunk.
    fn sealed_born(&self, dataset: &Dataset, key: u64) -> Result<Option<Born>> {
        let Some(chunk) = self.chunk_covering(dataset, key)? else { return Ok(None) };
        Ok(chunk.find(key).map(|at| chunk.row(at).life()))
    }

    fn find_born(&self, id: u64, entity: &[u8], key: u64) -> Result<Born> {
        // A version that is newer says nothing of this one, and then nothing older than this one is left: it is gone itself.
        let sealed = self.snapshot().newest(id, entity)?.filter(|version| version.key < key);
        let from = sealed.as_ref().map_or(0, |version| version.key);
        let mut life = sealed.map(|v| (Born { born: v.born, reborn: v.reborn }, v.op == Op::Delete));
        let applied = self.applied()?;
        let mut forgotten = false;
        for tail in self.tails.oldest_first() {
            let inner = tail.read();
            let Some(part) = inner.datasets.get(&id) else { continue };
            let mut next = inner.oldest(id, entity);
            while let Some(entry) = next.filter(|entry| entry.key <= key) {
                if entry.key > from {
                    forgotten |= entry.key <= applied;
                    let is_delete = entry.is_delete();
                    life = Some((Born::after(life, entry.key, is_delete), is_delete));
                }
                next = part.newer(entry);
            }
        }
        let born = life.map_or(Born { born: key, reborn: false }, |(born, _)| born);
        Ok(Born { reborn: born.reborn || forgotten, ..born })
    }

    /// How many entries above `position` there are up to `visible`, and their bytes, given how many were ever appended
    /// up to `position` among the sealed ones.
    pub fn due_in_tails(&self, dataset: &Dataset, position: u64) -> (u64, u64) {
        // What the record counts already is not counted again.
        let position = position.max(dataset.record().head);
        if !dataset.is_due_in_tails(position) {
            return (0, 0);
        }
        self.tails.oldest_first().fold((0, 0), |(entries, bytes), tail| {
            let inner = tail.read();
            let due = inner.datasets.get(&dataset.id).map_or((0, 0), |part| part.due(position, self.visible));
            (entries + due.0, bytes + due.1)
        })
    }
}
