mod upkeep;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::Engine;
use super::changes::page;
use super::core::Core;
use super::pin::{Dataset, Pin, Reading};
use crate::compact::{self, Policy};
use crate::cursor::Cursor;
use crate::error::Error;
use crate::log::{Ledger, Log, LogOptions, NewFrame, segment_path};
use crate::options::Options;
use crate::types::{Batch, Cap, CompactionReport, Entry, Keep, Limits, Retention, SyncKey, View};
use crate::vfs::OsVfs;

/// A store that keeps nothing but what lives.
fn forgetful(dir: &Path) -> Engine {
    let none = Cap { entries: Some(0), bytes: None, age_ms: None };
    let retention = Retention { keep: Keep::Live, history: none, tombstones: none };
    let options = Options::default().retention(retention).grace(Duration::ZERO, 0).background_compaction(false);
    Engine::open(dir.join("store"), options).unwrap()
}

/// Drops all that its retention does not keep, at once.
fn everything(core: &Core) -> Policy {
    Policy {
        retention: core.options.retention,
        now_ms: core.clock.now_ms(),
        grace_ms: 0,
        grace_bytes: 0,
        consumer_bytes: 0,
        chunk_bytes: core.options.chunk_bytes,
    }
}

#[test]
fn a_remembered_life_does_not_reach_a_reader_of_an_older_moment() {
    let dir = tempfile::tempdir().unwrap();
    let engine = forgetful(dir.path());
    let append = |deleted: bool| {
        let mut batch = Batch::new();
        match deleted {
            true => batch.delete("d", "e"),
            false => batch.create("d", "e", "x"),
        };
        engine.append(batch).unwrap().last
    };
    let created = append(false);
    engine.seal().unwrap();
    let deleted = append(true);
    engine.seal().unwrap();
    // The next life and its end lie in the tail.
    append(false);
    append(true);
    let core = engine.core().unwrap();
    let store = core.store();
    let (old, dataset) = Pin::of(&core, &store, b"d").unwrap();
    let mut report = CompactionReport::default();
    compact::steps(&store, &[dataset.id], &everything(&core), &mut report, &|| {}).unwrap();
    assert_eq!(report.tombstones_dropped, 1);
    // Another reader asks, without the tombstone.
    engine.changes("d", &Cursor::after(deleted), Limits::default()).unwrap();
    let (page, _) = page(&core, &old, &dataset, &Cursor::after(created), Limits::default()).unwrap();
    assert_eq!(page.entries.len(), 1, "the client knows the entity and must be told that it is gone");
}

#[test]
fn a_moment_that_the_index_store_has_passed_is_torn_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path().join("store"), Options::default().background_compaction(false)).unwrap();
    let append = |entity: &'static str| {
        let mut batch = Batch::new();
        batch.put("d", entity, "x");
        engine.append(batch).unwrap();
        engine.seal().unwrap();
    };
    append("e1");
    let read = || engine.changes("d", &Cursor::START, Limits::default()).unwrap().entries.len();
    assert_eq!([read(), read()], [1, 1]);
    let core = engine.core().unwrap();
    let store = core.store();
    let mut times = 0;
    let found = Pin::read(&core, &store, b"d", |pin, dataset| {
        times += 1;
        if times == 1 {
            // Of what is remembered a whole page is made.
            assert_eq!(pin.chunks(dataset, 0, Reading::Here).count(), 1);
            append("e2");
            assert!(!pin.is_torn());
            pin.snapshot();
            assert!(pin.is_torn());
        }
        page(&core, pin, dataset, &Cursor::START, Limits::default()).map(|(page, _)| page.entries.len())
    });
    assert_eq!((found.unwrap(), times), (2, 2));
    let pin = Pin::trusting(&core, &store);
    // It has no name of this dataset's: with a snapshot it stays at its moment.
    pin.dataset(b"d").unwrap().unwrap();
    append("e3");
    pin.snapshot();
    assert!(!pin.is_torn());
    assert_eq!([read(), read()], [3, 3]);
}

/// Many a dataset is read once and not again soon, and may have hundreds of chunks.
#[test]
fn chunks_are_counted_and_remembered_by_the_second_read() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path().join("store"), Options::default()).unwrap();
    let mut batch = Batch::new();
    batch.create("d", "e", "x".repeat(20_000));
    let id = engine.append(batch).unwrap().first.get();
    engine.seal().unwrap();
    let store = engine.core().unwrap().store();
    for (read, known) in [("first", false), ("second", true), ("third", true)] {
        let page = engine.changes("d", &Cursor::START, Limits::default()).unwrap();
        assert_eq!(page.entries.len(), 1);
        assert_eq!(store.recent(id).expect("it was read").knows_chunks(), known, "after the {read} read");
    }
}

