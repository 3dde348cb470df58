//! What writes: batches, and the control records that take keys like them.

use super::pin::Pin;
use super::request::Work;
use super::{Engine, Receipt, check};
use crate::error::{Error, Result};
use crate::limits::MAX_DATASET_BYTES;
use crate::planted::{Bug, planted};
use crate::types::{Batch, Commit, Durability, Keep, Retention};

impl Engine {
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

    /// Sets a dataset's retention, from now on; a dataset that does not exist is created, empty.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::append`].
    pub fn set_retention(&self, dataset: impl AsRef<[u8]>, retention: Retention) -> Result<()> {
        let dataset = check::name(dataset.as_ref())?;
        let was_window = self.was_window(&dataset)?;
        self.control(Work::SetRetention { dataset, retention })?;
        if was_window && retention.keep == Keep::Live && !planted(Bug::WindowNotFlushed) {
            // Who reads what lives from now on must not miss what would live again after a crash: what a window drops
            // in the background is flushed with the next seal, which also ends it. The retention itself is durable.
            if let Err(error) = self.core()?.store().flush() {
                tracing::warn!(%error, "what a window dropped may live again after a crash before the next seal");
            }
        }
        Ok(())
    }

    /// Whether the dataset is a window, or lost entries as one.
    fn was_window(&self, name: &[u8]) -> Result<bool> {
        let core = self.core()?;
        let store = core.store();
        Ok(match Pin::of(&core, &store, name) {
            Ok((_, dataset)) => {
                dataset.record().window_floor > 0 || core.retention_or_default(dataset.retention()).keep == Keep::Window
            }
            Err(Error::DatasetNotFound { .. }) => false,
            Err(error) => return Err(error),
        })
    }

    /// Whether the store takes writes now, and will for a while, as far as is known without one.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] after a failed write or sync, [`Error::NoSpace`] while the disk has no room for another segment of
    /// the log, [`Error::SealFailed`], [`Error::Closed`].
    pub fn check_writable(&self) -> Result<()> {
        let core = self.core()?;
        if let Some(cause) = core.poison.get() {
            return Err(Error::Poisoned { cause: cause.clone() });
        }
        if let Some(failure) = core.seal_failure() {
            return Err(failure.error());
        }
        core.store().check_room(core.options.segment_limit())
    }

    fn control(&self, work: Work) -> Result<()> {
        let core = self.core()?;
        core.commits.append(&core, work, Durability::Synced, MAX_DATASET_BYTES)?;
        Ok(())
    }
}
