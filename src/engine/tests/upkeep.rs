use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::engine::Engine;
use crate::engine::core::Core;
use crate::engine::maintain::{Progress, compact_now, seal_all, step, trim_one};
use crate::error::Result;
use crate::options::{Compression, Options};
use crate::types::{Batch, Cap, CompactionReport, Keep, Retention};

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
