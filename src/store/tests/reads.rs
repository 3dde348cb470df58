use std::ops::RangeInclusive;

use super::super::snapshot::ConsumerRow;
use super::*;

fn keys_of(chunk: &Chunk) -> RangeInclusive<u64> {
    chunk.first_key()..=chunk.last_key()
}

/// Dataset 10 with the chunks 11..=13, 21..=23, 31..=33, and 11 with 14..=14; entities 'a', 'a\0', 'b' in each chunk.
fn three_chunks() -> Place {
    let place = place();
    let mut changes = place.store.changes(0);
    let mut record = DatasetRecord { id: 10, name: b"ten".to_vec(), ..DatasetRecord::default() };
    for round in 1..=3u64 {
        let at = round * 10;
        let entries: Vec<_> = [(1, &b"a"[..]), (2, b"a\0"), (3, b"b")]
            .into_iter()
            .map(|(i, entity)| {
                let plain = entry(at + i, Op::Update, entity, b"payload");
                if round == 1 { plain } else { over(plain, at + i - 10, 7) }
            })
            .collect();
        seal(&mut changes, &mut record, &entries);
    }
    let mut other = DatasetRecord { id: 11, name: b"eleven".to_vec(), ..DatasetRecord::default() };
    seal(&mut changes, &mut other, &[entry(14, Op::Create, b"a", b"")]);
    changes.put_name(b"ten", 10);
    changes.put_name(b"eleven", 11);
    changes.set_applied(&applied(33)).unwrap();
    place.store.commit(changes).unwrap();
    place
}

#[test]
fn chunks_are_found_from_either_side() {
    let place = three_chunks();
    let snapshot = place.store.snapshot();
    for (key, covering, before) in [
        (0, Some(11..=13), None),
        (11, Some(11..=13), None),
        (12, Some(11..=13), Some(11..=13)),
        (14, Some(21..=23), Some(11..=13)),
        (21, Some(21..=23), Some(11..=13)),
        (33, Some(31..=33), Some(31..=33)),
        (34, None, Some(31..=33)),
        (u64::MAX, None, Some(31..=33)),
    ] {
        let found = snapshot.chunk_covering(10, 0, key).unwrap().map(|chunk| keys_of(&chunk));
        assert_eq!(found, covering, "covering {key}");
        let found = snapshot.meta_covering(10, key).unwrap().map(|meta| meta.first..=meta.last);
        assert_eq!(found, covering, "counts covering {key}");
        let found = snapshot.chunk_before(10, 0, key).unwrap().map(|chunk| keys_of(&chunk));
        assert_eq!(found, before, "before {key}");
    }
    let from = |key| snapshot.chunks(10, 0, key).map(|chunk| chunk.unwrap().1.first_key()).collect::<Vec<_>>();
    assert_eq!(from(0), [11, 21, 31]);
    assert_eq!(from(14), [21, 31]);
    assert_eq!(from(34), [] as [u64; 0]);
    for key in [0, 11, 13, 14, 34] {
        let walked = snapshot.walk_chunks(10, key).map(|chunk| chunk.unwrap().first_key()).collect::<Vec<_>>();
        assert_eq!(walked, from(key), "walked from {key}");
    }
    assert_eq!(snapshot.meta_before(10, u64::MAX).unwrap().unwrap().seq, 9);
    assert_eq!(snapshot.meta_before(12, u64::MAX).unwrap(), None);
    assert!(snapshot.chunk_before(9, 0, 99).unwrap().is_none());
}

#[test]
fn decoded_chunks_are_kept_per_epoch() {
    let place = three_chunks();
    let snapshot = place.store.snapshot();
    snapshot.chunk_covering(10, 0, 12).unwrap();
    assert_eq!((place.store.cache_stat().hits, place.store.cache_stat().misses), (0, 1));
    snapshot.chunk_covering(10, 0, 11).unwrap();
    assert_eq!((place.store.cache_stat().hits, place.store.cache_stat().misses), (1, 1));
    snapshot.chunk_covering(10, 1, 11).unwrap();
    assert_eq!((place.store.cache_stat().hits, place.store.cache_stat().misses), (1, 2));
    assert!(place.store.cache_stat().bytes > 0);
}

