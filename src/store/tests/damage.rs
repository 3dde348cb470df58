use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::*;

/// A flushed store with data in every column family, closed; it has applied key 400.
fn closed() -> (tempfile::TempDir, PathBuf) {
    let Place { root, store } = place();
    let mut record = DatasetRecord { id: 1, name: b"one".to_vec(), ..DatasetRecord::default() };
    for round in 0..4u64 {
        let mut changes = store.changes(0);
        let names: Vec<_> = (0..100).map(|i| format!("entity-{i}")).collect();
        let entries: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let plain = entry(round * 100 + i as u64 + 1, Op::Update, name.as_bytes(), b"a payload of some length");
                if round == 0 { plain } else { over(plain, plain.key - 100, plain.payload.len()) }
            })
            .collect();
        seal(&mut changes, &mut record, &entries);
        changes.put_name(b"one", 1);
        changes.set_applied(&applied(round * 100 + 100)).unwrap();
        store.commit(changes).unwrap();
        store.flush().unwrap();
    }
    drop(store);
    let dir = root.path().join("db");
    (root, dir)
}

fn open_reader(dir: &Path) -> Store {
    Store::open_read_only(&os(), dir, &OPTIONS, 400).unwrap()
}

/// Every file of a directory with its content.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.map(|file| (file.clone(), fs::read(&file).unwrap())).collect()
}

fn files_ending(dir: &Path, ending: &str) -> Vec<PathBuf> {
    content(dir).into_keys().filter(|file| file.to_str().unwrap().ends_with(ending)).collect()
}

fn manifest(dir: &Path) -> PathBuf {
    dir.join(fs::read_to_string(dir.join("CURRENT")).unwrap().trim())
}

/// Asserts that opening is refused as damage, and that the directory is as it was.
fn refused(dir: &Path, at_least: u64) -> (PathBuf, String) {
    let before = content(dir);
    let error = open(dir, at_least).map(|_| ()).expect_err("a damaged store is refused");
    let Error::Damaged { file, what, .. } = error else { panic!("not called damaged: {error:?}") };
    assert!(content(dir) == before, "a refused opening changed the directory");
    assert!(file.starts_with(dir), "{} is not in the store", file.display());
    (file, what)
}

#[test]
fn a_sound_store_opens_again_with_everything() {
    let (_root, dir) = closed();
    assert!(files_ending(&dir, ".blob").len() == 4, "chunks are meant to lie in blob files");
    let store = open(&dir, 400).unwrap();
    assert_eq!(store.applied().unwrap(), applied(400));
    assert_eq!(store.snapshot().chunks(1, 0, 0).map(|chunk| chunk.unwrap().1.len()).sum::<usize>(), 400);
}

#[test]
fn a_manifest_cut_by_20_bytes_is_refused() {
    // One flush and no more, so that the MANIFEST ends with it and not with a compaction, which may be lost.
    let Place { root: _root, store } = place();
    let mut changes = store.changes(0);
    changes.put_name(b"one", 1);
    changes.set_applied(&applied(400)).unwrap();
    store.commit(changes).unwrap();
    store.flush().unwrap();
    let dir = store.dir().to_path_buf();
    drop(store);
    let file = manifest(&dir);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 20]).unwrap();
    refused(&dir, 400);
}

#[test]
fn a_manifest_cut_anywhere_is_refused_or_harmless() {
    let (_root, dir) = closed();
    let file = manifest(&dir);
    let bytes = fs::read(&file).unwrap();
    let mut cut = 0;
    for len in (0..bytes.len()).step_by(37) {
        fs::write(&file, &bytes[..len]).unwrap();
        let before = content(&dir);
        match Store::open_read_only(&os(), &dir, &OPTIONS, 400) {
            Ok(store) => {
                let found = store.snapshot().chunks(1, 0, 0).map(|chunk| chunk.unwrap().1.len()).sum::<usize>();
                assert_eq!(found, 400, "cut to {len} of {} bytes", bytes.len());
            }
            Err(Error::Damaged { .. }) => cut += 1,
            Err(error) => panic!("cut to {len} bytes: {error:?}"),
        }
        assert!(content(&dir) == before, "cut to {len} bytes: the directory was changed");
    }
    assert!(cut > 5, "only {cut} cuts were refused");
}

