//! The seam to the file system for log and ledger. Nothing else touches those files, so that a simulated disk behind
//! this trait sees every operation that a crash can interrupt.
//!
//! The traits are as weak as a system call: counts may be short and a call may be interrupted. The free functions here
//! are the one place that loops.

mod os;

use std::any::Any;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use os::OsVfs;

/// A held directory lock; dropping it lets go.
pub type LockGuard = Box<dyn Any + Send + Sync>;

/// A file system.
pub trait Vfs: Send + Sync {
    /// Creates a directory and its parents; one that exists is fine.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// The names in a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    /// Opens a file that exists, to read or to read and write.
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn VfsFile>>;
    /// Creates a file that does not exist, to read and write.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>>;
    /// Renames a file, replacing one of that name, or a directory within its own.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and everything in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes a directory's entries durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Whether there is a file or directory of this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Locks a file against every other opener, creating it if need be; none if another one holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>>;
    /// Told before something is done that is none of these, but at which a crash may come as well: what the index store
    /// writes. An error: it is not to be done.
    fn point(&self, _what: &'static str) -> io::Result<()> {
        Ok(())
    }
    /// Whether the index store is to be the double that tests use, and to lie on this file system: see
    /// `src/store/kv/double.rs`. Only with the feature `testing`.
    fn holds_index(&self) -> bool {
        false
    }
}

/// An open file.
#[allow(clippy::len_without_is_empty)] // a file is not a collection
pub trait VfsFile: Send + Sync {
    /// Reads at an offset; may read less than asked. 0 means the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes at an offset; may write less than asked.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;
    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Reserves space so that the file is at least `len` bytes long; what is new reads as zeros.
    /// [`io::ErrorKind::Unsupported`] where the file system cannot: then zeros are written instead.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes data and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes data and all metadata durable.
    fn sync_all(&self) -> io::Result<()>;
}

/// Reads until `buf` is full or the file ends, and returns how much was read.
pub fn read_full_at(file: &dyn VfsFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, advance(offset, done)?) {
            Ok(0) => break,
            Ok(count) => done = done.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done.min(buf.len()))
}

/// Reads exactly `buf`, or fails with [`io::ErrorKind::UnexpectedEof`].
pub fn read_exact_at(file: &dyn VfsFile, buf: &mut [u8], offset: u64) -> io::Result<()> {
    match read_full_at(file, buf, offset)? {
        count if count == buf.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Writes all of `buf`.
pub fn write_all_at(file: &dyn VfsFile, buf: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = buf.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, advance(offset, done)?) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done = done.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the file at least `len` bytes long, with space that is really there.
pub fn allocate(file: &dyn VfsFile, len: u64) -> io::Result<()> {
    loop {
        match file.allocate(len) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::Unsupported => break,
            done => return done,
        }
    }
    write_zeros_at(file, file.len()?, len)
}

/// Writes zeros from `from` up to `to`, in small writes: Linux keeps in one piece in memory what was written at once, and
/// counts all of it as written again whenever a part of it is (`write_bytes` of `/proc/self/io`).
pub fn write_zeros_at(file: &dyn VfsFile, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 16 << 10] = [0; 16 << 10];
    let mut at = from;
    while at < to {
        let piece = ZEROS.len() as u64 - at % ZEROS.len() as u64;
        let count = piece.min(to - at);
        write_all_at(file, &ZEROS[..count as usize], at)?;
        at += count;
    }
    Ok(())
}

/// Creates a directory and its parents, and makes their names durable; one that exists is fine.
pub fn create_dirs(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for dir in dir.ancestors() {
        // The parent of a relative path is the working directory, which is there.
        if dir.as_os_str().is_empty() || vfs.exists(dir)? {
            break;
        }
        missing.push(dir);
    }
    vfs.create_dir_all(dir)?;
    for dir in missing.iter().rev() {
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        vfs.sync_dir(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Whether the disk (or the quota) is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn advance(offset: u64, done: usize) -> io::Result<u64> {
    offset.checked_add(done as u64).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests;
