use super::super::check::Checked;
use super::*;
use crate::types::Finding;

const PAYLOAD: &[u8] = b"a payload";

/// Dataset 1 with three chunks of 40 entries over 40 entities, the newest of entity 7 a delete, history trimmed up to
/// key 45: the entries 1..=5 are dropped, and wait in their chunk.
fn sound() -> Place {
    let place = place();
    let names: Vec<_> = (0..40).map(|i| format!("entity-{i}")).collect();
    let mut record = DatasetRecord { id: 1, name: b"one".to_vec(), due_ms: 9, ..DatasetRecord::default() };
    for round in 0..3u64 {
        let mut changes = place.store.changes(0);
        let entries: Vec<_> = (0..40)
            .map(|i| {
                let delete = round == 2 && i == 7;
                let (op, payload) = if delete { (Op::Delete, &b""[..]) } else { (Op::Update, PAYLOAD) };
                let plain = entry(round * 40 + i + 1, op, names[i as usize].as_bytes(), payload);
                if round == 0 { plain } else { over(plain, plain.key - 40, PAYLOAD.len()) }
            })
            .collect();
        seal(&mut changes, &mut record, &entries);
        place.store.commit(changes).unwrap();
    }
    let mut changes = place.store.changes(0);
    let mut first = place.store.snapshot().meta_covering(1, 1).unwrap().unwrap();
    for key in 1..=5u64 {
        let name = &names[key as usize - 1];
        let bytes = (name.len() + PAYLOAD.len()) as u64;
        (record.entries, record.bytes) = (record.entries - 1, record.bytes - bytes);
        (record.superseding, record.superseded_bytes) = (record.superseding - 1, record.superseded_bytes - bytes);
        (first.dead, first.dead_bytes) = (first.dead + 1, first.dead_bytes + bytes);
    }
    changes.put_meta(1, &first);
    record.history_floor = 45;
    changes.put_record(&record).unwrap();
    changes.put_name(b"one", 1);
    changes.put_due(9, 1);
    changes.put_work(1);
    changes.put_consumer(1, b"c", &ConsumerRecord::default()).unwrap();
    changes.put_idempotency(b"i", &IdempotencyRecord::default()).unwrap();
    place.store.commit(changes).unwrap();
    place
}

fn verify(store: &Store) -> (Checked, Vec<Finding>) {
    let mut findings = Vec::new();
    let checked = store.snapshot().verify(&mut |finding| findings.push(finding));
    (checked, findings)
}