/// What a power cut of ext4 left now and then: the last record in its full length, of which only the beginning was
/// written.
#[test]
fn a_torn_end_of_the_manifest_is_cut_off_and_kept_aside() {
    let (_root, dir) = closed();
    let file = manifest(&dir);
    let sound = fs::read(&file).unwrap();
    let whole = read_all(&open_reader(&dir)).unwrap();
    for (torn, zeros) in [(100, 140), (100, 9_000), (7, 4)] {
        let mut bytes = sound.clone();
        bytes.extend([0xdf, 0x4e, 0xd5, 0xbd, 98, 0, 1]);
        bytes.extend((7..torn).map(|byte| byte as u8));
        bytes.resize(bytes.len() + zeros, 0);
        // Of its full length, or longer than a short header says.
        bytes[sound.len() + 4] = bytes[sound.len() + 4].min((torn + zeros - 7) as u8);
        fs::write(&file, &bytes).unwrap();

        let before = content(&dir);
        assert_eq!(read_all(&open_reader(&dir)).unwrap(), whole, "{torn} torn bytes and {zeros} zeros");
        refused(&dir, 401);
        assert!(content(&dir) == before, "looking changed the directory");

        drop(open(&dir, 400).unwrap());
        assert_eq!(fs::read(file.with_extension("torn")).unwrap(), bytes[sound.len()..]);
        assert_eq!(read_all(&open_reader(&dir)).unwrap(), whole);
        fs::remove_file(file.with_extension("torn")).unwrap();
        for (path, bytes) in &before {
            fs::write(path, bytes).unwrap();
        }
        for path in content(&dir).into_keys().filter(|path| !before.contains_key(path)) {
            fs::remove_file(path).unwrap();
        }
        fs::write(&file, &sound).unwrap();
    }
}

/// Whatever a power cut leaves of the records of one flush, around the end of a block of 32 KiB too.
#[test]
fn a_flush_that_was_torn_anywhere_leaves_the_store_before_it() {
    let Place { root, store } = place();
    let dir = root.path().join("db");
    // Compactions write into the MANIFEST too, whenever they like.
    Family::ALL.into_iter().for_each(|family| assert!(store.kv.set(family, &[("disable_auto_compactions", "true")])));
    let len = || fs::metadata(manifest(&dir)).unwrap().len() as usize;
    let mut flushes = 0;
    let mut flush = || {
        flushes += 1;
        let mut changes = store.changes(0);
        changes.put_name(format!("name-{flushes}").as_bytes(), flushes);
        changes.put_mark(flushes, 1, 2);
        changes.set_applied(&applied(flushes)).unwrap();
        store.commit(changes).unwrap();
        store.flush().unwrap();
        flushes
    };
    let (mut from, mut last) = (len(), 0);
    while len() < 32 << 10 {
        from = len();
        last = flush();
    }
    let file = manifest(&dir);
    let whole = fs::read(&file).unwrap();
    let torn = root.path().join("torn");
    fs::create_dir(&torn).unwrap();
    for (path, bytes) in content(&dir) {
        fs::write(torn.join(path.file_name().unwrap()), bytes).unwrap();
    }
    let file = torn.join(file.file_name().unwrap());
    let mut passed_over = 0;
    for at in (from..whole.len()).step_by(5).chain((32 << 10) - 20..(32 << 10) + 20) {
        // Nothing from here on; nothing up to the next block of the file system; nothing in the first block.
        let next = at.next_multiple_of(1024).min(whole.len());
        for zeros in [at..whole.len(), at..next, from..at] {
            let mut bytes = whole.clone();
            bytes[zeros.clone()].fill(0);
            fs::write(&file, &bytes).unwrap();
            let store = Store::open_read_only(&os(), &torn, &OPTIONS, last - 1);
            let store = store.unwrap_or_else(|error| panic!("zeros at {zeros:?} of {}: {error}", whole.len()));
            passed_over += u32::from(store.torn_end().is_some());
            let (snapshot, upto) = (store.snapshot(), store.applied().unwrap().key);
            assert!(upto == last || upto == last - 1);
            for key in 1..=last {
                let there = (key <= upto).then_some(key);
                assert_eq!(snapshot.name(format!("name-{key}").as_bytes()).unwrap(), there, "zeros at {zeros:?}");
                assert_eq!(snapshot.mark(key, 1).unwrap(), there.map(|_| 2), "zeros at {zeros:?}");
            }
        }
    }
    assert!(passed_over > 100, "only {passed_over} torn ends");
}