/// It has too many chunks for all of them to be remembered, so its pages go from stretch to stretch.
#[test]
fn a_large_dataset_reads_alike_at_once_and_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default().memory(64 << 20).retention(Retention::unlimited()).background_compaction(false);
    let engine = Engine::open(dir.path().join("store"), options).unwrap();
    let append = |entity: u64| {
        let mut batch = Batch::new();
        batch.put("d", format!("e{entity}"), "x".repeat(6_000));
        engine.append(batch).unwrap().first.get()
    };
    // A third is superseded, mostly far behind.
    let keys: Vec<u64> = (0..500).chain((0..500).step_by(2)).map(append).collect();
    engine.seal().unwrap();
    let (id, store) = (keys[0], engine.core().unwrap().store());
    let all = Limits::entries(10_000).bytes(1 << 30);
    for view in [View::Latest, View::Every] {
        let page = engine.changes("d", &Cursor::START, all.view(view)).unwrap();
        assert!(!page.more && page.entries.len() >= 500);
        for (limit, disturbed) in [(1, false), (7, false), (100, false), (7, true)] {
            let (mut cursor, mut read, mut known) = (Cursor::START, Vec::new(), 0);
            for n in 0.. {
                let next = engine.changes("d", &cursor, Limits::entries(limit).view(view)).unwrap();
                read.extend(next.entries);
                let Some(after) = next.more.then_some(next.position.get() + 1) else { break };
                known += u64::from(store.stretch(id, after, view == View::Latest).is_some());
                cursor = next.next;
                if disturbed && n % 5 == 0 {
                    append(n);
                    engine.seal().unwrap();
                }
            }
            let alike = page.entries.iter().eq(read.iter().map(Entry::borrowed));
            assert!(alike, "{view:?} by {limit}, disturbed: {disturbed}, {} entries", read.len());
            assert!(known > 2, "{view:?} by {limit}, disturbed: {disturbed}, by {known} stretches");
        }
    }
}

#[test]
fn a_small_dataset_reads_alike_walked_over_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path().join("store"), Options::default().background_compaction(false)).unwrap();
    for (entity, payload) in [("a", "1"), ("b", "22"), ("a", "333"), ("c", ""), ("b", ""), ("d", "55555")] {
        let mut batch = Batch::new();
        match payload.is_empty() {
            true => batch.delete("d", entity),
            false => batch.put("d", entity, payload),
        };
        batch.put("d", format!("{entity}-beside"), payload);
        engine.append(batch).unwrap();
        engine.seal().unwrap();
    }
    let core = engine.core().unwrap();
    let store = core.store();
    let is_walked = |pin: &Pin<'_>, dataset: &Dataset| {
        let found: Vec<bool> = pin.chunks(dataset, 0, Reading::Here).map(|chunk| chunk.unwrap().0.is_none()).collect();
        assert_eq!(found.len(), 6);
        found.into_iter().all(|walked| walked)
    };
    let head = engine.stat("d").unwrap().head.get();
    // The first of these walks, and the next ones remember.
    (0..2).for_each(|_| drop(engine.changes("d", &Cursor::START, Limits::default()).unwrap()));
    for view in [View::Latest, View::Every] {
        for (after, most) in (0..=head).flat_map(|after| (1..=4).map(move |most| (after, most))) {
            let limits = Limits::entries(most).view(view);
            let cursor = Cursor::after(SyncKey::new(after));
            let (fresh, of_fresh) = Pin::of(&core, &store, b"d").unwrap();
            assert!(is_walked(&fresh, &of_fresh));
            let (walked, _) = page(&core, &fresh, &of_fresh, &cursor, limits).unwrap();
            let known = Pin::read(&core, &store, b"d", |pin, dataset| {
                assert!(!is_walked(pin, dataset));
                Ok(page(&core, pin, dataset, &cursor, limits)?.0)
            });
            let known = known.unwrap();
            assert_eq!(format!("{walked:?}"), format!("{known:?}"), "{view:?} after {after}, at most {most}");
            assert_eq!(walked.pending.entries == 0, walked.position.get() >= head);
        }
    }
}

