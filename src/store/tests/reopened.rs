//! A store that took no more writes is opened again inside, whoever reads.

use super::*;

/// A store with one mark that was stopped by a full disk.
fn stopped(root: &Path) -> Index {
    let store = Store::create(&os(), &root.join("db"), &OPTIONS).unwrap();
    let mut changes = store.changes(0);
    changes.put_mark(1, 1, 2);
    changes.set_applied(&applied(1)).unwrap();
    store.commit(changes).unwrap();
    store.flush().unwrap();
    store.pretend_full();
    Index::new(store)
}

fn marks(store: &Store) -> usize {
    store.snapshot().marks(1, 0).map(Result::unwrap).count()
}

#[test]
fn a_stopped_store_that_no_one_holds_is_opened_again_at_once() {
    let root = tempfile::tempdir().unwrap();
    let index = stopped(root.path());
    index.ready(&OPTIONS, 1, 0).unwrap();
    let store = index.get();
    let mut changes = store.changes(0);
    changes.put_mark(1, 100, 101);
    store.commit(changes).unwrap();
    store.flush().unwrap();
    assert_eq!(marks(&store), 2);
}

/// Whoever writes to a store and compacts it removes files that an older opening reads.
#[test]
fn a_read_under_way_keeps_its_files_when_the_store_is_opened_again() {
    let root = tempfile::tempdir().unwrap();
    let index = stopped(root.path());
    let first = index.get();
    assert!(matches!(index.ready(&OPTIONS, 1, 0), Err(Error::NoSpace { .. })), "a read holds the stopped one");
    let reader = index.get();
    assert!(reader.is_read_only());
    drop(first);
    for _ in 0..2 {
        assert!(matches!(index.ready(&OPTIONS, 1, 0), Err(Error::NoSpace { .. })), "a read holds the read-only one");
        assert!(Arc::ptr_eq(&index.get(), &reader));
        assert_eq!(marks(&reader), 1);
    }
    drop(reader);
    index.ready(&OPTIONS, 1, 0).unwrap();
    assert!(!index.get().is_stopped());
    assert_eq!(marks(&index.get()), 1);
}

#[test]
fn a_read_only_opening_that_fails_is_tried_again() {
    let root = tempfile::tempdir().unwrap();
    let index = stopped(root.path());
    // Nothing can be older than what the ledger says, so this is refused.
    assert!(matches!(index.ready(&OPTIONS, 2, 0), Err(Error::Damaged { .. })));
    index.ready(&OPTIONS, 1, 0).unwrap();
    assert_eq!(marks(&index.get()), 1);
}