#[test]
fn an_empty_manifest_is_refused() {
    let (_root, dir) = closed();
    fs::write(manifest(&dir), b"").unwrap();
    refused(&dir, 0);
}

#[test]
fn missing_pieces_are_refused_by_name() {
    let (_root, dir) = closed();
    let current = dir.join("CURRENT");
    let kept = fs::read(&current).unwrap();
    fs::remove_file(&current).unwrap();
    assert_eq!(refused(&dir, 400).0, current);
    fs::write(&current, kept).unwrap();

    let file = manifest(&dir);
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    refused(&dir, 400);
    fs::write(&file, kept).unwrap();

    for file in files_ending(&dir, ".sst") {
        let kept = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(refused(&dir, 400).0, file);
        fs::write(&file, &kept[..kept.len() - 1]).unwrap();
        assert_eq!(refused(&dir, 400).0, file);
        fs::write(&file, kept).unwrap();
    }
    for file in files_ending(&dir, ".blob") {
        let kept = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(refused(&dir, 400).0, dir);
        // Another file in its place, as a crash may leave one, hides it until it is read.
        fs::write(dir.join("000999.blob"), &kept).unwrap();
        let Err(Error::Damaged { file: named, .. }) = read_all(&open_reader(&dir)) else { panic!("not noticed") };
        assert_eq!(named, file);
        fs::remove_file(dir.join("000999.blob")).unwrap();
        fs::write(&file, &kept[..kept.len() - 1]).unwrap();
        refused(&dir, 400);
        fs::write(&file, kept).unwrap();
    }
    open(&dir, 400).unwrap();
}

#[test]
fn a_missing_directory_is_refused() {
    let (_root, dir) = closed();
    fs::remove_dir_all(&dir).unwrap();
    let Err(Error::Damaged { file, .. }) = open(&dir, 0) else { panic!("a missing store was opened") };
    assert_eq!(file, dir);
    assert!(!dir.exists());
}

#[test]
fn an_older_copy_is_refused() {
    let (_root, dir) = closed();
    let (_, what) = refused(&dir, 401);
    assert!(what.contains("400") && what.contains("401"), "{what}");
}

#[test]
fn another_format_is_refused_untouched() {
    for format in [0u32, 1, 3] {
        let (_root, dir) = closed();
        let store = open(&dir, 400).unwrap();
        let mut changes = store.changes(0);
        changes.put(Family::Meta, keys::FORMAT, &format.to_be_bytes());
        store.commit(changes).unwrap();
        store.flush().unwrap();
        drop(store);
        let before = content(&dir);
        match open(&dir, 400).map(drop) {
            Err(Error::FormatTooNew { found: 3, supported: 2, .. }) if format == 3 => {}
            Err(Error::Damaged { what, .. }) if format < 3 && what.contains("before the first release") => {}
            other => panic!("{format}: {other:?}"),
        }
        assert!(content(&dir) == before);
    }
}

/// Reads everything there is; the entries found, and what was refused.
fn read_all(store: &Store) -> Result<usize> {
    let snapshot = store.snapshot();
    let mut found = 0;
    for record in snapshot.records(0) {
        let id = record?.id;
        for chunk in snapshot.chunks(id, 0, 0) {
            found += chunk?.1.len();
        }
        for row in snapshot.entities(id, None) {
            found += usize::from(snapshot.newest(id, &row?.0)?.is_some());
        }
        for mark in snapshot.marks(id, 0) {
            found += mark.map(|_| 1)?;
        }
    }
    Ok(found)
}

