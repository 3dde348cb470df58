//! Durable consumers.

use super::{Engine, check, consumer};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
#[cfg(doc)]
use crate::options::Options;
#[cfg(doc)]
use crate::types::View;
use crate::types::{Consumer, Limits, Page, SyncKey};

impl Engine {
    /// A durable consumer's next page behind the position it has acknowledged; one that is new begins at 0. What was
    /// fetched and not acknowledged comes again. One that began with [`View::Latest`] reads the state of that moment to its
    /// end in this view.
    ///
    /// # Errors
    ///
    /// [`Error::Evicted`] if changes it has not seen are gone, [`Error::Invalid`] for [`View::Every`] amid a first read of
    /// the other, and those of [`Engine::changes`].
    pub fn consumer_fetch(&self, name: &str, dataset: impl AsRef<[u8]>, limits: Limits) -> Result<Page> {
        consumer::fetch(&*self.core()?, name, check::dataset(dataset.as_ref())?, limits)
    }

    /// Acknowledges all up to `upto` for a durable consumer; its position becomes the greater of the two and is
    /// returned. From its first fetch or acknowledgement on, retention keeps history for it, within
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
}
