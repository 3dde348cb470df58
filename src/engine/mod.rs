//! The public handle: thin, over the parts that do the work.

mod backup;
mod changes;
mod check;
mod commit;
mod consumer;
mod core;
mod counters;
mod describe;
mod lookup;
mod maintain;
mod many;
mod names;
mod open;
mod pin;
mod prepare;
mod request;
mod tails;
mod time;
mod watch;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

pub use backup::restore;
pub use request::Receipt;
pub use watch::Watch;

use self::core::Core;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::limits::{MAX_DATASET_BYTES, MAX_DATASETS_PER_CALL};
use crate::options::Options;
use crate::types::{
    BackupReport, Batch, Commit, CompactionReport, Consumer, DatasetStat, Durability, EntityRow, Entry, Limits,
    ManyPage, Metrics, NamePage, Page, Retention, StoreStat, SyncKey,
};
use crate::vfs::LockGuard;
use request::Work;

/// An open store.
///
/// Clones are cheap and share it; it can be used from any number of threads. The store is closed when the last clone,
/// receipt and watcher are gone, or by [`Engine::close`].
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("store");
/// use tidelog::{Batch, Cursor, Engine, Limits, Options};
///
/// let engine = Engine::open(&dir, Options::default())?;
/// let mut batch = Batch::new();
/// batch.put("inbox", "message-1", "hello");
/// engine.append(batch)?;
///
/// let page = engine.changes("inbox", &Cursor::START, Limits::default())?;
/// assert_eq!(page.entries[0].payload.as_deref(), Some(&b"hello"[..]));
/// assert!(!page.more);
/// # Ok::<(), tidelog::Error>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    handle: Arc<Handle>,
}

/// What the last clone takes down with it.
struct Handle {
    dir: PathBuf,
    /// None once the engine is closed: the index store and the lock go with it.
    core: RwLock<Option<Arc<Core>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<LockGuard>>,
    /// What is told after closing.
    last: Mutex<(SyncKey, Metrics)>,
}