#[test]
fn an_entity_has_its_newest_version() {
    let place = three_chunks();
    // From memory alone, from a table, and from tables and memory.
    for round in 0..3 {
        let snapshot = place.store.snapshot();
        let newest = snapshot.newest(10, b"a\0").unwrap().unwrap();
        assert_eq!((newest.key, newest.born, newest.payload_len, newest.bytes), (32, 22, 7, 9));
        let key = |id, entity: &[u8]| snapshot.newest(id, entity).unwrap().map(|version| version.key);
        let aa = (round > 0).then_some(39 + round);
        assert_eq!([key(10, b"a"), key(10, b"aa"), key(10, b"c"), key(11, b"a")], [Some(31), aa, None, Some(14)]);
        assert_eq!([key(9, b"a"), key(10, b""), key(10, b"a\0\0"), key(12, b"a")], [None; 4]);
        assert_eq!(key(10, b"b"), (round < 2).then_some(33));
        place.store.flush().unwrap();
        let mut changes = place.store.changes(0);
        changes.put_newest(10, b"aa", &version(&entry(40 + round, Op::Update, b"aa", b"")));
        if round == 1 {
            changes.delete_entity(10, b"b");
        }
        place.store.commit(changes).unwrap();
    }
}

#[test]
fn entities_come_in_order_with_their_newest_version() {
    let place = three_chunks();
    let mut changes = place.store.changes(0);
    for key in 100..120 {
        changes.put_newest(10, b"many", &version(&entry(key, Op::Update, b"many", b"x")));
    }
    place.store.commit(changes).unwrap();
    let snapshot = place.store.snapshot();
    let after = |after: Option<&[u8]>| -> Vec<(Vec<u8>, u64)> {
        snapshot
            .entities(10, after)
            .map(|row| row.map(|(entity, newest)| (entity.to_vec(), newest.key)).unwrap())
            .collect()
    };
    let all = [(b"a".to_vec(), 31), (b"a\0".to_vec(), 32), (b"b".to_vec(), 33), (b"many".to_vec(), 119)];
    assert_eq!(after(None), all);
    assert_eq!(after(Some(b"a")), all[1..]);
    assert_eq!(after(Some(b"a\0")), all[2..]);
    assert_eq!(after(Some(b"bb")), all[3..]);
    assert_eq!(after(Some(b"many")), []);
}

#[test]
fn marks_come_in_key_order() {
    let place = three_chunks();
    let snapshot = place.store.snapshot();
    let marks = |after| snapshot.marks(10, after).collect::<Result<Vec<_>>>().unwrap();
    assert_eq!(marks(0), [(11, 21), (12, 22), (13, 23), (21, 31), (22, 32), (23, 33)]);
    assert_eq!(marks(13), [(21, 31), (22, 32), (23, 33)]);
    assert_eq!(marks(u64::MAX), []);
    assert_eq!((snapshot.mark(10, 12).unwrap(), snapshot.mark(10, 32).unwrap()), (Some(22), None));
}

#[test]
fn names_page_by_prefix() {
    let place = three_chunks();
    let mut changes = place.store.changes(0);
    for (id, name) in [(1, &b"m/1"[..]), (2, b"m/2"), (3, b"m/3"), (4, b"\xff"), (5, b"\xff\xff")] {
        changes.put_name(name, id);
    }
    place.store.commit(changes).unwrap();
    let snapshot = place.store.snapshot();
    let ids = |prefix: &[u8], after: Option<&[u8]>, limit| -> Vec<u64> {
        snapshot.names(prefix, after, limit).unwrap().iter().map(|(_, id)| *id).collect()
    };
    assert_eq!(ids(b"", None, 99), [11, 1, 2, 3, 10, 4, 5]);
    assert_eq!(ids(b"m/", None, 2), [1, 2]);
    assert_eq!(ids(b"m/", Some(b"m/2"), 2), [3]);
    assert_eq!(ids(b"m/", Some(b"a"), 9), [1, 2, 3]);
    assert_eq!(ids(b"m/", Some(b"z"), 9), [] as [u64; 0]);
    assert_eq!(ids(b"\xff", None, 9), [4, 5]);
    assert_eq!(snapshot.name(b"m/2").unwrap(), Some(2));
    assert_eq!(snapshot.name(b"m/").unwrap(), None);
}