#[test]
fn a_flipped_bit_in_a_table_is_found_on_reading_or_harmless() {
    let (_root, dir) = closed();
    let whole = read_all(&open(&dir, 400).unwrap()).unwrap();
    assert_eq!(whole, 400 + 100 + 300);
    let mut tables = files_ending(&dir, ".sst");
    tables.extend(files_ending(&dir, ".blob"));
    let (mut tried, mut caught, mut named) = (0, 0, 0);
    for file in tables {
        let sound = fs::read(&file).unwrap();
        for at in (0..sound.len()).step_by(sound.len() / 12 + 1) {
            let mut flipped = sound.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&file, &flipped).unwrap();
            tried += 1;
            match Store::open_read_only(&os(), &dir, &OPTIONS, 400).and_then(|store| read_all(&store)) {
                Ok(found) => assert_eq!(found, whole, "{} at {at}", file.display()),
                Err(Error::Damaged { file: found, .. }) => {
                    caught += 1;
                    named += u32::from(found == file);
                }
                Err(error) => panic!("{} at {at}: {error:?}", file.display()),
            }
        }
        fs::write(&file, &sound).unwrap();
    }
    println!("{tried} flips, {caught} caught, {named} with their file");
    assert!(caught * 3 > tried, "{caught} of {tried} caught");
    assert!(named * 10 > caught * 9, "{named} of {caught} named");
}

#[test]
fn a_flipped_bit_in_the_manifest_is_refused_or_harmless() {
    let (_root, dir) = closed();
    let whole = read_all(&open_reader(&dir)).unwrap();
    let (mut tried, mut refused) = (0, 0);
    for file in [manifest(&dir), dir.join("CURRENT"), dir.join("IDENTITY")] {
        let sound = fs::read(&file).unwrap();
        for at in (0..sound.len()).step_by(7) {
            let mut flipped = sound.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&file, &flipped).unwrap();
            let before = content(&dir);
            tried += 1;
            match Store::open_read_only(&os(), &dir, &OPTIONS, 400).and_then(|store| read_all(&store)) {
                Ok(found) => assert_eq!(found, whole, "{} at {at}", file.display()),
                Err(Error::Damaged { .. }) => refused += 1,
                Err(error) => panic!("{} at {at}: {error:?}", file.display()),
            }
            assert!(content(&dir) == before, "{} at {at}: the directory was changed", file.display());
        }
        fs::write(&file, &sound).unwrap();
    }
    println!("{tried} flips, {refused} refused");
    assert!(refused * 3 > tried * 2, "{refused} of {tried} refused");
}

#[test]
fn every_bit_of_every_record_type_in_the_manifest_is_refused() {
    let (_root, dir) = closed();
    let whole = read_all(&open_reader(&dir)).unwrap();
    let file = manifest(&dir);
    let sound = fs::read(&file).unwrap();
    let (mut at, mut tried) = (0, 0);
    while at + 7 <= sound.len() {
        for bit in 0..8 {
            let mut flipped = sound.clone();
            flipped[at + 6] ^= 1 << bit;
            fs::write(&file, &flipped).unwrap();
            let next = at + 7 + usize::from(u16::from_le_bytes([sound[at + 4], sound[at + 5]]));
            match Store::open_read_only(&os(), &dir, &OPTIONS, 400) {
                Err(Error::Damaged { file: named, offset, .. }) if next < sound.len() => {
                    assert_eq!((named, offset), (file.clone(), Some(at as u64)));
                }
                // The last one may be torn. What it stood for is missing, or was a compaction. Two of these may be the last two:
                // whichever is left out, everything is there, or the store is refused for a file that is gone.
                Err(Error::Damaged { .. }) => {}
                Ok(store) => {
                    let found = read_all(&store).unwrap();
                    assert_eq!(found, whole, "byte {at} of {}: it opens with less", sound.len());
                }
                Err(error) => panic!("byte {at}: {error:?}"),
            }
            tried += 1;
        }
        at += 7 + usize::from(u16::from_le_bytes([sound[at + 4], sound[at + 5]]));
    }
    assert!(tried > 100, "only {tried} flips");
}