#[test]
fn a_torn_read_leaves_no_chunk_of_a_later_moment_behind() {
    let dir = tempfile::tempdir().unwrap();
    let engine = forgetful(dir.path());
    for payload in ["1", "2", "3"] {
        let mut batch = Batch::new();
        batch.put("d", "e", payload);
        engine.append(batch).unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    engine.seal().unwrap();
    // The dataset is remembered, and its chunk is not read yet.
    (0..2).for_each(|_| assert!(engine.get("d", "nothing").unwrap().is_none()));
    let core = engine.core().unwrap();
    let store = core.store();
    let (old, of_old) = Pin::of(&core, &store, b"d").unwrap();
    old.snapshot();
    let mut times = 0;
    let found = Pin::read(&core, &store, b"d", |pin, dataset| {
        times += 1;
        if times == 1 {
            let mut report = CompactionReport::default();
            while report.superseded_dropped < 2 {
                compact::steps(&store, &[dataset.id], &everything(&core), &mut report, &|| {}).unwrap();
            }
        }
        let all = Limits::default().view(View::Every);
        page(&core, pin, dataset, &Cursor::since_time(dataset.record().head_time_ms), all)
            .map(|(page, _)| page.entries.len())
    });
    assert!(matches!(found, Err(Error::Stale(_))) && times == 2, "{times}: {found:?}");
    let (page, _) = page(&core, &old, &of_old, &Cursor::START, Limits::default().view(View::Every)).unwrap();
    assert_eq!(page.entries.len(), 3, "what was there at the older moment");
}

#[test]
fn a_first_fetch_holds_no_store_while_it_is_registered() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path().join("store"), Options::default().background_compaction(false)).unwrap();
    let mut batch = Batch::new();
    batch.put("d", "e", "x");
    engine.append(batch).unwrap();
    let core = engine.core().unwrap();
    let writer = core.commits.writer.lock();
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| engine.consumer_fetch("c", "d", Limits::default()));
        let since = Instant::now();
        while core.commits.queued() == 0 {
            assert!(since.elapsed() < Duration::from_secs(60), "nothing is registered");
            std::thread::yield_now();
        }
        // The way to it has one, and this is another.
        let holders = Arc::strong_count(&core.store()) - 2;
        drop(writer);
        let page = fetch.join().unwrap().unwrap();
        assert_eq!((holders, page.entries.len()), (0, 1));
    });
    assert_eq!(engine.consumers(None, 9).unwrap().len(), 1);
}

#[test]
fn nothing_is_read_in_place_while_the_index_store_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path().join("store"), Options::default()).unwrap();
    let mut batch = Batch::new();
    batch.put("d", "e", "x");
    engine.append(batch).unwrap();
    let in_place = || [Cursor::START, Cursor::head()].map(|cursor| engine.in_memory(&cursor).unwrap());
    assert!(engine.is_at_hand().unwrap() && in_place() == [true, true]);
    let core = engine.core().unwrap();
    let reopening = core.index.keep_away();
    assert!(!engine.is_at_hand().unwrap() && in_place() == [false, false]);
    drop(reopening);
    assert!(engine.is_at_hand().unwrap() && in_place() == [true, true]);
}

#[test]
fn a_commit_that_cannot_be_read_is_named_by_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("store");
    Engine::open(&dir, Options::default()).unwrap().close().unwrap();
    let ledger = Arc::new(Mutex::new(Ledger::open(&OsVfs, &dir).unwrap()));
    let applied = ledger.lock().state().applied_upto;
    let options = LogOptions { segment_bytes: 64 << 10, now_ms: 1, random: Options::default().random };
    let sound = Log::look(Arc::new(OsVfs), &dir, options, ledger, applied).unwrap();
    let (mut log, recovery) = sound.open(&mut |_, _, _| Ok(())).unwrap();
    let (at, base, body) = (log.end(), recovery.next_key, Bytes::from_static(b"its checksum is right"));
    let frame = NewFrame { body: &body, body_crc: crc32fast::hash(&body), count: 1, base, time_ms: 1 };
    log.append(&[frame]).unwrap();
    log.close(base + 1).unwrap();
    drop(log);
    match Engine::open(&dir, Options::default()).map(drop) {
        Err(Error::Damaged { file, offset, what }) => {
            assert_eq!((file, offset), (segment_path(&dir, at.segment), Some(at.offset)), "{what}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_is_known_when_the_tail_that_created_it_is_sealed_unless_it_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let engine = forgetful(dir.path());
    let create = |name: &'static str, entity: &'static str| {
        let mut batch = Batch::new();
        batch.create(name, entity, "x");
        engine.append(batch).unwrap()
    };
    let id = create("kept", "e").first.get();
    create("deleted", "e");
    let core = engine.core().unwrap();
    let tails = core.tails.pin();
    let known = |name: &str| core.names.get(name.as_bytes(), core.deletions());
    assert_eq!((known("kept"), known("deleted")), (None, None));
    // As if it were deleted between the end of the tail and that of its seal.
    engine.delete_dataset("deleted").unwrap();
    core.names.insert_created(&core, &core.store(), tails.active());
    assert_eq!((known("kept"), known("deleted")), (Some(id), None));
    create("deleted", "f");
    let id = create("sealed", "e").first.get();
    assert_eq!(known("sealed"), None);
    engine.seal().unwrap();
    assert_eq!(known("sealed"), Some(id));
    assert_eq!(engine.stat("deleted").unwrap().entries, 1);
    engine.delete_dataset("sealed").unwrap();
    assert_eq!(core.names.hint(b"sealed"), None, "it takes no room");
}
