//! What keeps a store in shape: sealing, compaction, backup, and the counters to watch it by.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::core::Core;
use super::{Engine, backup, check, compaction, counters, maintain};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::types::{BackupReport, CompactionReport, Metrics};

impl Engine {
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
        let state = Arc::new(compaction::Progress::default());
        let shared = state.clone();
        let work = move |core: &Core| compaction::compact_now(core, dataset, &shared);
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

    /// Accepts the wall clock as it is now, after a jump across a restart: until then commits are dated from the last one
    /// before it on, and retention by age is held back as far. The first commit after it makes it known to the store.
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
}
