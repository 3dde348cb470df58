use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;

/// Commits one more entry of dataset `id`.
fn grow(store: &Store, id: u64, key: u64) {
    let mut record = store.snapshot().record(id).unwrap().unwrap_or(DatasetRecord { id, ..DatasetRecord::default() });
    let mut changes = store.changes(0);
    seal(&mut changes, &mut record, &[entry(key, Op::Update, b"entity", b"payload")]);
    changes.set_applied(&applied(key)).unwrap();
    store.commit(changes).unwrap();
}

fn remember(store: &Store, id: u64) -> Arc<Sealed> {
    let count = store.count().unwrap();
    let sealed = Arc::new(Sealed::new(store.snapshot().record(id).unwrap().unwrap()));
    store.remember(count, id, &sealed);
    sealed
}

#[test]
fn what_a_commit_changes_is_forgotten_and_nothing_else() {
    let Place { root: _root, store } = place();
    grow(&store, 1, 10);
    grow(&store, 2, 11);
    let (one, two) = (remember(&store, 1), remember(&store, 2));
    assert!(Arc::ptr_eq(&store.recent(1).unwrap(), &one));
    grow(&store, 1, 12);
    assert!(store.recent(1).is_none());
    assert!(Arc::ptr_eq(&store.recent(2).unwrap(), &two));
    let mut changes = store.changes(0);
    changes.delete_dataset(&store.snapshot(), 2).unwrap();
    store.commit(changes).unwrap();
    assert!(store.recent(2).is_none());
}

#[test]
fn what_was_read_before_a_commit_is_not_remembered_after_it() {
    let Place { root: _root, store } = place();
    grow(&store, 1, 10);
    let before = store.count().unwrap();
    let old = Arc::new(Sealed::new(store.snapshot().record(1).unwrap().unwrap()));
    grow(&store, 1, 11);
    store.remember(before, 1, &old);
    assert!(store.recent(1).is_none());
    assert_ne!(store.count(), Some(before));
}

#[test]
fn a_refused_commit_leaves_a_count_at_which_all_is_as_before() {
    let Place { root: _root, store } = place();
    grow(&store, 1, 10);
    store.pretend_full();
    let mut changes = store.changes(0);
    changes.put_record(&DatasetRecord { id: 1, head: 99, ..DatasetRecord::default() }).unwrap();
    store.commit(changes).unwrap_err();
    assert_eq!(remember(&store, 1).record.head, 10);
    assert_eq!(store.recent(1).unwrap().record.head, 10);
}

#[test]
fn counts_of_chunks_are_read_once_and_only_if_they_are_few() {
    let rows = |upto: u64| (0..upto).map(|last| Ok::<_, Error>(ChunkMeta { last, ..ChunkMeta::default() }));
    let small = Sealed::new(DatasetRecord { bytes: 100, ..DatasetRecord::default() });
    let failed: Result<Option<&SealedChunks>> = small.chunks(|| std::iter::once(Err(Error::Closed)));
    assert!(failed.is_err() && !small.knows_chunks());
    assert_eq!(small.chunks(|| rows(3)).unwrap().unwrap().from(0).len(), 3);
    assert_eq!(small.chunks(|| rows(9)).unwrap().unwrap().from(0).len(), 3);
    let crowded = Sealed::new(DatasetRecord { bytes: 100, ..DatasetRecord::default() });
    assert!(crowded.chunks(|| rows(1_000)).unwrap().is_none() && crowded.knows_chunks());
    let large = Sealed::new(DatasetRecord { bytes: 1 << 40, ..DatasetRecord::default() });
    assert!(large.chunks(|| rows(1).inspect(|_| panic!("it is read"))).unwrap().is_none());
}

/// Every commit raises head and number of chunks of both datasets together: a reader that finds two numbers that do not
/// fit has read at two moments.
#[test]
fn what_is_found_at_one_count_is_of_one_moment() {
    let Place { root: _root, store } = place();
    let both = |key: u64| {
        let mut changes = store.changes(0);
        for id in [1, 2] {
            changes.put_record(&DatasetRecord { id, head: key, seq: key, ..DatasetRecord::default() }).unwrap();
        }
        store.commit(changes).unwrap();
    };
    both(1);
    let (found, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let Some(count) = store.count() else { continue };
                    let snapshot = store.snapshot();
                    if store.count() != Some(count) {
                        continue;
                    }
                    let heads = [1, 2].map(|id| match store.recent(id) {
                        Some(sealed) => {
                            found.fetch_add(1, Ordering::Relaxed);
                            sealed.record.head
                        }
                        None => {
                            let sealed = Arc::new(Sealed::new(snapshot.record(id).unwrap().unwrap()));
                            store.remember(count, id, &sealed);
                            sealed.record.head
                        }
                    });
                    let own = snapshot.record(1).unwrap().unwrap().head;
                    if store.count() == Some(count) {
                        assert_eq!(heads, [own, own]);
                    }
                }
            });
        }
        // On a busy machine readers get their turn late.
        let enough = |key: &u64| *key <= 3_000 || (found.load(Ordering::Relaxed) <= 1_000 && *key < 300_000);
        (2..).take_while(enough).for_each(both);
        done.store(true, Ordering::Relaxed);
    });
    assert!(found.into_inner() > 1_000);
}
