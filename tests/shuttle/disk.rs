//! The simulated disk. Every operation on it is a place where other threads may go on, and one of them fails.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use shuttle::thread::yield_now;

use crate::testing::sim::SimDisk;
use crate::vfs::{LockGuard, Vfs, VfsFile};

/// What goes wrong, at the n-th operation of its kind on a segment of the log from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// A sync fails; what it was to make durable is not.
    Sync(u32),
    /// A write panics: whoever leads dies.
    PanicInWrite(u32),
    /// A sync panics.
    PanicInSync(u32),
    /// A write finds the disk full.
    Full(u32),
}

struct Plan {
    fault: Fault,
    left: AtomicI64,
    fired: AtomicU64,
}

#[derive(Clone)]
pub struct Disk {
    sim: SimDisk,
    plan: Arc<std::sync::Mutex<Arc<Plan>>>,
}

impl Disk {
    pub fn new() -> Disk {
        Disk { sim: SimDisk::new(), plan: Arc::new(std::sync::Mutex::new(Arc::new(Plan::new(Fault::None)))) }
    }

    /// From now on.
    pub fn plan(&self, fault: Fault) {
        *self.plan.lock().expect("no panic under this lock") = Arc::new(Plan::new(fault));
    }

    fn planned(&self) -> Arc<Plan> {
        self.plan.lock().expect("no panic under this lock").clone()
    }

    /// How many faults happened.
    pub fn fired(&self) -> u64 {
        self.planned().fired.load(Ordering::SeqCst)
    }

    /// Whether these bytes stand in some file and would survive a power cut.
    pub fn holds_durably(&self, bytes: &[u8]) -> bool {
        self.sim.durable().values().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
    }

    fn wrap(&self, path: &Path, file: Arc<dyn VfsFile>) -> Arc<dyn VfsFile> {
        let is_segment = path.extension().is_some_and(|extension| extension == "log");
        Arc::new(DiskFile { file, disk: self.clone(), is_segment })
    }
}

impl Plan {
    fn new(fault: Fault) -> Plan {
        let (Fault::Sync(n) | Fault::PanicInWrite(n) | Fault::PanicInSync(n) | Fault::Full(n)) = fault else {
            return Plan { fault, left: AtomicI64::new(-1), fired: AtomicU64::new(0) };
        };
        Plan { fault, left: AtomicI64::new(i64::from(n)), fired: AtomicU64::new(0) }
    }

    /// Whether it is this operation's turn to fail.
    fn comes(&self) -> bool {
        let comes = self.left.fetch_sub(1, Ordering::SeqCst) == 0;
        self.fired.fetch_add(u64::from(comes), Ordering::SeqCst);
        comes
    }
}

struct DiskFile {
    file: Arc<dyn VfsFile>,
    disk: Disk,
    is_segment: bool,
}

impl Vfs for Disk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.sim.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.sim.list(dir)
    }
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn VfsFile>> {
        Ok(self.wrap(path, self.sim.open(path, write)?))
    }
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        Ok(self.wrap(path, self.sim.create_new(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.sim.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.sim.remove(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.sim.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.sim.sync_dir(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.sim.exists(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.sim.lock(path)
    }
    fn point(&self, what: &'static str) -> io::Result<()> {
        self.sim.point(what)
    }
    fn holds_index(&self) -> bool {
        self.sim.holds_index()
    }
}

impl VfsFile for DiskFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        yield_now();
        let plan = self.disk.planned();
        if self.is_segment {
            match plan.fault {
                Fault::PanicInWrite(_) if plan.comes() => panic!("{PLANNED}"),
                Fault::Full(_) if plan.comes() => return Err(io::ErrorKind::StorageFull.into()),
                _ => {}
            }
        }
        self.file.write_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        yield_now();
        let plan = self.disk.planned();
        if self.is_segment {
            match plan.fault {
                Fault::PanicInSync(_) if plan.comes() => panic!("{PLANNED}"),
                Fault::Sync(_) if plan.comes() => return Err(io::Error::other("the disk failed")),
                _ => {}
            }
        }
        self.file.sync_data()?;
        // It takes until here for the caller, and what is written meanwhile is not part of it.
        yield_now();
        Ok(())
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
    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What a planned panic says.
pub const PLANNED: &str = "a planned panic";
