//! The public handle: thin, over the parts that do the work.

mod backup;
mod changes;
mod check;
mod commit;
mod compaction;
mod consumer;
mod consumer_calls;
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
mod read_calls;
mod request;
mod tails;
#[cfg(test)]
mod tests;
mod time;
mod upkeep_calls;
mod watch;
mod write_calls;

use std::fmt;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

pub use backup::restore;
pub use request::Receipt;
pub use watch::Watch;

use self::core::Core;
use self::request::is_waking;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::planted::Planted;
use crate::types::{Metrics, SyncKey};
use crate::vfs::LockGuard;

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
/// assert_eq!(page.entries.first().and_then(|entry| entry.payload), Some(&b"hello"[..]));
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
            let (core, planted) = (core.clone(), Planted::here());
            let run = move || {
                planted.go_on();
                run(&core);
            };
            let thread = std::thread::Builder::new().name(name.into()).spawn(run);
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
    /// fails. The store is closed all the same. [`Error::Invalid`] if a waker calls it, which may not wait: the store is
    /// open still.
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }

    fn core(&self) -> Result<Arc<Core>> {
        let core = self.handle.core.read().clone().ok_or(Error::Closed)?;
        core.check_open()?;
        Ok(core)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("dir", &self.handle.dir).finish_non_exhaustive()
    }
}

impl Handle {
    fn close(&self) -> Result<()> {
        if is_waking() {
            // It would wait for this very thread.
            return Err(Error::invalid("a waker may not close a store: close it elsewhere"));
        }
        let Some(core) = self.core.write().take() else { return Ok(()) };
        let began = Instant::now();
        core.closed.store(true, Ordering::Release);
        core.commits.close(&core);
        core.jobs.stop();
        core.commits.room.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        core.watchers.wake_all();
        let flushed = core.store().flush();
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
        let elapsed_ms = began.elapsed().as_millis() as u64;
        tracing::info!(dir = %self.dir.display(), elapsed_ms, "closed");
        closed.and(flushed)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if is_waking() {
            // What a waker woke, or dropped, had the last clone.
            let handle = ManuallyDrop::new(Handle {
                dir: std::mem::take(&mut self.dir),
                core: RwLock::new(self.core.get_mut().take()),
                threads: Mutex::new(std::mem::take(self.threads.get_mut())),
                lock: Mutex::new(self.lock.get_mut().take()),
                last: Mutex::default(),
            });
            // Without a thread the store stays open, and locked, until the process ends.
            let _ = std::thread::Builder::new().spawn(|| drop(ManuallyDrop::into_inner(handle)));
            return;
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "closing the store failed");
        }
    }
}
