//! A store that took no more writes is opened again inside, whoever reads.

use std::time::{Duration, Instant};

use super::*;
use crate::store::open::Mode;

/// Tables that nothing has compacted: RocksDB does with four.
const TABLES: u64 = 6;

fn tables(store: &Store) -> u64 {
    store.number(Family::Superseded, "rocksdb.num-files-at-level0")
}

fn readable(store: &Store) -> Vec<u64> {
    store.snapshot().marks(1, 0).map(|mark| mark.unwrap().0).collect()
}

/// A store with tables to compact that was stopped by a full disk.
fn stopped(root: &Path) -> Index {
    let dir = root.join("db");
    drop(Store::create(&os(), &dir, &OPTIONS).unwrap());
    let store = Store::open_again(&os(), &dir, &OPTIONS, 0, Mode::Beside).unwrap();
    for key in 1..=TABLES {
        let mut changes = store.changes(0);
        changes.put_mark(1, key, key + 1);
        changes.set_applied(&applied(key)).unwrap();
        store.commit(changes).unwrap();
        store.flush().unwrap();
    }
    assert_eq!(tables(&store), TABLES);
    store.pretend_full();
    Index::new(store)
}

#[test]
fn a_stopped_store_that_no_one_holds_is_opened_again_at_once() {
    let root = tempfile::tempdir().unwrap();
    let index = stopped(root.path());
    index.ready(&OPTIONS, TABLES, 0).unwrap();
    assert_eq!(readable(&index.get()), (1..=TABLES).collect::<Vec<_>>());
    let store = index.get();
    let mut changes = store.changes(0);
    changes.put_mark(1, 100, 101);
    store.commit(changes).unwrap();
    store.flush().unwrap();
}

#[test]
fn a_read_under_way_keeps_its_files_when_the_store_is_opened_again() {
    let root = tempfile::tempdir().unwrap();
    let index = stopped(root.path());
    let first = index.get();
    assert!(matches!(index.ready(&OPTIONS, TABLES, 0), Err(Error::NoSpace { .. })), "a read holds the stopped one");
    let reader = index.get();
    assert!(reader.is_read_only());
    drop(first);
    for _ in 0..2 {
        assert!(
            matches!(index.ready(&OPTIONS, TABLES, 0), Err(Error::NoSpace { .. })),
            "a read holds what came between"
        );
    }
    let present = index.get();
    assert!(!present.is_stopped());
    // Much longer than it takes to compact them and to remove what was compacted.
    for _ in 0..100 {
        reader.check_files().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(tables(&present), TABLES);
    assert_eq!(readable(&reader), readable(&present));
    drop(reader);
    index.ready(&OPTIONS, TABLES, 0).unwrap();
    let since = Instant::now();
    while tables(&present) >= TABLES {
        assert!(since.elapsed() < Duration::from_secs(30), "it does not compact again");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(readable(&present), (1..=TABLES).collect::<Vec<_>>());
}
