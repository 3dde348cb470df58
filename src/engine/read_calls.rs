//! What reads and what waits for something to read.

use super::{Engine, Watch, changes, check, describe, lookup, many, pin};
use crate::cursor::{Cursor, Exact, Kind};
use crate::error::{Error, Result};
use crate::limits::MAX_DATASETS_PER_CALL;
#[cfg(doc)]
use crate::options::Options;
use crate::planted::{Bug, planted};
use crate::types::{DatasetStat, EntityRow, Entry, Limits, ManyPage, NamePage, Page, Retention, StoreStat, SyncKey};

impl Engine {
    /// What changed in `dataset` since `cursor`, at most as much as `limits` allow. Reading from
    /// [`Cursor::START`] gives the whole present state.
    ///
    /// Apply the entries in order: create and update as an upsert, delete as a removal. When `more` is false the client
    /// holds exactly the dataset's state at `position`.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the cursor can no longer be served, [`Error::DatasetNotFound`], [`Error::Invalid`],
    /// [`Error::Damaged`].
    pub fn changes(&self, dataset: impl AsRef<[u8]>, cursor: &Cursor, limits: Limits) -> Result<Page> {
        changes::changes(&*self.core()?, check::dataset(dataset.as_ref())?, cursor, limits)
    }

    /// Whether a read from `cursor` finds every entry in memory: what was committed lately is. Such a read looks up a few
    /// small rows of the index at most, as [`Engine::submit`] does, so an asynchronous server may do it in place, where
    /// it should not read the disk. No while the index store is not [at hand](Engine::is_at_hand).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn in_memory(&self, cursor: &Cursor) -> Result<bool> {
        let core = self.core()?;
        Ok(match cursor.0 {
            Kind::Head => core.index.is_at_hand(),
            Kind::After(position) | Kind::Exact(Exact { position, .. }) => {
                position >= core.tails.pin().base().saturating_sub(1) && core.index.is_at_hand()
            }
            Kind::Oldest | Kind::SinceTime(_) => false,
        })
    }

    /// Whether the index store can be reached at once. While it is opened anew, after a full disk, whoever reads, watches or
    /// commits waits for that: an asynchronous server has another thread do it then.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn is_at_hand(&self) -> Result<bool> {
        Ok(self.core()?.index.is_at_hand())
    }

    /// What changed in many datasets, as of one moment and under one budget, beginning with the request's index
    /// `first` and going round. At least one entry is delivered if any is due; a dataset that was not reached says so.
    /// Pass the answer's `next_index` as the next `first`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] above 65,536 datasets. What concerns one dataset is in its part of the answer.
    pub fn changes_many(&self, request: &[(&[u8], Cursor)], first: usize, limits: Limits) -> Result<ManyPage> {
        many::changes_many(&*self.core()?, request, first, limits)
    }

    /// The entity's newest entry; none if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::DatasetNotFound`], [`Error::Invalid`], [`Error::Damaged`].
    pub fn get(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>) -> Result<Option<Entry>> {
        lookup::get(&*self.core()?, check::dataset(dataset.as_ref())?, check::entity(entity.as_ref())?)
    }

    /// The newest entries of many entities at one moment, in the order asked for, and the cursor of that moment.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    pub fn get_many(&self, dataset: impl AsRef<[u8]>, entities: &[&[u8]]) -> Result<(Vec<Option<Entry>>, Cursor)> {
        self.get_many_within(dataset, entities, usize::MAX)
    }

    /// The same, but refused if they hold more than `max_bytes` together: of entities and payloads, and of more than one
    /// entity.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    pub fn get_many_within(
        &self,
        dataset: impl AsRef<[u8]>,
        entities: &[&[u8]],
        max_bytes: usize,
    ) -> Result<(Vec<Option<Entry>>, Cursor)> {
        lookup::get_many(&*self.core()?, check::dataset(dataset.as_ref())?, entities, max_bytes)
    }

    /// Every entry of an entity that is still there, oldest first; the newest `limit` of them.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    pub fn history(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>, limit: usize) -> Result<Vec<Entry>> {
        let limits = Limits { max_entries: limit, max_bytes: usize::MAX, ..Limits::default() };
        self.history_within(dataset, entity, limits).map(|(entries, _)| entries)
    }

    /// The same, within limits: the newest entries that they allow, and whether older ones were left out. The limits' view
    /// does not matter.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    pub fn history_within(
        &self,
        dataset: impl AsRef<[u8]>,
        entity: impl AsRef<[u8]>,
        limits: Limits,
    ) -> Result<(Vec<Entry>, bool)> {
        lookup::history(&*self.core()?, check::dataset(dataset.as_ref())?, check::entity(entity.as_ref())?, limits)
    }

    /// Entities that exist, in byte order of their ids, behind `after`, at most `limit`: with their keys, which change
    /// with every write and so serve as tags to compare.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    pub fn entities(&self, dataset: impl AsRef<[u8]>, after: Option<&[u8]>, limit: usize) -> Result<Vec<EntityRow>> {
        lookup::entities(&*self.core()?, check::dataset(dataset.as_ref())?, after, limit)
    }

    /// Entries newest first, below `before` (none: from the head): a timeline. The limits' view does not matter.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    pub fn recent(&self, dataset: impl AsRef<[u8]>, before: Option<SyncKey>, limits: Limits) -> Result<Vec<Entry>> {
        lookup::recent(&*self.core()?, check::dataset(dataset.as_ref())?, before, limits)
    }

    /// What a dataset holds.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    pub fn stat(&self, dataset: impl AsRef<[u8]>) -> Result<DatasetStat> {
        describe::stat(&*self.core()?, check::dataset(dataset.as_ref())?)
    }

    /// What the store holds.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn store_stat(&self) -> Result<StoreStat> {
        describe::store_stat(&*self.core()?)
    }

    /// Names of datasets that begin with `prefix`, in byte order, behind `after`, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Damaged`].
    pub fn datasets(&self, prefix: impl AsRef<[u8]>, after: Option<&[u8]>, limit: usize) -> Result<NamePage> {
        describe::datasets(&*self.core()?, prefix.as_ref(), after, limit)
    }

    /// The key up to which everything is synced.
    pub fn visible(&self) -> SyncKey {
        self.core().map_or_else(|_| self.handle.last.lock().0, |core| SyncKey::new(core.visible()))
    }

    /// Wakes when the head of one of these datasets passes the key beside it, at once if it has already. The datasets
    /// need not exist yet. The watcher holds no data: read the changes when it wakes, and register again.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("store");
    /// # use std::time::Duration;
    /// # use tidelog::{Batch, Engine, Options, SyncKey};
    /// # let engine = Engine::open(&dir, Options::default())?;
    /// let mut watch = engine.watch(&[(b"inbox", SyncKey::ZERO)])?;
    /// let mut batch = Batch::new();
    /// batch.put("inbox", "message-1", "hello");
    /// engine.append(batch)?;
    /// assert!(watch.wait(Duration::from_secs(10)));
    /// # Ok::<(), tidelog::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] above [`Options::max_watchers`], [`Error::Invalid`], [`Error::Closed`].
    pub fn watch(&self, datasets: &[(&[u8], SyncKey)]) -> Result<Watch> {
        self.register(datasets, false)
    }

    /// The same for whoever holds a dataset up to the key beside it, where that is above 0: wakes at once too if there is
    /// no such dataset any more, or another one of its name. One that is deleted between a read and [`Engine::watch`] wakes
    /// nobody.
    ///
    /// # Errors
    ///
    /// As [`Engine::watch`].
    pub fn watch_held(&self, datasets: &[(&[u8], SyncKey)]) -> Result<Watch> {
        self.register(datasets, true)
    }

    fn register(&self, datasets: &[(&[u8], SyncKey)], held: bool) -> Result<Watch> {
        let core = self.core()?;
        if datasets.len() > MAX_DATASETS_PER_CALL {
            return Err(Error::invalid(format!(
                "{} datasets in one watcher, at most {MAX_DATASETS_PER_CALL} are allowed",
                datasets.len()
            )));
        }
        let named =
            datasets.iter().map(|(name, after)| Ok((check::name(name)?, after.get()))).collect::<Result<Vec<_>>>()?;
        let late = planted(Bug::WatchRegisteredLate);
        let watch = core.watchers.register(if late { &[] } else { &named })?;
        // Registered first, looked at second: a head that moves in between is seen by one of the two.
        let store = core.store();
        let pin = pin::Pin::new(&core, &store);
        for (name, after) in &named {
            let due = match pin.dataset(name)? {
                // One that was made after the key, to which deleting the one before led, need have no entry.
                Some(dataset) => dataset.head() > *after || held && *after > 0 && dataset.id > *after,
                None => held && *after > 0,
            };
            if due {
                watch.fire();
                break;
            }
        }
        if self.core().is_err() {
            watch.fire();
        }
        if late {
            std::thread::sleep(std::time::Duration::from_millis(50));
            return core.watchers.register(&named);
        }
        Ok(watch)
    }

    /// The retention in force for a dataset.
    ///
    /// # Errors
    ///
    /// [`Error::DatasetNotFound`], [`Error::Closed`], [`Error::Damaged`].
    pub fn retention(&self, dataset: impl AsRef<[u8]>) -> Result<Retention> {
        describe::retention(&*self.core()?, check::dataset(dataset.as_ref())?)
    }
}