/// Asserts that after `damage`, and only then, something is found; and that it says `what`.
fn found(what: &str, damage: impl FnOnce(&Place, &mut Changes<'_>)) {
    let place = sound();
    let mut changes = place.store.changes(0);
    damage(&place, &mut changes);
    place.store.commit(changes).unwrap();
    let (_, findings) = verify(&place.store);
    assert!(findings.iter().any(|finding| finding.what.contains(what)), "'{what}' is not in {findings:#?}");
}

fn with_record(place: &Place, changes: &mut Changes<'_>, change: impl FnOnce(&mut DatasetRecord)) {
    let mut record = place.store.snapshot().record(1).unwrap().unwrap();
    change(&mut record);
    changes.put_record(&record).unwrap();
}

#[test]
fn a_sound_store_has_no_findings() {
    let place = sound();
    let (checked, findings) = verify(&place.store);
    assert_eq!(findings, []);
    assert_eq!((checked.datasets, checked.chunks, checked.entries), (1, 3, 120));
    assert!(checked.bytes > 1000);
    place.store.flush().unwrap();
    let dir = place.root.path().join("db");
    drop(place.store);
    let (_, findings) = verify(&Store::open_read_only(&os(), &dir, &OPTIONS, 0).unwrap());
    assert_eq!(findings, []);
}

#[test]
fn what_only_one_side_has_is_found() {
    found("a chunk has this entry, but the index does not", |_, changes| changes.delete_entity(1, b"entity-9"));
    found("the index has this entry, but no chunk does", |_, changes| {
        changes.put_newest(1, b"entity-9", &version(&entry(33, Op::Update, b"entity-9", b"")));
    });
    found("the index says something else", |_, changes| {
        changes.put_newest(1, b"entity-9", &version(&over(entry(90, Op::Create, b"entity-9", PAYLOAD), 50, 9)));
    });
    found("superseded by key 50, but not marked", |_, changes| changes.delete_mark(1, 10));
    found("superseded by key 50, but marked with key 51", |_, changes| changes.put_mark(1, 10, 51));
    found("which does not supersede it", |_, changes| changes.put_mark(1, 119, 120));
    found("no chunk has it", |_, changes| changes.put_mark(1, 500, 501));
}

#[test]
fn a_version_that_is_another_entity_s_is_found() {
    // Entries and marks agree with each other, but not with whose entries they are.
    found("it names the entry at key 51 as the version before it, which it is not", |place, changes| {
        let snapshot = place.store.snapshot();
        let (chunk, meta) = (snapshot.read_chunk(1, 120).unwrap(), snapshot.meta_covering(1, 120).unwrap().unwrap());
        let mut builder = ChunkBuilder::new();
        for entry in chunk.iter() {
            let prev = [(90, 51), (91, 50)].into_iter().find(|(key, _)| *key == entry.key);
            builder.push(&ChunkEntry { prev: prev.map_or(entry.prev, |(_, prev)| prev), ..entry }).unwrap();
        }
        let (bytes, new) = builder.finish();
        changes.put_chunk(1, &new.with_seq(meta.seq, meta.seq_bytes), &bytes);
        changes.put_mark(1, 50, 91);
        changes.put_mark(1, 51, 90);
    });
}

#[test]
fn chunks_and_counts_that_do_not_fit_are_found() {
    found("counts are there, but not the chunk", |place, changes| {
        let meta = place.store.snapshot().meta_covering(1, 50).unwrap().unwrap();
        changes.delete_chunk(1, 80);
        changes.put(Family::ChunkMeta, &keys::pair(1, 80), &meta.encode());
    });
    found("a chunk is there, but not its counts", |place, changes| {
        let snapshot = place.store.snapshot();
        let chunk = snapshot.get(Family::Chunks, &keys::pair(1, 80)).unwrap().unwrap();
        changes.delete_chunk(1, 80);
        changes.put(Family::Chunks, &keys::pair(1, 80), &chunk);
    });
    found("counts are not those of its entries", |place, changes| {
        let mut meta = place.store.snapshot().meta_covering(1, 50).unwrap().unwrap();
        meta.deletes = 3;
        changes.put(Family::ChunkMeta, &keys::pair(1, 80), &meta.encode());
    });
    found("running totals", |place, changes| {
        let mut meta = place.store.snapshot().meta_covering(1, 50).unwrap().unwrap();
        meta.seq = 79;
        changes.put(Family::ChunkMeta, &keys::pair(1, 80), &meta.encode());
    });
    found("a chunk ends with another key", |place, changes| {
        let snapshot = place.store.snapshot();
        let chunk = snapshot.get(Family::Chunks, &keys::pair(1, 80)).unwrap().unwrap();
        changes.put(Family::Chunks, &keys::pair(1, 120), &chunk);
    });
    found("checksum", |place, changes| {
        let snapshot = place.store.snapshot();
        let mut chunk = snapshot.get(Family::Chunks, &keys::pair(1, 80)).unwrap().unwrap().to_vec();
        chunk[99] ^= 4;
        changes.put(Family::Chunks, &keys::pair(1, 80), &chunk);
    });
}

#[test]
fn what_is_dropped_in_a_chunk_is_counted() {
    found("4 of its entries are dropped, but 5 are", |place, changes| {
        let mut meta = place.store.snapshot().meta_covering(1, 1).unwrap().unwrap();
        meta.dead -= 1;
        changes.put_meta(1, &meta);
    });
}

#[test]
fn every_counter_of_a_record_is_checked() {
    found("entries, but", |place, changes| with_record(place, changes, |record| record.entries += 1));
    found("bytes, but", |place, changes| with_record(place, changes, |record| record.bytes -= 1));
    found("tombstones, but", |place, changes| with_record(place, changes, |record| record.tombstones = 0));
    found("bytes of tombstones, but", |place, changes| {
        with_record(place, changes, |record| record.tombstone_bytes += 1);
    });
    found("superseding entries, but", |place, changes| with_record(place, changes, |record| record.superseding += 1));
    found("bytes superseded, but", |place, changes| with_record(place, changes, |record| record.superseded_bytes = 1));
    found("entries ever appended, but", |place, changes| with_record(place, changes, |record| record.seq += 1));
    found("bytes ever appended, but", |place, changes| with_record(place, changes, |record| record.seq_bytes += 1));
    found("its head is 119", |place, changes| with_record(place, changes, |record| record.head = 119));
    found("floor is above", |place, changes| with_record(place, changes, |record| record.floor = 46));
}

#[test]
fn rows_that_stand_alone_are_found() {
    found("a dataset's name does not mean it", |_, changes| changes.delete_name(b"one"));
    found("a name means a dataset that has no record", |_, changes| changes.put_name(b"two", 2));
    found("a name means a dataset of another name", |_, changes| changes.put_name(b"two", 1));
    found("'superseded' has rows of dataset id 2", |_, changes| changes.put_mark(2, 1, 2));
    found("missing or another", |_, changes| changes.put_work(2));
    found("missing or another", |_, changes| changes.put_due(10, 1));
    found("missing or another", |_, changes| changes.delete_expiry(b"i", 0));
    found("missing or another", |_, changes| changes.put(Family::Meta, &keys::consumer_name(b"d", 1), b""));
    found("missing or another", |_, changes| changes.put_consumer(2, b"c", &ConsumerRecord::default()).unwrap());
    found("of no known kind", |_, changes| changes.put(Family::Meta, b"zebra", b""));
    found("cannot be read", |_, changes| changes.put(Family::Datasets, &keys::record(1), b"\x01"));
}

#[test]
fn damage_in_one_chunk_does_not_hide_another() {
    let place = sound();
    place.store.flush().unwrap();
    let dir = place.root.path().join("db");
    drop(place.store);
    let mut blobs: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
    blobs.retain(|file| file.extension().is_some_and(|extension| extension == "blob"));
    assert_eq!(blobs.len(), 1);
    let mut bytes = std::fs::read(&blobs[0]).unwrap();
    // The second and the third record, wherever they are.
    let second = bytes.windows(16).position(|window| window == keys::pair(1, 80)).unwrap();
    let third = bytes.windows(16).position(|window| window == keys::pair(1, 120)).unwrap();
    for at in [second, third] {
        bytes[at + 40] ^= 1;
    }
    std::fs::write(&blobs[0], bytes).unwrap();
    let (checked, findings) = verify(&Store::open_read_only(&os(), &dir, &OPTIONS, 0).unwrap());
    let places: Vec<_> = findings.iter().map(|finding| (finding.file.clone(), finding.offset)).collect();
    let expected: Vec<_> = [second, third].map(|at| (Some(blobs[0].clone()), Some(at as u64 - 32))).into();
    assert_eq!(places, expected, "{findings:#?}");
    assert_eq!(checked.chunks, 1);
}

/// Two datasets of one chunk each, of which the one whose last key is `bad` cannot be read: what is found then.
fn with_a_damaged_chunk(bad: (u64, u64), change: impl FnOnce(&mut Changes<'_>)) -> Vec<Finding> {
    let place = place();
    let mut changes = place.store.changes(0);
    for id in [1, 2] {
        let name = format!("dataset {id}").into_bytes();
        changes.put_name(&name, id);
        let mut record = DatasetRecord { id, name, ..DatasetRecord::default() };
        seal(&mut changes, &mut record, &[entry(10 * id, Op::Update, b"entity", &[7; 2000])]);
    }
    change(&mut changes);
    place.store.commit(changes).unwrap();
    place.store.flush().unwrap();
    let dir = place.root.path().join("db");
    drop(place.store);
    let mut damaged = 0;
    for file in std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "blob") {
            let mut bytes = std::fs::read(&file).unwrap();
            let at = bytes.windows(16).position(|window| window == keys::pair(bad.0, bad.1)).unwrap();
            bytes[at + 40] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1);
    verify(&Store::open_read_only(&os(), &dir, &OPTIONS, 0).unwrap()).1
}

#[test]
fn damage_is_found_once_and_in_the_dataset_that_has_it() {
    for (id, key) in [(1, 10), (2, 20)] {
        let findings = with_a_damaged_chunk((id, key), |_| {});
        let [finding] = &findings[..] else { panic!("{findings:#?}") };
        assert_eq!(finding.dataset.as_deref(), Some(format!("dataset {id}").as_bytes()), "{finding:?}");
        assert!(finding.offset.is_some() && finding.file.is_some(), "{finding:?}");
    }
    // A chunk that nothing announces is found all the same, and no other dataset is blamed for it.
    let findings = with_a_damaged_chunk((1, 10), |changes| changes.delete(Family::ChunkMeta, &keys::pair(1, 10)));
    assert!(!findings.is_empty());
    assert!(findings.iter().all(|finding| finding.dataset.as_deref() == Some(b"dataset 1")), "{findings:#?}");
}
