//! The way to the open store, which is closed and opened again after a full disk.
//!
//! A flush that finds the disk full takes RocksDB out of service. By itself it comes back up to five seconds after there
//! is space again, and its interface has nothing to hurry it. So it is replaced: readers are moved to a read-only opening
//! of what was flushed, the stopped one is closed, the store is opened anew, and readers are moved there. What was
//! committed and not flushed is lost by this, as by a crash: a seal whose flush failed is made again from its tail, which
//! is let go only after the flush, and so is a step of compaction.
//!
//! A read may take long, and hold an opening that was replaced. The files that it reads stay: the one that stopped has
//! ended its work in the background before the read-only opening looks, that one removes nothing ever, and the last one
//! neither compacts nor is written to before the read-only one is closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::open::Mode;
use super::{Result, Store, StoreOptions};
use crate::error::Error;

/// How long calls under way are waited for before it is left to the next attempt.
const PATIENCE: Duration = Duration::from_millis(200);

/// Where the open store is found.
pub struct Index {
    present: RwLock<Arc<Store>>,
    /// What was replaced and may be held by a call still. Nothing is written meanwhile: whoever holds it and pins the
    /// tails later must find everything in the two together.
    replaced: Mutex<Option<Arc<Store>>>,
}

impl Index {
    /// A store that was just opened.
    pub fn new(store: Store) -> Index {
        Index { present: RwLock::new(Arc::new(store)), replaced: Mutex::default() }
    }

    /// The store, to be held for one call.
    pub fn get(&self) -> Arc<Store> {
        self.present.read().clone()
    }

    /// Makes sure that the store is in service and that there is room for `more` bytes. `at_least` is what the ledger says
    /// it has applied. Only the thread that writes may call this, while it holds no store.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`] as long as there is no room, and those of opening. Reads go on in any case.
    pub fn ready(&self, options: &StoreOptions, at_least: u64, more: u64) -> Result<()> {
        self.close_replaced()?;
        let store = self.get();
        if !store.is_stopped() {
            match store.check_room(more) {
                // One of RocksDB's own compactions may have failed already: the next flush would be refused for it.
                Err(error) if !store.has_failed() => return Err(error),
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
        let (vfs, dir) = (store.vfs.clone(), store.dir().to_path_buf());
        // At once, not when there is room again: closing waits while RocksDB sleeps for a second over its failure.
        let read_only = store.is_read_only();
        if !read_only {
            // Its compactions would delete files that the next opening counts on.
            store.kv.stop();
        }
        drop(store);
        if !read_only {
            // For a while only, beside the one that is closed.
            let options =
                &StoreOptions { memory: options.memory / 4, cache_bytes: options.cache_bytes / 4, ..*options };
            self.replace(Store::open_read_only(&vfs, &dir, options, at_least)?)?;
        }
        self.get().check_room(more)?;
        self.replace(Store::open_again(&vfs, &dir, options, at_least, Mode::Beside)?)?;
        tracing::info!(dir = %dir.display(), "opened the index store again after the disk was full");
        Ok(())
    }

    fn replace(&self, store: Store) -> Result<()> {
        let replaced = std::mem::replace(&mut *self.present.write(), Arc::new(store));
        *self.replaced.lock() = Some(replaced);
        self.close_replaced()
    }

    /// Closes what was replaced once no call holds it any more.
    fn close_replaced(&self) -> Result<()> {
        let mut replaced = self.replaced.lock();
        if replaced.is_none() {
            return Ok(());
        }
        let until = Instant::now() + PATIENCE;
        while replaced.as_ref().is_some_and(|store| Arc::strong_count(store) > 1) {
            if Instant::now() > until {
                return Err(Error::NoSpace { what: "the index store is opened again when reads under way end".into() });
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        let store = self.get();
        if store.mode == Mode::Beside {
            store.kv.compact_from_now_on(store.dir())?;
        }
        *replaced = None;
        Ok(())
    }
}