impl Engine {
    /// Opens the store in `dir`, or creates one in a directory that is missing or empty.
    ///
    /// After an unclean stop the log is recovered: everything that was acknowledged as synced is there.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another process (or another handle) has it open, [`Error::NotFound`] if there is none and
    /// [`Options::create_if_missing`] is off, [`Error::Damaged`] with file and offset, [`Error::FormatTooNew`],
    /// [`Error::Invalid`], [`Error::Io`]. Nothing was changed then.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Engine> {
        let (core, lock) = open::open(dir.as_ref(), options)?;
        let core = Arc::new(core);
        let handle = Handle {
            dir: core.dir.clone(),
            core: RwLock::new(Some(core.clone())),
            threads: Mutex::default(),
            lock: Mutex::new(Some(lock)),
            last: Mutex::default(),
        };
        let engine = Engine { handle: Arc::new(handle) };
        let spawn = |name: &str, run: fn(&Core)| {
            let core = core.clone();
            let thread = std::thread::Builder::new().name(name.into()).spawn(move || run(&core));
            thread.map_err(|source| Error::io("start a thread", source))
        };
        let threads =
            [spawn("tidelog-commit", |core| core.commits.run_background(core))?, spawn("tidelog-seal", maintain::run)?];
        engine.handle.threads.lock().extend(threads);
        Ok(engine)
    }

    /// Closes the store: commits and reads under way are seen through, later calls on any clone fail with
    /// [`Error::Closed`], and watchers wake. The directory is free for another opener then.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] if an earlier write or sync had failed; [`Error::Io`] or [`Error::NoSpace`] if the last sync
    /// fails. The store is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }

    /// Commits a batch, and returns when it is synced.
    ///
    /// # Errors
    ///
    /// Nothing was written: [`Error::Invalid`], [`Error::Conflict`], [`Error::IdempotencyMismatch`], [`Error::NoSpace`],
    /// [`Error::SealFailed`], [`Error::Busy`], [`Error::Poisoned`], [`Error::Closed`]. Perhaps written:
    /// [`Error::OutcomeUnknown`].
    pub fn append(&self, batch: Batch) -> Result<Commit> {
        self.append_with(batch, Durability::Synced)
    }

    /// Commits a batch with the durability named.
    ///
    /// # Errors
    ///
    /// As [`Engine::append`].
    pub fn append_with(&self, batch: Batch, durability: Durability) -> Result<Commit> {
        let core = self.core()?;
        let bytes = check::batch(&core.options, &batch)?;
        core.commits.append(&core, Work::Batch(batch), durability, bytes)
    }

    /// Hands a batch in and returns at once, so that one thread can keep many commits in flight.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("store");
    /// # use tidelog::{Batch, Durability, Engine, Options};
    /// # let engine = Engine::open(&dir, Options::default())?;
    /// let mut receipts = Vec::new();
    /// for n in 0..8 {
    ///     let mut batch = Batch::new();
    ///     batch.put("inbox", format!("message-{n}"), "hello");
    ///     receipts.push(engine.submit(batch, Durability::Synced)?);
    /// }
    /// for receipt in receipts {
    ///     receipt.wait()?;
    /// }
    /// # Ok::<(), tidelog::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with the call, [`Error::Busy`], [`Error::Poisoned`] or [`Error::Closed`]; the rest is the
    /// receipt's.
    pub fn submit(&self, batch: Batch, durability: Durability) -> Result<Receipt> {
        let core = self.core()?;
        let bytes = check::batch(&core.options, &batch)?;
        let request = core.commits.submit(&core, Work::Batch(batch), durability, bytes)?;
        Ok(Receipt::new(&core, request))
    }

    /// Deletes a dataset with all it holds. Creating it again begins a new incarnation: cursors of the old one are
    /// stale.
    ///
    /// # Errors
    ///
    /// [`Error::DatasetNotFound`], and those of [`Engine::append`].
    pub fn delete_dataset(&self, dataset: impl AsRef<[u8]>) -> Result<()> {
        let dataset = check::name(dataset.as_ref())?;
        self.control(Work::DeleteDataset { dataset })
    }

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
        lookup::get_many(&*self.core()?, check::dataset(dataset.as_ref())?, entities)
    }

    /// Every entry of an entity that is still there, oldest first; the newest `limit` of them.
    ///
    /// # Errors
    ///
    /// As [`Engine::get`].
    pub fn history(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>, limit: usize) -> Result<Vec<Entry>> {
        lookup::history(&*self.core()?, check::dataset(dataset.as_ref())?, check::entity(entity.as_ref())?, limit)
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
        let core = self.core()?;
        if datasets.len() > MAX_DATASETS_PER_CALL {
            return Err(Error::invalid(format!(
                "{} datasets in one watcher, at most {MAX_DATASETS_PER_CALL} are allowed",
                datasets.len()
            )));
        }
        let named =
            datasets.iter().map(|(name, after)| Ok((check::name(name)?, after.get()))).collect::<Result<Vec<_>>>()?;
        let watch = core.watchers.register(&named)?;
        // Registered first, looked at second: a head that moves in between is seen by one of the two.
        let pin = pin::Pin::new(&core);
        for (name, after) in &named {
            if let Some(dataset) = pin.dataset(name)?
                && pin.head(&dataset) > *after
            {
                watch.fire();
                break;
            }
        }
        if self.core().is_err() {
            watch.fire();
        }
        Ok(watch)
    }

    /// A durable consumer's next page behind the position it has acknowledged; one that is new begins at 0. What was
    /// fetched and not acknowledged comes again.
    ///
    /// # Errors
    ///
    /// [`Error::Evicted`] if changes it has not seen are gone, and those of [`Engine::changes`].
    pub fn consumer_fetch(&self, name: &str, dataset: impl AsRef<[u8]>, limits: Limits) -> Result<Page> {
        consumer::fetch(&*self.core()?, name, check::dataset(dataset.as_ref())?, limits)
    }

    /// Acknowledges all up to `upto` for a durable consumer; its position becomes the greater of the two and is
    /// returned. From the first acknowledgement on, retention keeps history for it, within
    /// [`Options::consumer_budget`].
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] for a key that is not published, or if the dataset was created again meanwhile;
    /// [`Error::DatasetNotFound`], and those of [`Engine::append`].
    pub fn consumer_ack(&self, name: &str, dataset: impl AsRef<[u8]>, upto: SyncKey) -> Result<SyncKey> {
        consumer::ack(&*self.core()?, name, check::dataset(dataset.as_ref())?, upto)
    }

    /// Forgets a durable consumer and its lease.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::DatasetNotFound`], and those of [`Engine::append`].
    pub fn consumer_remove(&self, name: &str, dataset: impl AsRef<[u8]>) -> Result<()> {
        consumer::remove(&*self.core()?, name, check::dataset(dataset.as_ref())?)
    }

    /// Durable consumers in order of name and dataset, behind `after`, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Damaged`].
    pub fn consumers(&self, after: Option<(&str, &[u8])>, limit: usize) -> Result<Vec<Consumer>> {
        consumer::list(&*self.core()?, after, limit)
    }

    /// Sets a dataset's retention, from now on; a dataset that does not exist is created, empty.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::append`].
    pub fn set_retention(&self, dataset: impl AsRef<[u8]>, retention: Retention) -> Result<()> {
        let dataset = check::name(dataset.as_ref())?;
        self.control(Work::SetRetention { dataset, retention })
    }

    /// The retention in force for a dataset.
    ///
    /// # Errors
    ///
    /// [`Error::DatasetNotFound`], [`Error::Closed`], [`Error::Damaged`].
    pub fn retention(&self, dataset: impl AsRef<[u8]>) -> Result<Retention> {
        describe::retention(&*self.core()?, check::dataset(dataset.as_ref())?)
    }

    /// Seals what is in memory, and trims one dataset, or all, as far as retention demands now.
    ///
    /// # Errors
    ///
    /// [`Error::DatasetNotFound`], [`Error::Damaged`], [`Error::NoSpace`], [`Error::Poisoned`], [`Error::Closed`].
    pub fn compact(&self, dataset: Option<&[u8]>) -> Result<CompactionReport> {
        self.compact_with(dataset, &mut |_, _| {})
    }

    /// The same, telling `progress` now and then how many datasets are done, of about how many.
    ///
    /// # Errors
    ///
    /// As [`Engine::compact`].
    pub fn compact_with(&self, dataset: Option<&[u8]>, progress: &mut dyn FnMut(u64, u64)) -> Result<CompactionReport> {
        let core = self.core()?;
        let dataset = dataset.map(check::name).transpose()?;
        let state = Arc::new(maintain::Progress::default());
        let shared = state.clone();
        let work = move |core: &Core| maintain::compact_now(core, dataset, &shared);
        maintain::run_sealed(&core, work, || {
            progress(state.done.load(Ordering::Relaxed), state.total.load(Ordering::Relaxed));
        })
    }

    /// Seals everything committed before this call. It happens by itself whenever a tail is full.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`], [`Error::Store`], [`Error::Poisoned`], [`Error::Closed`].
    pub fn seal(&self) -> Result<()> {
        maintain::run_sealed(&*self.core()?, |_| Ok(()), || {})
    }

    /// Accepts the wall clock as it is now, after a jump across a restart has held back retention by age.
    pub fn confirm_clock(&self) {
        if let Ok(core) = self.core() {
            core.clock.confirm();
        }
    }

    /// Counters since opening, and gauges of the moment.
    pub fn metrics(&self) -> Metrics {
        self.core().map_or_else(|_| self.handle.last.lock().1, |core| counters::metrics(&core))
    }

    /// Copies the store, as of one visible key, into `dest`, which must not exist; writers and readers go on. The copy
    /// is not a store yet: [`restore`](crate::restore) makes one of it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `dest` exists, [`Error::NoSpace`], [`Error::Io`], [`Error::Poisoned`], [`Error::Closed`].
    pub fn backup(&self, dest: impl AsRef<Path>) -> Result<BackupReport> {
        let core = self.core()?;
        let dest = dest.as_ref().to_path_buf();
        core.jobs.run(move |core| backup::backup(core, dest), || {})
    }

    fn core(&self) -> Result<Arc<Core>> {
        let core = self.handle.core.read().clone().ok_or(Error::Closed)?;
        core.check_open()?;
        Ok(core)
    }

    fn control(&self, work: Work) -> Result<()> {
        let core = self.core()?;
        core.commits.append(&core, work, Durability::Synced, MAX_DATASET_BYTES)?;
        Ok(())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("dir", &self.handle.dir).finish_non_exhaustive()
    }
}

impl Handle {
    fn close(&self) -> Result<()> {
        let Some(core) = self.core.write().take() else { return Ok(()) };
        core.closed.store(true, Ordering::Release);
        core.commits.close(&core);
        core.jobs.stop();
        core.commits.room.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        core.watchers.wake_all();
        let flushed = core.store.flush();
        let closed = {
            let mut writer = core.commits.writer.lock();
            let next_key = writer.next_key;
            match core.poison.get() {
                Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
                None => writer.log.close(next_key),
            }
        };
        *self.last.lock() = (SyncKey::new(core.visible()), counters::metrics(&core));
        // Calls under way hold the core for as long as they take.
        while Arc::strong_count(&core) > 1 {
            std::thread::sleep(Duration::from_micros(200));
        }
        drop(core);
        drop(self.lock.lock().take());
        closed.and(flushed)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "closing the store failed");
        }
    }
}
