use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use tidelog::{LockGuard, OsVfs, Vfs, VfsFile};

/// A write of these bytes waits until [`Hooks::release`].
pub const HOLD: &str = "<hold>";
/// The first write of these bytes finds the disk full.
pub const FULL: &str = "<full>";
/// A write of these bytes fails.
pub const BAD: &str = "<bad>";

/// Where threads can be held up.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// A write of [`HOLD`].
    Write,
    /// A sync of a log segment.
    Sync,
    /// A flush of the index store.
    Flush,
}

/// Held up are those that come to a step while it is shut.
#[derive(Default)]
struct Gate {
    shut: bool,
    held: usize,
}

#[derive(Default)]
struct State {
    gates: [Gate; 3],
    was_full: bool,
    /// Whether the log finds the disk full, and keeps finding it so.
    is_full: bool,
    /// Writes to the ledger that still succeed, if they are to end.
    ledger_writes: Option<u32>,
    panic_in_flush: bool,
    panic_in_sync: bool,
}

/// The operating system's files, with writes that can be held up or made to fail by what they contain, and steps that can
/// be held up or made to fail when a test wants it.
#[derive(Clone)]
pub struct Hooks(Arc<(Mutex<State>, Condvar)>);

/// Holds up who comes to a step, until it is dropped.
pub struct Held<'a> {
    hooks: &'a Hooks,
    step: Step,
}

impl Held<'_> {
    /// Waits until someone is held up.
    pub fn reached(&self) {
        self.hooks.await_held_at(self.step);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.hooks.set_shut(self.step, false);
    }
}

impl Default for Hooks {
    fn default() -> Hooks {
        let hooks = Hooks(Arc::default());
        hooks.set_shut(Step::Write, true);
        hooks
    }
}

impl Hooks {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.0.lock().expect("no panic under the lock")
    }

    /// Waits until a write is held up.
    pub fn await_held(&self) {
        self.await_held_at(Step::Write);
    }

    /// Lets the writes go that are held up, and holds none up any more.
    pub fn release(&self) {
        self.set_shut(Step::Write, false);
    }

    /// Holds up who comes to this step from now on.
    pub fn hold(&self, step: Step) -> Held<'_> {
        self.set_shut(step, true);
        Held { hooks: self, step }
    }

    fn set_shut(&self, step: Step, shut: bool) {
        self.state().gates[step as usize].shut = shut;
        self.0.1.notify_all();
    }

    fn await_held_at(&self, step: Step) {
        let mut state = self.state();
        while state.gates[step as usize].held == 0 {
            let (next, timeout) = self.0.1.wait_timeout(state, super::PATIENCE).expect("no panic under the lock");
            assert!(!timeout.timed_out(), "nothing was held up");
            state = next;
        }
    }

    /// The disk has no room for the log any more.
    pub fn fill_disk(&self) {
        self.state().is_full = true;
    }

    /// After so many more writes to the ledger none succeeds.
    pub fn fail_ledger_after(&self, writes: u32) {
        self.state().ledger_writes = Some(writes);
    }

    /// Whoever flushes the index store next panics.
    pub fn panic_in_flush(&self) {
        self.state().panic_in_flush = true;
    }

    /// Whoever syncs the log next panics.
    pub fn panic_in_sync(&self) {
        self.state().panic_in_sync = true;
    }

    fn ledger_write(&self) -> io::Result<()> {
        match &mut self.state().ledger_writes {
            Some(0) => Err(io::Error::other("a bad ledger")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn log_write(&self) -> io::Result<()> {
        if self.state().is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Goes on when the step is open.
    fn pass(&self, step: Step) {
        let mut state = self.state();
        state.gates[step as usize].held += 1;
        self.0.1.notify_all();
        while state.gates[step as usize].shut {
            state = self.0.1.wait(state).expect("no panic under the lock");
        }
        state.gates[step as usize].held -= 1;
    }

    fn wrap(&self, path: &Path, file: Arc<dyn VfsFile>) -> Arc<dyn VfsFile> {
        let is_ledger = path.file_name().is_some_and(|name| name == "ledger" || name == "ledger.new");
        Arc::new(HookedFile { file, hooks: self.clone(), is_ledger, is_log: is_log(path) })
    }
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

struct HookedFile {
    file: Arc<dyn VfsFile>,
    hooks: Hooks,
    is_ledger: bool,
    is_log: bool,
}

impl Vfs for Hooks {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        OsVfs.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        OsVfs.list(dir)
    }
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn VfsFile>> {
        Ok(self.wrap(path, OsVfs.open(path, write)?))
    }
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        if path.to_string_lossy().contains(HOLD) {
            self.pass(Step::Write);
        }
        if is_log(path) {
            self.log_write()?;
        }
        Ok(self.wrap(path, OsVfs.create_new(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsVfs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OsVfs.remove(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        OsVfs.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsVfs.sync_dir(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        OsVfs.exists(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        OsVfs.lock(path)
    }
    fn point(&self, what: &'static str) -> io::Result<()> {
        if what == "flush the index store" {
            self.pass(Step::Flush);
            let panics = std::mem::take(&mut self.state().panic_in_flush);
            assert!(!panics, "a planned panic");
        }
        Ok(())
    }
}

impl VfsFile for HookedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let has = |mark: &str| buf.windows(mark.len()).any(|bytes| bytes == mark.as_bytes());
        if has(HOLD) {
            self.hooks.pass(Step::Write);
        }
        if has(FULL) && !std::mem::replace(&mut self.hooks.state().was_full, true) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.is_ledger {
            self.hooks.ledger_write()?;
        }
        if self.is_log {
            self.hooks.log_write()?;
        }
        if has(BAD) {
            return Err(io::Error::other("a bad disk"));
        }
        self.file.write_at(buf, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.is_log {
            self.hooks.pass(Step::Sync);
            let panics = std::mem::take(&mut self.hooks.state().panic_in_sync);
            assert!(!panics, "a planned panic");
        }
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}