#[test]
fn consumers_are_found_by_dataset_and_by_name() {
    let place = place();
    let mut changes = place.store.changes(0);
    for (id, name, position) in [(1, &b"z"[..], 5), (1, b"a", 6), (2, b"a", 7), (2, b"a\0", 8)] {
        changes.put_consumer(id, name, &ConsumerRecord { position, ..ConsumerRecord::default() }).unwrap();
    }
    place.store.commit(changes).unwrap();
    let snapshot = place.store.snapshot();
    let positions = |rows: Vec<ConsumerRow>| rows.iter().map(|row| row.record.position).collect::<Vec<_>>();
    assert_eq!(positions(snapshot.consumers_of(1).collect::<Result<_>>().unwrap()), [6, 5]);
    assert_eq!(positions(snapshot.consumers(None, 2).unwrap()), [6, 7]);
    assert_eq!(positions(snapshot.consumers(Some((b"a", 2)), 9).unwrap()), [8, 5]);
    assert_eq!(snapshot.consumer(2, b"a").unwrap().unwrap().position, 7);
    let mut changes = place.store.changes(0);
    changes.delete_consumer(1, b"a");
    place.store.commit(changes).unwrap();
    assert_eq!(positions(place.store.snapshot().consumers(None, 9).unwrap()), [7, 8, 5]);
    assert_eq!(positions(snapshot.consumers(None, 9).unwrap()), [6, 7, 8, 5]);
}

#[test]
fn queues_are_read_up_to_a_time() {
    let place = place();
    let mut changes = place.store.changes(0);
    for (due_ms, id) in [(300, 1), (100, 2), (200, 3), (200, 4)] {
        changes.put_due(due_ms, id);
        changes.put_work(id);
    }
    for (id, time_ms) in [(&b"x"[..], 70), (b"y", 50), (b"z", 60)] {
        changes.put_idempotency(id, &IdempotencyRecord { time_ms, first: time_ms, ..Default::default() }).unwrap();
    }
    place.store.commit(changes).unwrap();
    let snapshot = place.store.snapshot();
    assert_eq!(snapshot.due(200, 9).unwrap(), [(100, 2), (200, 3), (200, 4)]);
    assert_eq!(snapshot.due(200, 2).unwrap(), [(100, 2), (200, 3)]);
    assert_eq!(snapshot.due(u64::MAX, 9).unwrap().len(), 4);
    assert_eq!(snapshot.work(3).unwrap(), [1, 2, 3]);
    assert_eq!(snapshot.idempotency(b"z").unwrap().unwrap().first, 60);
    let expired = snapshot.expired(60, 9).unwrap();
    assert_eq!(
        expired.iter().map(|(time_ms, id)| (*time_ms, &id[..])).collect::<Vec<_>>(),
        [(50, &b"y"[..]), (60, b"z")]
    );
    let mut changes = place.store.changes(0);
    changes.delete_idempotency(b"y", 50);
    changes.delete_due(100, 2);
    changes.delete_work(1);
    place.store.commit(changes).unwrap();
    let snapshot = place.store.snapshot();
    assert_eq!(snapshot.expired(60, 9).unwrap().len(), 1);
    assert_eq!(snapshot.idempotency(b"y").unwrap(), None);
    assert_eq!(snapshot.due(200, 9).unwrap(), [(200, 3), (200, 4)]);
    assert_eq!(snapshot.work(9).unwrap(), [2, 3, 4]);
}

