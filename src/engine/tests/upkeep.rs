use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cursor::Cursor;
use crate::engine::Engine;
use crate::engine::compaction::{Progress, compact_now, step, trim_one};
use crate::engine::core::Core;
use crate::engine::maintain::seal_all;
use crate::error::Result;
use crate::options::{Compression, Options};
use crate::types::{Batch, Cap, CompactionReport, Durability, Keep, Limits, Op, Retention};

const NOTHING: Cap = Cap { entries: Some(0), bytes: None, age_ms: None };

/// Keeps no history, and does only what it is told.
fn engine() -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention { keep: Keep::Live, history: NOTHING, tombstones: NOTHING };
    let options = Options::default()
        .retention(retention)
        .grace(Duration::ZERO, 0)
        .background_compaction(false)
        .compression(Compression::None)
        .chunk_bytes(256 << 10);
    let engine = Engine::open(dir.path().join("store"), options).unwrap();
    (dir, engine)
}

fn append(engine: &Engine, change: impl for<'b> FnOnce(&'b mut Batch) -> &'b mut Batch) {
    let mut batch = Batch::new();
    change(&mut batch);
    engine.append(batch).unwrap();
}

#[test]
fn upkeep_does_not_wait_for_itself_when_the_store_is_opened_again() {
    let works: [fn(&Core) -> Result<()>; 4] = [
        seal_all,
        |core| compact_now(core, None, &Progress::default()).map(drop),
        |core| compact_now(core, Some(Bytes::from_static(b"d")), &Progress::default()).map(drop),
        |core| trim_one(core, &mut BTreeSet::new()).map(|done| assert!(done.is_some(), "nothing was queued")),
    ];
    for (n, work) in works.into_iter().enumerate() {
        let (_dir, engine) = engine();
        for payload in ["one", "two", "three"] {
            append(&engine, |batch| batch.put("d", "e", payload));
        }
        engine.seal().unwrap();
        if n == 0 {
            append(&engine, |batch| batch.put("d", "e", "to be sealed"));
        }
        let core = engine.core().unwrap();
        core.store().pretend_full();
        core.jobs.run(work, || {}).unwrap_or_else(|error| panic!("work {n}: {error}"));
        append(&engine, |batch| batch.put("d", "e", "it goes on"));
        engine.seal().unwrap();
    }
}

#[test]
fn steps_over_deletes_that_are_dropped_already_come_to_an_end() {
    let (_dir, engine) = engine();
    let mut noise = 1_u64;
    let mut payload = || -> Vec<u8> {
        let mut byte = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        };
        (0..16 << 10).map(|_| byte()).collect()
    };
    // More than one step reads, each chunk with a delete that was replaced later, and a tombstone behind them all.
    for n in 0..400 {
        append(&engine, |batch| batch.put("d", format!("live-{n}"), payload()));
        if n % 10 == 0 {
            append(&engine, |batch| batch.put("d", format!("back-{n}"), "x"));
            append(&engine, |batch| batch.delete("d", format!("back-{n}")));
        }
    }
    for n in (0..400).step_by(10) {
        append(&engine, |batch| batch.put("d", format!("back-{n}"), "again"));
    }
    append(&engine, |batch| batch.put("d", "gone", "x"));
    append(&engine, |batch| batch.delete("d", "gone"));
    engine.seal().unwrap();
    let core = engine.core().unwrap();
    let id = core.store().snapshot().name(b"d").unwrap().unwrap();
    let mut report = CompactionReport::default();
    let mut taken = 0;
    while step(&core, id, &mut report).unwrap().more {
        taken += 1;
        assert!(taken < 50, "it comes back to the same place: {report:?}");
    }
    assert!(taken > 1 && report.bytes_read > 8 << 20, "one step was enough: {report:?}");
    assert_eq!(report.tombstones_dropped, 1);
}

/// A client that has an entity reads the first page of a window in which the entity is deleted twice over; the first of
/// these deletes is dropped before it reads the rest, while what replaced it is in a tail or was sealed afterwards.
#[test]
fn a_delete_reaches_who_has_the_entity_though_an_earlier_one_is_dropped_amid_the_read() {
    for (again, sealed) in [(true, false), (true, true), (false, false), (false, true)] {
        let (_dir, engine) = engine();
        append(&engine, |batch| batch.put("d", "e", "old").put("d", "h", "old"));
        let all = engine.changes("d", &Cursor::START, Limits::default()).unwrap();
        assert!(!all.more);
        append(&engine, |batch| batch.delete("d", "e").delete("d", "h").put("d", "f", "1").put("d", "g", "1"));
        engine.seal().unwrap();
        if again {
            append(&engine, |batch| batch.put("d", "e", "again"));
        }
        append(&engine, |batch| batch.delete("d", "e"));
        let first = engine.changes("d", &all.next, Limits::entries(2)).unwrap();
        assert!(first.more);
        let core = engine.core().unwrap();
        let id = core.store().snapshot().name(b"d").unwrap().unwrap();
        let mut report = CompactionReport::default();
        step(&core, id, &mut report).unwrap();
        assert!(report.tombstones_dropped > 0, "{report:?}");
        if sealed {
            engine.seal().unwrap();
        }
        let rest = engine.changes("d", &first.next, Limits::default()).unwrap();
        assert!(!rest.more);
        let last = rest.entries.iter().rfind(|entry| entry.entity == b"e").map(|entry| entry.op);
        assert_eq!(last, Some(Op::Delete), "again: {again}, sealed: {sealed}");
    }
}

/// Commits that wait for room keep the thread sealing: neither a job nor compaction waits for them to end.
#[test]
fn upkeep_gets_its_turn_while_appends_keep_the_seals_busy() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention { keep: Keep::Live, history: NOTHING, tombstones: NOTHING };
    let options = Options::default().retention(retention).grace(Duration::ZERO, 0).tail_bytes(16 << 10);
    let engine = Engine::open(dir.path().join("store"), options).unwrap();
    let ended = AtomicBool::new(false);
    let (sealed, dropped) = std::thread::scope(|scope| {
        for writer in 0..2 {
            let (engine, ended) = (&engine, &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let mut batch = Batch::new();
                    for n in 0..50 {
                        batch.put(format!("d{writer}"), format!("e{n}"), "payload");
                    }
                    engine.append_with(batch, Durability::Buffered).unwrap();
                }
            });
        }
        let busy = |engine: &Engine| engine.metrics().stalls > 3;
        let until = Instant::now() + Duration::from_secs(60);
        let wait = |done: &dyn Fn(&Engine) -> bool| {
            while !done(&engine) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            done(&engine)
        };
        assert!(wait(&busy), "appends never waited for a seal");
        let (sender, receiver) = std::sync::mpsc::channel();
        let asked = &engine;
        scope.spawn(move || sender.send(asked.seal()));
        let sealed = receiver.recv_timeout(Duration::from_secs(30));
        let dropped = wait(&|engine| engine.metrics().compaction_dropped > 0);
        ended.store(true, Ordering::Relaxed);
        (sealed, dropped)
    });
    assert!(matches!(sealed, Ok(Ok(()))), "{sealed:?}");
    assert!(dropped, "nothing was compacted");
}
