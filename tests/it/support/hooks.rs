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

#[derive(Default)]
struct State {
    held: usize,
    released: bool,
    was_full: bool,
    /// Writes to the ledger that still succeed, if they are to end.
    ledger_writes: Option<u32>,
    panic_in_flush: bool,
}

/// The operating system's files, with writes that can be held up or made to fail by what they contain.
#[derive(Clone, Default)]
pub struct Hooks(Arc<(Mutex<State>, Condvar)>);

impl Hooks {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.0.lock().expect("no panic under the lock")
    }

    /// Waits until something is held up.
    pub fn await_held(&self) {
        let mut state = self.state();
        while state.held == 0 {
            let (next, timeout) = self.0.1.wait_timeout(state, super::PATIENCE).expect("no panic under the lock");
            assert!(!timeout.timed_out(), "nothing was held up");
            state = next;
        }
    }

    /// Lets everything go that is held up, and holds nothing up any more.
    pub fn release(&self) {
        self.state().released = true;
        self.0.1.notify_all();
    }

    /// After so many more writes to the ledger none succeeds.
    pub fn fail_ledger_after(&self, writes: u32) {
        self.state().ledger_writes = Some(writes);
    }

    /// Whoever flushes the index store next panics.
    pub fn panic_in_flush(&self) {
        self.state().panic_in_flush = true;
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

    fn hold(&self) {
        let mut state = self.state();
        state.held += 1;
        self.0.1.notify_all();
        while !state.released {
            state = self.0.1.wait(state).expect("no panic under the lock");
        }
        state.held -= 1;
    }

    fn wrap(&self, path: &Path, file: Arc<dyn VfsFile>) -> Arc<dyn VfsFile> {
        let is_ledger = path.file_name().is_some_and(|name| name == "ledger" || name == "ledger.new");
        Arc::new(HookedFile { file, hooks: self.clone(), is_ledger })
    }
}

struct HookedFile {
    file: Arc<dyn VfsFile>,
    hooks: Hooks,
    is_ledger: bool,
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
            self.hold();
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
        let panics = what == "flush the index store" && std::mem::take(&mut self.state().panic_in_flush);
        assert!(!panics, "a planned panic");
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
            self.hooks.hold();
        }
        if has(FULL) && !std::mem::replace(&mut self.hooks.state().was_full, true) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.is_ledger {
            self.hooks.ledger_write()?;
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
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}