#[test]
fn a_snapshot_does_not_see_what_comes_after_it() {
    let place = three_chunks();
    let before = place.store.snapshot();
    let mut changes = place.store.changes(0);
    changes.delete_dataset(&before, 10).unwrap();
    changes.set_applied(&applied(40)).unwrap();
    place.store.commit(changes).unwrap();
    place.store.flush().unwrap();
    let after = place.store.snapshot();
    assert_eq!((before.applied().unwrap().key, after.applied().unwrap().key), (33, 40));
    assert_eq!(before.record(10).unwrap().unwrap().entries, 9);
    assert_eq!(before.chunks(10, 0, 0).count(), 3);
    assert_eq!(before.entities(10, None).count(), 3);
    assert_eq!(before.marks(10, 0).count(), 6);
    assert_eq!(after.record(10).unwrap(), None);
    assert_eq!(after.chunks(10, 0, 0).count() + after.entities(10, None).count() + after.marks(10, 0).count(), 0);
    assert_eq!(after.newest(10, b"a").unwrap(), None);
    // The neighbours are untouched.
    assert_eq!(after.chunks(11, 0, 0).count(), 1);
    assert_eq!(after.record(11).unwrap().unwrap().head, 14);
}

#[test]
fn deleting_a_dataset_takes_its_rows_everywhere() {
    let place = three_chunks();
    let mut changes = place.store.changes(0);
    let mut record = place.store.snapshot().record(10).unwrap().unwrap();
    record.due_ms = 500;
    changes.put_record(&record).unwrap();
    changes.put_due(500, 10);
    changes.put_work(10);
    changes.put_consumer(10, b"c", &ConsumerRecord::default()).unwrap();
    changes.put_consumer(11, b"c", &ConsumerRecord::default()).unwrap();
    place.store.commit(changes).unwrap();
    let mut changes = place.store.changes(0);
    changes.delete_dataset(&place.store.snapshot(), 10).unwrap();
    place.store.commit(changes).unwrap();
    let snapshot = place.store.snapshot();
    assert_eq!(snapshot.due(u64::MAX, 9).unwrap(), []);
    assert_eq!(snapshot.work(9).unwrap(), [] as [u64; 0]);
    assert_eq!(snapshot.consumers(None, 9).unwrap().iter().map(|row| row.id).collect::<Vec<_>>(), [11]);
    assert_eq!(snapshot.records(0).map(|record| record.unwrap().id).collect::<Vec<_>>(), [11]);
}

#[test]
fn a_pool_reads_what_its_snapshot_does() {
    let place = three_chunks();
    let mut changes = place.store.changes(0);
    for id in [9, 10, 11] {
        changes.put_consumer(id, b"c", &ConsumerRecord { position: id, ..ConsumerRecord::default() }).unwrap();
    }
    place.store.commit(changes).unwrap();
    let snapshot = place.store.snapshot();
    let pool = Pool::new(&snapshot);
    // Twice and in turn, so that each iterator is used again, also for what lies before it.
    for id in [11, 10, 12, 9, 10, 11] {
        for key in [0, 11, 13, 22, 33, 99] {
            let metas = pool.metas(id, key).collect::<Result<Vec<_>>>().unwrap();
            assert_eq!(metas, snapshot.metas(id, key).collect::<Result<Vec<_>>>().unwrap(), "{id} {key}");
            let marks = pool.marks(id, key).collect::<Result<Vec<_>>>().unwrap();
            assert_eq!(marks, snapshot.marks(id, key).collect::<Result<Vec<_>>>().unwrap(), "{id} {key}");
            assert_eq!(pool.meta_covering(id, key).unwrap(), snapshot.meta_covering(id, key).unwrap());
        }
        let entities = pool.entities(id).collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(entities, snapshot.entities(id, None).collect::<Result<Vec<_>>>().unwrap());
        let consumers = pool.consumers_of(id).collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(consumers, snapshot.consumers_of(id).collect::<Result<Vec<_>>>().unwrap());
        // Two at once, and one that is dropped on its way.
        let (mut one, mut other) = (pool.metas(10, 0), pool.metas(10, 22));
        assert!(one.next().unwrap().unwrap().last < other.next().unwrap().unwrap().last);
    }
}
