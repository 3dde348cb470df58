//! The way to the open store, which is closed and opened again after a full disk.
//!
//! A flush that finds the disk full takes RocksDB out of service. By itself it comes back up to five seconds after there
//! is space again, and its interface has nothing to hurry it. So it is replaced: readers are moved to a read-only opening
//! of what was flushed, the stopped one is closed, the store is opened anew, and readers are moved there. What was
//! committed and not flushed is lost by this, as by a crash: a seal whose flush failed is made again from its tail, which
//! is let go only after the flush, and so is a step of compaction.
//!
//! A read may take long, and hold an opening that is to be replaced. The files that it reads stay: the one that stopped
//! has ended its work in the background before the read-only opening looks, that one removes nothing ever, and the last
//! one is opened when nobody reads from the read-only one any more: its compactions remove files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::{Result, Store, StoreOptions};
use crate::error::Error;

/// How long calls under way are waited for before it is left to the next attempt.
const PATIENCE: Duration = Duration::from_millis(200);

/// The same while new calls wait too.
const GATE: Duration = Duration::from_millis(50);

/// How long room must last, once it was lacking, before RocksDB is let to write: whoever else fills the disk may be
/// faster, and then RocksDB is out of service for a second.
const LASTING: Duration = Duration::from_millis(20);

/// Where the open store is found.
pub struct Index {
    pub(super) present: RwLock<Arc<Store>>,
    /// What was stopped, replaced, and may be held by a call still. Nothing is written meanwhile: whoever holds it and pins
    /// the tails later must find everything in the two together.
    replaced: Mutex<Option<Arc<Store>>>,
    /// Whether room was lacking when it was last looked for.
    lacking: AtomicBool,
}

impl Index {
    /// A store that was just opened.
    pub fn new(store: Store) -> Index {
        Index { present: RwLock::new(Arc::new(store)), replaced: Mutex::default(), lacking: AtomicBool::new(false) }
    }

    /// The store, to be held for one call.
    pub fn get(&self) -> Arc<Store> {
        self.present.read().clone()
    }

    /// Whether [`Index::get`] would return at once. It does not while the store is opened anew.
    pub fn is_at_hand(&self) -> bool {
        self.present.try_read().is_some()
    }

    /// Makes sure that the store is in service and that there is room for `more` bytes. `at_least` is what the ledger says
    /// it has applied. Only the thread that writes may call this, while it holds no store.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`] as long as there is no room, and those of opening. Reads go on in any case; those that begin while
    /// it is opened wait for that.
    pub fn ready(&self, options: &StoreOptions, at_least: u64, more: u64) -> Result<()> {
        self.close_replaced()?;
        let store = self.get();
        if !store.is_stopped() {
            match self.check_room(&store, more) {
                // One of RocksDB's own compactions may have failed already: the next flush would be refused for it.
                Err(error) if !store.has_failed() => return Err(error),
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
        self.lacking.store(true, Ordering::Relaxed);
        let (vfs, dir) = (store.vfs.clone(), store.dir().to_path_buf());
        if !store.is_read_only() {
            // At once, not when there is room again: closing waits while RocksDB sleeps for a second over its failure.
            // Whatever fails from here on, it is not used again.
            store.stopped.store(true, Ordering::Release);
            // Its compactions would delete files that the next opening counts on.
            store.kv.stop();
            // For a while only, beside the one that is closed.
            let options =
                &StoreOptions { memory: options.memory / 4, cache_bytes: options.cache_bytes / 4, ..*options };
            let read_only = Arc::new(Store::open_read_only(&vfs, &dir, options, at_least)?);
            *self.replaced.lock() = Some(std::mem::replace(&mut *self.present.write(), read_only));
        }
        drop(store);
        self.close_replaced()?;
        self.check_room(&self.get(), more)?;
        let mut present = self.present.write();
        wait_until_free(&present, GATE)?;
        let torn = present.torn_end().cloned();
        *present = Arc::new(Store::open_again(&vfs, &dir, options, at_least, torn.as_ref())?);
        tracing::info!(dir = %dir.display(), "opened the index store again after the disk was full");
        Ok(())
    }

    /// Whether there is room, and has been for a moment if it was lacking before.
    fn check_room(&self, store: &Store, more: u64) -> Result<()> {
        let mut outcome = store.check_room(more);
        if outcome.is_ok() && self.lacking.load(Ordering::Relaxed) {
            std::thread::sleep(LASTING);
            outcome = store.check_room(more);
        }
        self.lacking.store(outcome.is_err(), Ordering::Relaxed);
        outcome
    }

    /// Closes what was replaced once no call holds it any more.
    fn close_replaced(&self) -> Result<()> {
        let mut replaced = self.replaced.lock();
        if let Some(store) = &*replaced {
            wait_until_free(store, PATIENCE)?;
        }
        *replaced = None;
        Ok(())
    }
}

/// Waits until nobody else holds a store.
fn wait_until_free(store: &Arc<Store>, patience: Duration) -> Result<()> {
    let until = Instant::now() + patience;
    while Arc::strong_count(store) > 1 {
        if Instant::now() > until {
            return Err(Error::NoSpace { what: "the index store is opened again when reads under way end".into() });
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}
