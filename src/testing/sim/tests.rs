use super::*;
use crate::vfs::{Vfs, VfsFile, read_full_at, write_all_at};

const DIR: &str = "/dir";

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.make_dir(Path::new(DIR));
    disk
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn durable_file(disk: &SimDisk, bytes: &[u8]) -> Arc<dyn VfsFile> {
    let file = disk.create_new(&path("file")).unwrap();
    write_all_at(&*file, bytes, 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file
}

/// The file as each of many crashes leaves it.
fn crashes(disk: &SimDisk) -> Vec<Option<Vec<u8>>> {
    (0..400).map(|seed| disk.crash(seed).image().remove(&path("file"))).collect()
}

#[test]
fn what_was_synced_stays_and_all_else_may_go_any_way() {
    let disk = disk();
    let file = durable_file(&disk, &[1; 2000]);
    write_all_at(&*file, &[2; 1500], 1000).unwrap();
    let found: Vec<Vec<u8>> = crashes(&disk).into_iter().map(|file| file.expect("a durable name")).collect();
    assert!(found.iter().all(|bytes| bytes[..1000] == [1; 1000]), "what was synced");
    let seen = |wanted: &dyn Fn(&[u8]) -> bool| found.iter().any(|bytes| wanted(bytes));
    assert!(seen(&|bytes| bytes == [1; 2000]), "dropped");
    assert!(seen(&|bytes| bytes.len() == 2500 && bytes[1000..] == [2; 1500]), "kept");
    assert!(seen(&|bytes| bytes.len() == 2500 && bytes[1000..] == [0; 1500]), "zeros");
    assert!(seen(&|bytes| bytes.len() == 2000 && bytes[1000..] == [2; 1000]), "kept, but not the length");
    assert!(
        seen(&|bytes| bytes[1000..2000] == [1; 1000] && bytes.get(2400) == Some(&2)),
        "the end without the beginning"
    );
    assert!(seen(&|bytes| bytes[1000..].iter().any(|byte| *byte > 2)), "garbage");
    assert_eq!(disk.durable()[&path("file")], [1; 2000]);
    file.sync_data().unwrap();
    assert!(crashes(&disk).iter().all(|file| file.as_ref().is_some_and(|bytes| bytes[1000..] == [2; 1500])));
}

#[test]
fn a_name_is_durable_with_its_directory_and_not_with_its_file() {
    let disk = disk();
    let file = disk.create_new(&path("file")).unwrap();
    write_all_at(&*file, b"new", 0).unwrap();
    file.sync_all().unwrap();
    let (there, gone): (Vec<_>, Vec<_>) = crashes(&disk).into_iter().partition(Option::is_some);
    assert!(!there.is_empty() && !gone.is_empty());
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert!(crashes(&disk).iter().all(|file| file.as_deref() == Some(b"new")));
    disk.rename(&path("file"), &path("other")).unwrap();
    for seed in 0..100 {
        let image = disk.crash(seed).image();
        assert_eq!(image.len(), 1, "a rename happens or does not");
    }
    disk.remove(&path("other")).unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert!(disk.crash(1).image().is_empty());
}

#[test]
fn a_failed_sync_says_so_once_and_the_cache_lies() {
    let disk = disk();
    let file = durable_file(&disk, &[1; 100]);
    disk.plan(Fault { when: When::Sync(0), trouble: Trouble::Io, sticky: false });
    write_all_at(&*file, &[2; 100], 0).unwrap();
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    let mut read = [0; 100];
    read_full_at(&*file, &mut read, 0).unwrap();
    assert_eq!((read, disk.fired()), ([2; 100], 1));
    assert!(crashes(&disk).iter().any(|file| file.as_deref() == Some(&[1; 100])), "synced twice, and lost");
    write_all_at(&*file, &[3; 10], 50).unwrap();
    file.sync_data().unwrap();
    assert!(crashes(&disk).iter().all(|file| file.as_ref().is_some_and(|bytes| bytes[50..60] == [3; 10])));
}

#[test]
fn a_lying_disk_loses_what_it_said_to_be_synced() {
    let disk = disk();
    let file = durable_file(&disk, &[1; 100]);
    disk.lie(true);
    write_all_at(&*file, &[2; 100], 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(disk.fired(), 1);
    assert!(crashes(&disk).iter().any(|file| file.as_deref() == Some(&[1; 100])));
}

#[test]
fn faults_strike_where_they_are_due_and_as_often() {
    let disk = disk();
    let file = durable_file(&disk, &[1; 100]);
    let at = disk.operations();
    for (trouble, after) in [(Trouble::Interrupted, 0), (Trouble::Short, 2), (Trouble::Io, 4)] {
        disk.plan(Fault { when: When::Operation(at + after), trouble, sticky: false });
    }
    write_all_at(&*file, &[2; 100], 0).unwrap(); // interrupted
    write_all_at(&*file, &[3; 100], 0).unwrap(); // in two parts
    assert_eq!(file.read_at(&mut [0; 10], 0).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(disk.fired(), 3);
    disk.plan(Fault { when: When::Operation(0), trouble: Trouble::Full, sticky: true });
    assert_eq!(file.read_at(&mut [0; 10], 0).unwrap(), 10);
    for _ in 0..3 {
        assert_eq!(file.allocate(1000).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }
    disk.heal();
    disk.set_room(Some(50));
    assert!(file.allocate(151).is_err());
    file.allocate(150).unwrap();
    assert_eq!(file.len().unwrap(), 150);
}

#[test]
fn after_a_crash_and_a_kill_old_handles_are_dead() {
    let disk = disk();
    let file = durable_file(&disk, &[1; 100]);
    let held = disk.lock(&path("LOCK")).unwrap();
    assert!(held.is_some() && disk.lock(&path("LOCK")).unwrap().is_none());
    write_all_at(&*file, &[2; 100], 0).unwrap();
    let next = disk.kill();
    assert!(file.read_at(&mut [0; 10], 0).is_err() && disk.exists(&path("file")).is_err());
    assert_eq!(next.image()[&path("file")], [2; 100], "the page cache stays");
    let again = next.lock(&path("LOCK")).unwrap();
    drop(held);
    assert!(again.is_some() && next.lock(&path("LOCK")).unwrap().is_none(), "the dead one's guard unlocks nothing");
    let file = next.open(&path("file"), true).unwrap();
    next.crash_at(CrashAt { change: next.changes(), within: true });
    assert!(file.write_at(&[3; 100], 0).is_err() && next.is_crashed());
    assert!(file.read_at(&mut [0; 10], 0).is_err() && next.sync_dir(Path::new(DIR)).is_err());
    assert!(crashes(&next).iter().any(|file| file.as_deref() == Some(&[3; 100])), "it was under way");
    assert_eq!(next.story().last().unwrap().outcome, Some(faults::Outcome::Crash));
}

#[test]
fn the_same_seed_is_the_same_crash() {
    let disk = disk();
    let file = disk.create_new(&path("file")).unwrap();
    (0..20).for_each(|n| write_all_at(&*file, &[n; 700], u64::from(n) * 300).unwrap());
    for seed in 0..50 {
        assert_eq!(disk.crash(seed).image(), disk.crash(seed).image());
    }
}