#[test]
fn a_malformed_row_is_refused_and_ends_the_iteration() {
    let place = place();
    let mut changes = place.store.changes(0);
    changes.put_mark(1, 5, 6);
    changes.put(Family::Superseded, &keys::pair(1, 6), b"\xff");
    changes.put_mark(1, 7, 8);
    place.store.commit(changes).unwrap();
    let snapshot = place.store.snapshot();
    let mut marks = snapshot.marks(1, 0);
    assert_eq!(marks.next().unwrap().unwrap(), (5, 6));
    assert!(matches!(marks.next(), Some(Err(Error::Damaged { .. }))));
    assert!(marks.next().is_none());
    assert!(marks.next().is_none());
}

#[test]
fn what_was_not_flushed_is_gone_after_a_crash_and_after_a_drop() {
    let Place { root, store } = place();
    let dir = root.path().join("db");
    let mut changes = store.changes(0);
    changes.put_name(b"kept", 1);
    changes.set_applied(&applied(1)).unwrap();
    store.commit(changes).unwrap();
    store.flush().unwrap();
    let mut changes = store.changes(0);
    changes.put_name(b"lost", 2);
    changes.put_mark(1, 5, 6);
    changes.set_applied(&applied(2)).unwrap();
    store.commit(changes).unwrap();
    assert_eq!(store.snapshot().name(b"lost").unwrap(), Some(2));
    let crashed = root.path().join("crashed");
    fs::create_dir(&crashed).unwrap();
    for (file, bytes) in content(&dir) {
        fs::write(crashed.join(file.file_name().unwrap()), bytes).unwrap();
    }
    drop(store);
    for dir in [dir, crashed] {
        assert!(matches!(open(&dir, 2), Err(Error::Damaged { .. })));
        let store = open(&dir, 1).unwrap();
        let snapshot = store.snapshot();
        assert_eq!(snapshot.applied().unwrap(), applied(1));
        assert_eq!((snapshot.name(b"kept").unwrap(), snapshot.name(b"lost").unwrap()), (Some(1), None));
        assert_eq!(snapshot.mark(1, 5).unwrap(), None);
    }
}

#[test]
fn creating_leaves_a_whole_store_or_none() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("db");
    fs::create_dir(root.path().join("db.new")).unwrap();
    fs::write(root.path().join("db.new/CURRENT"), b"rest of a crash").unwrap();
    drop(Store::create(&os(), &dir, &OPTIONS).unwrap());
    assert!(!root.path().join("db.new").exists());
    assert!(matches!(Store::create(&os(), &dir, &OPTIONS), Err(Error::Invalid { .. })));
    assert_eq!(open(&dir, 0).unwrap().applied().unwrap(), Applied::default());
}

#[test]
fn a_checkpoint_opens_and_goes_its_own_way() {
    let (root, dir) = closed();
    let store = open(&dir, 400).unwrap();
    let mut changes = store.changes(0);
    changes.put_name(b"unflushed", 2);
    store.commit(changes).unwrap();
    let copy = root.path().join("copy");
    store.checkpoint(&copy).unwrap();
    let mut changes = store.changes(0);
    changes.put_name(b"later", 3);
    store.commit(changes).unwrap();
    store.flush().unwrap();
    let copied = open(&copy, 400).unwrap();
    let snapshot = copied.snapshot();
    assert_eq!((snapshot.name(b"unflushed").unwrap(), snapshot.name(b"later").unwrap()), (Some(2), None));
    assert_eq!(read_all(&copied).unwrap(), 800);
    assert!(store.checkpoint(&copy).is_err());
}

#[test]
fn a_second_opener_is_refused_and_a_reader_changes_nothing() {
    let (_root, dir) = closed();
    let store = open(&dir, 400).unwrap();
    assert!(open(&dir, 400).is_err());
    drop(store);
    let before = content(&dir);
    let reader = Store::open_read_only(&os(), &dir, &OPTIONS, 400).unwrap();
    assert_eq!(read_all(&reader).unwrap(), 800);
    let mut changes = reader.changes(0);
    changes.put_name(b"x", 1);
    assert!(reader.commit(changes).is_err());
    drop(reader);
    assert!(content(&dir) == before);
}
