use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::*;

/// A file in memory whose every second call is interrupted and which moves three bytes at most.
#[derive(Default)]
struct Stutter {
    bytes: Mutex<Vec<u8>>,
    calls: AtomicUsize,
    largest_write: AtomicUsize,
}

impl Stutter {
    fn trip(&self) -> io::Result<()> {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => Err(io::ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

impl VfsFile for Stutter {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.trip()?;
        let bytes = self.bytes.lock();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buf.len()).min(3);
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.trip()?;
        self.largest_write.fetch_max(buf.len(), Ordering::Relaxed);
        let mut bytes = self.bytes.lock();
        let count = buf.len().min(3);
        let end = offset as usize + count;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(&buf[..count]);
        Ok(count)
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        self.trip()?;
        Err(io::ErrorKind::Unsupported.into())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn short_and_interrupted_calls_are_looped_over() {
    let file = Stutter::default();
    write_all_at(&file, b"a longer line than three bytes", 2).unwrap();
    let mut read = [0; 30];
    read_exact_at(&file, &mut read, 2).unwrap();
    assert_eq!(&read, b"a longer line than three bytes");
    assert_eq!(read_full_at(&file, &mut read, 22).unwrap(), 10);
    assert_eq!(read_exact_at(&file, &mut read, 22).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    allocate(&file, 100).unwrap();
    assert_eq!(file.len().unwrap(), 100);
    assert!(file.bytes.lock()[32..].iter().all(|byte| *byte == 0));
}

#[test]
fn zeros_are_written_where_they_are_asked_for_and_in_small_pieces() {
    let file = Stutter { bytes: Mutex::new(vec![1; 100_000]), ..Stutter::default() };
    write_zeros_at(&file, 10_001, 90_003).unwrap();
    let bytes = file.bytes.lock();
    assert!(bytes[10_001..90_003].iter().all(|byte| *byte == 0), "all of it");
    assert_eq!((bytes.len(), bytes.iter().filter(|byte| **byte == 1).count()), (100_000, 10_001 + 9_997));
    assert_eq!(file.largest_write.load(Ordering::Relaxed), 16 << 10);
}

#[test]
fn the_lock_is_exclusive_and_released() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("LOCK");
    let held = OsVfs.lock(&path).unwrap().expect("free");
    assert!(OsVfs.lock(&path).unwrap().is_none());
    drop(held);
    assert!(OsVfs.lock(&path).unwrap().is_some());
}

#[test]
fn the_lock_is_released_also_while_another_thread_starts_processes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("LOCK");
    std::thread::scope(|scope| {
        let children = scope.spawn(|| {
            for _ in 0..100 {
                std::process::Command::new("true").status().unwrap();
            }
        });
        while !children.is_finished() {
            drop(OsVfs.lock(&path).unwrap().expect("nobody holds it"));
        }
    });
}

#[test]
fn allocated_space_reads_as_zeros_and_keeps_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = OsVfs.create_new(&dir.path().join("file")).unwrap();
    write_all_at(&*file, b"kept", 0).unwrap();
    allocate(&*file, 10_000).unwrap();
    let mut read = vec![1; 10_000];
    read_exact_at(&*file, &mut read, 0).unwrap();
    assert_eq!(&read[..4], b"kept");
    assert!(read[4..].iter().all(|byte| *byte == 0));
    allocate(&*file, 5).unwrap();
    assert_eq!(file.len().unwrap(), 10_000);
}
