//! A file system in memory that knows what was synced. Names are durable at once: what a disk may do to them is the
//! simulated disk's business, not a fuzz target's.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::vfs::{LockGuard, Vfs, VfsFile};

/// More than any input needs: a length made of hostile bytes must not get through to an allocation.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Every file, with its content.
pub type Image = BTreeMap<PathBuf, Vec<u8>>;

#[derive(Clone, Default)]
pub struct Memory {
    files: Arc<Mutex<BTreeMap<PathBuf, Arc<MemoryFile>>>>,
    locked: Arc<AtomicBool>,
}

#[derive(Default)]
struct MemoryFile(Mutex<Content>);

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
}

impl Memory {
    /// With these files, all of them durable.
    pub fn of(image: &Image) -> Memory {
        let memory = Memory::default();
        memory.restore(image);
        memory
    }

    /// Everything as it is now.
    pub fn image(&self) -> Image {
        self.contents(|content| content.now.clone())
    }

    /// Everything as a power cut that keeps nothing unsynced would leave it.
    pub fn durable(&self) -> Image {
        self.contents(|content| content.durable.clone())
    }

    /// Holds these files from now on, all of them durable. What is open goes on with what it has.
    pub fn restore(&self, image: &Image) {
        let file =
            |bytes: &Vec<u8>| Arc::new(MemoryFile(Mutex::new(Content { now: bytes.clone(), durable: bytes.clone() })));
        *self.files.lock() = image.iter().map(|(path, bytes)| (path.clone(), file(bytes))).collect();
    }

    fn contents(&self, of: impl Fn(&Content) -> Vec<u8>) -> Image {
        self.files.lock().iter().map(|(path, file)| (path.clone(), of(&file.0.lock()))).collect()
    }
}

impl Vfs for Memory {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let files = self.files.lock();
        let inside = files.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()).map(OsString::from).collect())
    }

    fn open(&self, path: &Path, _: bool) -> io::Result<Arc<dyn VfsFile>> {
        match self.files.lock().get(path) {
            Some(file) => Ok(file.clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        let mut files = self.files.lock();
        if files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(MemoryFile::default());
        files.insert(path.to_path_buf(), file.clone());
        Ok(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.lock().remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.files.lock().keys().any(|file| file.starts_with(path)))
    }

    fn lock(&self, _: &Path) -> io::Result<Option<LockGuard>> {
        let free = !self.locked.swap(true, Ordering::SeqCst);
        Ok(free.then(|| Box::new(Held(self.locked.clone())) as LockGuard))
    }
}

struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl VfsFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.0.lock();
        let rest = usize::try_from(offset).ok().and_then(|at| content.now.get(at..)).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(buf.len() as u64);
        grow(&mut self.0.lock().now, end)?;
        self.0.lock().now[offset as usize..end as usize].copy_from_slice(buf);
        Ok(buf.len())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().now.len() as u64)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        grow(&mut self.0.lock().now, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut content = self.0.lock();
        grow(&mut content.now, len)?;
        content.now.truncate(len as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut content = self.0.lock();
        content.durable = content.now.clone();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

fn grow(bytes: &mut Vec<u8>, len: u64) -> io::Result<()> {
    match len {
        len if len > MAX_FILE_BYTES => Err(io::ErrorKind::StorageFull.into()),
        len if len > bytes.len() as u64 => {
            bytes.resize(len as usize, 0);
            Ok(())
        }
        _ => Ok(()),
    }
}
