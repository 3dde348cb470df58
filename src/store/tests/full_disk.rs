use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;

/// A file system of 24 MiB; none where this process may not mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(root: &Path) -> Option<SmallDisk> {
        let dir = root.join("disk");
        std::fs::create_dir(&dir).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(&dir).output();
        mount.is_ok_and(|output| output.status.success()).then_some(SmallDisk(dir))
    }

    fn fill(&self) {
        std::fs::write(self.0.join("ballast"), vec![1; 30 << 20]).unwrap_err();
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn commit(store: &Store, key: u64) -> Result<()> {
    let mut seed = key;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    let payload: Vec<u8> = (0..500_000).map(|_| random()).collect();
    let mut changes = store.changes(0);
    let mut record = DatasetRecord { id: 1, ..DatasetRecord::default() };
    seal(&mut changes, &mut record, &[entry(key, Op::Update, b"entity", &payload)]);
    changes.set_applied(&applied(key))?;
    store.commit(changes)
}

/// Tries until it succeeds, and how long that took. Only a full disk is an excuse.
fn within_30_s(mut attempt: impl FnMut() -> Result<()>) -> Duration {
    let since = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return since.elapsed(),
            Err(Error::NoSpace { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(since.elapsed() < Duration::from_secs(30), "it does not heal");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn readable(store: &Store) -> Vec<u64> {
    store.snapshot().chunks(1, 0, 0).map(|chunk| chunk.unwrap().1.last_key()).collect()
}

#[test]
fn a_full_disk_refuses_commits_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(root.path()) else {
        println!("SKIPPED 1: no file system can be mounted here");
        return;
    };
    let index = Index::new(Store::create(&os(), &disk.0.join("db"), &OPTIONS).unwrap());
    for key in 1..=2 {
        disk.fill();
        for _ in 0..100 {
            assert!(matches!(commit(&index.get(), key), Err(Error::NoSpace { .. })));
        }
        assert_eq!(index.get().applied().unwrap().key, key - 1);
        disk.empty();
        // At once, unless a compaction ran into the full disk meanwhile.
        within_30_s(|| {
            index.ready(&OPTIONS, key - 1, 0)?;
            commit(&index.get(), key)?;
            index.get().flush()
        });
    }
    assert_eq!(readable(&index.get()), [1, 2]);
}

#[test]
fn a_disk_that_fills_before_the_flush_is_opened_again() {
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(root.path()) else {
        println!("SKIPPED 1: no file system can be mounted here");
        return;
    };
    let dir = disk.0.join("db");
    let store = Store::create(&os(), &dir, &OPTIONS).unwrap();
    commit(&store, 1).unwrap();
    store.flush().unwrap();
    commit(&store, 2).unwrap();
    disk.fill();
    for _ in 0..200 {
        assert!(matches!(store.flush(), Err(Error::NoSpace { .. })));
    }
    assert_eq!(readable(&store), [1, 2]);
    let index = Index::new(store);
    let held = index.get();
    for _ in 0..2 {
        assert!(matches!(index.ready(&OPTIONS, 1, 0), Err(Error::NoSpace { .. })), "a call under way holds it");
    }
    // Readers have moved on to what was flushed; who is reading still is not disturbed.
    assert_eq!((readable(&held), readable(&index.get())), (vec![1, 2], vec![1]));
    drop(held);
    for _ in 0..20 {
        assert!(matches!(index.ready(&OPTIONS, 1, 0), Err(Error::NoSpace { .. })));
        assert_eq!(readable(&index.get()), [1]);
    }
    disk.empty();
    println!("healed after {:?}", within_30_s(|| index.ready(&OPTIONS, 1, 0)));
    // What was not flushed is gone, and committed again by whoever did not see it flushed.
    let store = index.get();
    assert_eq!(readable(&store), [1]);
    for key in 2..=3 {
        commit(&store, key).unwrap();
    }
    store.flush().unwrap();
    drop((store, index));
    assert_eq!(readable(&open(&dir, 3).unwrap()), [1, 2, 3]);
}

#[test]
fn a_store_on_a_full_disk_closes_and_opens_with_what_was_flushed() {
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(root.path()) else {
        println!("SKIPPED 1: no file system can be mounted here");
        return;
    };
    let dir = disk.0.join("db");
    let store = Store::create(&os(), &dir, &OPTIONS).unwrap();
    commit(&store, 1).unwrap();
    store.flush().unwrap();
    commit(&store, 2).unwrap();
    disk.fill();
    for _ in 0..200 {
        store.flush().unwrap_err();
    }
    let since = Instant::now();
    drop(store);
    assert!(since.elapsed() < Duration::from_secs(10), "closing took {:?}", since.elapsed());
    println!("closed after {:?}", since.elapsed());
    assert_eq!(readable(&Store::open_read_only(&os(), &dir, &OPTIONS, 1).unwrap()), [1]);
    disk.empty();
    let store = open(&dir, 1).unwrap();
    assert_eq!(readable(&store), [1]);
    commit(&store, 2).unwrap();
    store.flush().unwrap();
}
