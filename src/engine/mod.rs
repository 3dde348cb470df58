//! The public handle.
#![allow(unused_variables)]

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::cursor::Cursor;
use crate::error::Result;
use crate::options::Options;
use crate::types::*;

/// An open store. Clones are cheap and share it.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Opens the store in `dir`.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Engine> {
        todo!()
    }
    /// Closes the store cleanly; later calls on any clone fail with `Error::Closed`.
    pub fn close(&self) -> Result<()> {
        todo!()
    }

    /// Commits a batch, and returns when it is synced.
    pub fn append(&self, batch: Batch) -> Result<Commit> {
        todo!()
    }
    /// Commits a batch with the durability named.
    pub fn append_with(&self, batch: Batch, durability: Durability) -> Result<Commit> {
        todo!()
    }
    /// Hands a batch in and returns a receipt at once.
    pub fn submit(&self, batch: Batch, durability: Durability) -> Result<Receipt> {
        todo!()
    }
    /// Deletes a dataset; creating it again begins a new incarnation.
    pub fn delete_dataset(&self, dataset: impl AsRef<[u8]>) -> Result<()> {
        todo!()
    }

    /// What changed in `dataset` since `cursor`.
    pub fn changes(&self, dataset: impl AsRef<[u8]>, cursor: &Cursor, limits: Limits) -> Result<Page> {
        todo!()
    }
    /// What changed in many datasets, under one budget; filled round robin from the request's index `first`.
    pub fn changes_many(&self, request: &[(&[u8], Cursor)], first: usize, limits: Limits) -> Result<ManyPage> {
        todo!()
    }
    /// The entity's newest entry; none if it does not exist (or its newest entry is a delete).
    pub fn get(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>) -> Result<Option<Entry>> {
        todo!()
    }
    /// Many entities of one moment, and the cursor of that moment.
    pub fn get_many(&self, dataset: impl AsRef<[u8]>, entities: &[&[u8]]) -> Result<(Vec<Option<Entry>>, Cursor)> {
        todo!()
    }
    /// Every entry of an entity that is still there, oldest first, at most `limit` of the newest.
    pub fn history(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>, limit: usize) -> Result<Vec<Entry>> {
        todo!()
    }
    /// Live entities in id order, after `after`, at most `limit`.
    pub fn entities(&self, dataset: impl AsRef<[u8]>, after: Option<&[u8]>, limit: usize) -> Result<Vec<EntityRow>> {
        todo!()
    }
    /// Entries newest first, below `before` (none: from the head).
    pub fn recent(&self, dataset: impl AsRef<[u8]>, before: Option<SyncKey>, limits: Limits) -> Result<Vec<Entry>> {
        todo!()
    }
    /// What a dataset holds.
    pub fn stat(&self, dataset: impl AsRef<[u8]>) -> Result<DatasetStat> {
        todo!()
    }
    /// What the store holds.
    pub fn store_stat(&self) -> Result<StoreStat> {
        todo!()
    }
    /// Names of datasets that begin with `prefix`, in byte order, after `after`, at most `limit`.
    pub fn datasets(&self, prefix: impl AsRef<[u8]>, after: Option<&[u8]>, limit: usize) -> Result<NamePage> {
        todo!()
    }
    /// The key up to which everything is synced.
    pub fn visible(&self) -> SyncKey {
        todo!()
    }

    /// Wakes when the head of one of these datasets passes the key beside it. The datasets need not exist yet.
    pub fn watch(&self, datasets: &[(&[u8], SyncKey)]) -> Result<Watch> {
        todo!()
    }

    /// A consumer's next page after its acknowledged position (a consumer that is new begins at 0).
    pub fn consumer_fetch(&self, name: &str, dataset: impl AsRef<[u8]>, limits: Limits) -> Result<Page> {
        todo!()
    }
    /// Acknowledges all up to `upto`; the position becomes the greater of the two, and is returned.
    pub fn consumer_ack(&self, name: &str, dataset: impl AsRef<[u8]>, upto: SyncKey) -> Result<SyncKey> {
        todo!()
    }
    /// Forgets a consumer and its lease.
    pub fn consumer_remove(&self, name: &str, dataset: impl AsRef<[u8]>) -> Result<()> {
        todo!()
    }
    /// Consumers in order of name and dataset, after `after`, at most `limit`.
    pub fn consumers(&self, after: Option<(&str, &[u8])>, limit: usize) -> Result<Vec<Consumer>> {
        todo!()
    }

    /// Sets a dataset's retention; a dataset that does not exist is created, empty.
    pub fn set_retention(&self, dataset: impl AsRef<[u8]>, retention: Retention) -> Result<()> {
        todo!()
    }
    /// A dataset's retention.
    pub fn retention(&self, dataset: impl AsRef<[u8]>) -> Result<Retention> {
        todo!()
    }
    /// Seals the tails and trims now: one dataset, or all.
    pub fn compact(&self, dataset: Option<&[u8]>) -> Result<CompactionReport> {
        todo!()
    }
    /// The same, telling `progress` how many datasets of how many are done.
    pub fn compact_with(&self, dataset: Option<&[u8]>, progress: &mut dyn FnMut(u64, u64)) -> Result<CompactionReport> {
        todo!()
    }
    /// Seals all that was committed before this call.
    pub fn seal(&self) -> Result<()> {
        todo!()
    }
    /// Accepts the wall clock as it is now, after a jump held back retention by age.
    pub fn confirm_clock(&self) {
        todo!()
    }
    /// Counters and gauges.
    pub fn metrics(&self) -> Metrics {
        todo!()
    }
    /// Copies the store, as of one visible key, into `dest`, which must not exist; writers and readers go on.
    pub fn backup(&self, dest: impl AsRef<Path>) -> Result<BackupReport> {
        todo!()
    }
}

/// A commit under way.
pub struct Receipt {}
impl Receipt {
    /// Waits for the outcome.
    pub fn wait(self) -> Result<Commit> {
        todo!()
    }
}
impl Future for Receipt {
    type Output = Result<Commit>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}

/// A registered watcher. It holds no data.
pub struct Watch {}
impl Watch {
    /// Waits until a head passes its key, or the time is over; tells whether one did.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        todo!()
    }
}
impl Future for Watch {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        todo!()
    }
}

/// Checks the store in `dir`, which no one may have open, and changes nothing. `progress` gets bytes done and bytes in
/// all.
pub fn verify(dir: impl AsRef<Path>, options: &Options, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport> {
    todo!()
}

/// Makes a store in `dest` (which must not exist) of the backup in `src`, with a new lineage.
pub fn restore(src: impl AsRef<Path>, dest: impl AsRef<Path>, options: &Options) -> Result<()> {
    todo!()
}
