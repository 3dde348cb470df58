//! What all parts of an open engine share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use super::commit::{Commits, Writer};
use super::counters::Counters;
use super::maintain::Jobs;
use super::names::NameCache;
use super::tails::TailSet;
use super::time::EngineClock;
use super::watch::Watchers;
use crate::error::{Error, Result};
use crate::log::Ledger;
use crate::options::{Options, SyncKeys};
use crate::seal::AliveCache;
use crate::store::{Index, Store};
use crate::tail::Tail;
use crate::types::Retention;

/// An open engine, as its parts and threads see it.
pub struct Core {
    pub dir: PathBuf,
    pub options: Options,
    pub sync_keys: SyncKeys,
    pub lineage: Lineages,
    pub(super) index: Index,
    pub ledger: Arc<Mutex<Ledger>>,
    pub tails: TailSet,
    pub commits: Commits,
    pub names: NameCache,
    pub alive: AliveCache,
    pub watchers: Arc<Watchers>,
    pub clock: EngineClock,
    pub metrics: Counters,
    pub jobs: Jobs,
    /// The first failed write or sync, after which nothing is written or acknowledged any more.
    pub poison: OnceLock<String>,
    pub closed: AtomicBool,
    pub(super) visible: AtomicU64,
    pub(super) deletions: AtomicU64,
    pub(super) sealing: Mutex<Option<NoRoom>>,
}

/// Why no tail can take more. A value, so that all of a group are told the same.
#[derive(Clone)]
pub(super) enum NoRoom {
    Poisoned(String),
    /// The last seal found no space: it heals by itself, once there is some.
    NoSpace(String),
    SealFailed(String),
}

impl NoRoom {
    pub(super) fn of_seal(error: &Error) -> NoRoom {
        match error {
            Error::NoSpace { what } => NoRoom::NoSpace(what.clone()),
            Error::Poisoned { cause } => NoRoom::Poisoned(cause.clone()),
            other => NoRoom::SealFailed(other.to_string()),
        }
    }

    pub(super) fn error(&self) -> Error {
        match self.clone() {
            NoRoom::Poisoned(cause) => Error::Poisoned { cause },
            NoRoom::NoSpace(what) => Error::NoSpace { what },
            NoRoom::SealFailed(cause) => Error::SealFailed { cause },
        }
    }
}

/// This store's histories.
pub struct Lineages {
    /// The present one.
    pub present: u64,
    /// Earlier ones, each with the last key that this store shares with it.
    pub earlier: Vec<(u64, u64)>,
    /// Ranges of keys that may have been handed out and lost, without their ends.
    pub gaps: Vec<(u64, u64)>,
}

/// Stands while commits are written or synced: if the thread panics meanwhile, how far it came is not known, and nothing
/// is written any more.
pub(super) struct Unbroken<'a>(Option<&'a Core>);

impl<'a> Unbroken<'a> {
    pub(super) fn begin(core: &'a Core) -> Unbroken<'a> {
        Unbroken(Some(core))
    }

    pub(super) fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Unbroken<'_> {
    fn drop(&mut self) {
        if let Some(core) = self.0 {
            core.poison("a thread panicked while it wrote or synced commits");
        }
    }
}

impl Core {
    /// The key up to which everything is synced.
    pub fn visible(&self) -> u64 {
        self.visible.load(Ordering::SeqCst)
    }

    pub(super) fn publish(&self, last_key: u64) {
        // Ordered with the count of watchers: a watcher finds either this, or is found.
        self.visible.fetch_max(last_key, Ordering::SeqCst);
    }

    /// Tells the watchers of these datasets how far their heads have come.
    pub(super) fn wake(&self, heads: &[(Bytes, u64)]) {
        if self.watchers.count() > 0 {
            heads.iter().for_each(|(dataset, key)| self.watchers.publish(dataset, *key));
        }
    }

    /// How often a dataset was deleted, or a commit taken back, since opening: whoever knows an id by name, or looked at
    /// what was written and not synced yet, looks again when this has moved.
    pub fn deletions(&self) -> u64 {
        self.deletions.load(Ordering::SeqCst)
    }

    pub(super) fn count_deletion(&self) {
        self.deletions.fetch_add(1, Ordering::SeqCst);
    }

    /// Latches the first failure.
    pub fn poison(&self, cause: &str) {
        if self.poison.set(cause.to_string()).is_ok() {
            tracing::error!(cause, "the store takes no more writes");
        }
    }

    pub(super) fn poison_with(&self, error: &Error) -> Error {
        self.poison(&error.to_string());
        Error::Poisoned { cause: self.poison.get().cloned().unwrap_or_default() }
    }

    /// The index store as it is reached now. Whoever holds it keeps it from being replaced: hold it for one call.
    pub fn store(&self) -> Arc<Store> {
        self.index.get()
    }

    /// Why sealing fails at the moment, if it does.
    pub(super) fn seal_failure(&self) -> Option<NoRoom> {
        self.sealing.lock().clone()
    }

    /// Notes how a seal ended. That it fails is told once for each kind of failure: a full disk may last, and it is tried
    /// many times a second.
    pub(super) fn note_seal(&self, failure: Option<&Error>) {
        let now = failure.map(NoRoom::of_seal);
        let kind = now.as_ref().map(std::mem::discriminant);
        let before = std::mem::replace(&mut *self.sealing.lock(), now);
        self.commits.room.notify_all();
        let Some(error) = failure else { return };
        self.metrics.seal_failures.fetch_add(1, Ordering::Relaxed);
        if before.as_ref().map(std::mem::discriminant) != kind {
            tracing::warn!(%error, "sealing failed; it is tried again");
        }
    }

    /// Freezes the active tail, which holds all that is written, so that it is sealed.
    pub(super) fn freeze(&self, writer: &Writer) {
        self.tails.freeze(Tail::new(writer.next_key, writer.log.end()));
        self.jobs.wake();
    }

    /// The last key that was written and not sealed; one below all that will be if there is none.
    pub(super) fn last_written(&self) -> u64 {
        let _writer = self.commits.writer.lock();
        self.commits.complete_tail(self);
        self.tails.pin().active().read().last_key
    }

    /// Freezes what is written so far, if anything is.
    pub(super) fn freeze_written(&self) {
        let writer = self.commits.writer.lock();
        self.commits.complete_tail(self);
        if !self.tails.pin().active().is_empty() {
            self.freeze(&writer);
        }
    }

    /// Whether the engine is still open.
    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// The retention in force for a dataset that has this one set.
    pub fn retention_or_default(&self, set: Option<Retention>) -> Retention {
        set.unwrap_or(self.options.retention)
    }
}
