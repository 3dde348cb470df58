use super::*;
use crate::frame::BodyBuilder;
use crate::store::StoreOptions;
use crate::tail::Tail;

/// Two versions of an entity, and a tombstone.
fn tail() -> Tail {
    let tail = Tail::new(1, LogPos::default());
    let mut body = BodyBuilder::new(None, Some((b"id", [7; 16])));
    let dataset = body.create(b"d");
    body.change(dataset, Op::Create, b"e", b"one");
    body.change(dataset, Op::Update, b"e", b"two");
    body.change(dataset, Op::Delete, b"f", b"");
    tail.insert(1, 1_000, &body.finish().unwrap().0);
    tail
}

#[test]
fn sealing_again_after_a_failed_flush_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { memory: 8 << 20, cache_bytes: 1 << 20, lz4: true };
    let store =
        Store::create(&(std::sync::Arc::new(crate::vfs::OsVfs) as _), &dir.path().join("db"), &options).unwrap();
    let sealing = Sealing { chunk_bytes: 4096, retention: Retention::unlimited(), forget_before_ms: 0 };
    let (tail, alive) = (tail(), AliveCache::new(1 << 20));
    store.commit(seal(&store, &tail.read(), &sealing, &alive).unwrap()).unwrap();
    let (record, applied) = (store.snapshot().record(1).unwrap().unwrap(), store.applied().unwrap());
    // The flush fails now: what was committed stays readable, and the seal is tried again.
    store.commit(seal(&store, &tail.read(), &sealing, &alive).unwrap()).unwrap();
    store.flush().unwrap();
    assert_eq!(store.snapshot().record(1).unwrap().unwrap(), record);
    assert_eq!(store.applied().unwrap(), applied);
    assert_eq!((record.entries, record.superseding, record.tombstones, applied.datasets), (3, 1, 1, 1));
    let marks: Vec<_> = store.snapshot().marks(1, 0).collect::<Result<_>>().unwrap();
    assert_eq!(marks, [(1, 2)]);
}
