//! What retention must leave: live entities of a dataset that once was a window, and what a new setting keeps.

use std::time::Instant;

use tidelog::{Cap, Compression, Engine, Error, Keep, Retention};

use crate::support::{ManualClock, NOON, PATIENCE, delete, entries_cap, put, small, store, value};

/// A dataset that lost entries as a window and is a live one now, without a history.
fn once_a_window(engine: &Engine, then: Retention) {
    let window = Retention { keep: Keep::Window, history: entries_cap(5), ..Retention::unlimited() };
    engine.set_retention("d", window).expect("a retention");
    for n in 0..20 {
        put(engine, "d", &format!("old{n}"), "x");
    }
    assert!(engine.compact(Some(b"d")).expect("a compaction").window_dropped > 0);
    engine.set_retention("d", then).expect("a retention");
}

/// Closes the store, and finds nothing wrong in it.
fn check(dir: &tempfile::TempDir, engine: Engine) {
    engine.close().expect("a clean close");
    let report = tidelog::verify(dir.path().join("store"), &small(), &mut |_, _| {}).expect("verify");
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_tombstone_takes_no_live_entity_with_it() {
    let (dir, engine) = store(small().chunk_bytes(4096));
    once_a_window(&engine, Retention { tombstones: entries_cap(0), ..Retention::unlimited() });
    put(&engine, "d", "alive", "y");
    for n in 0..10 {
        delete(&engine, "d", &format!("never{n}"));
    }
    assert_eq!(engine.compact(Some(b"d")).expect("a compaction").tombstones_dropped, 10);
    assert_eq!(value(&engine, "d", "alive").expect("a live dataset keeps it"), "y");
    let window = Retention { keep: Keep::Window, history: entries_cap(1000), ..Retention::unlimited() };
    engine.set_retention("d", window).expect("a retention");
    engine.compact(Some(b"d")).expect("a compaction");
    assert_eq!(value(&engine, "d", "alive").expect("a large window keeps it"), "y");
    check(&dir, engine);
}

#[test]
fn history_below_a_purged_tombstone_goes_wholly() {
    let (dir, engine) = store(small().chunk_bytes(4096));
    once_a_window(&engine, Retention { tombstones: entries_cap(0), ..Retention::unlimited() });
    put(&engine, "d", "e", "1");
    for n in 0..10 {
        delete(&engine, "d", &format!("never{n}"));
    }
    put(&engine, "d", "e", "2");
    engine.compact(Some(b"d")).expect("a compaction");
    let before = engine.stat("d").expect("stat").entries;
    let strict = Retention { history: entries_cap(0), ..Retention::unlimited() };
    engine.set_retention("d", strict).expect("a retention");
    engine.compact(Some(b"d")).expect("a compaction");
    let history = engine.history("d", "e", 9).expect("history");
    assert_eq!(history.iter().map(|entry| entry.payload.clone().expect("a payload")).collect::<Vec<_>>(), ["2"]);
    assert_eq!(engine.stat("d").expect("stat").entries, before - 1);
    check(&dir, engine);
}

#[test]
fn background_compaction_goes_by_the_newest_retention() {
    let clock = ManualClock::at(NOON);
    let minute = Cap { entries: None, bytes: None, age_ms: Some(60_000) };
    let options = small().clock(clock.clone()).background_compaction(true);
    let (_dir, engine) = store(options);
    engine.set_retention("d", Retention { history: minute, ..Retention::unlimited() }).expect("a retention");
    put(&engine, "d", "e", "1");
    put(&engine, "d", "e", "2");
    engine.seal().expect("a seal");
    let seals = engine.metrics().seals;
    engine.set_retention("d", Retention::unlimited()).expect("a retention");
    clock.advance(3_600_000);
    let begun = Instant::now();
    while engine.metrics().compaction_dropped == 0 && engine.metrics().seals == seals {
        assert!(begun.elapsed() < PATIENCE, "nothing happens in the background");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    engine.seal().expect("a seal");
    assert_eq!(engine.history("d", "e", 9).expect("history").len(), 2, "everything is kept by now");
}

#[test]
fn a_damaged_dataset_does_not_keep_the_others_from_their_retention() {
    // Sealed at once: of several small files RocksDB would make one, find the damage by itself, and take no more writes.
    let options = || small().tail_bytes(1 << 20).chunk_bytes(4096).compression(Compression::None);
    let (dir, engine) = store(options());
    for dataset in ["bad", "good"] {
        for n in 0..20 {
            put(&engine, dataset, "e", &format!("{dataset} {n} ").repeat(64));
        }
        engine.set_retention(dataset, Retention { history: entries_cap(2), ..Retention::unlimited() }).expect("set");
    }
    engine.seal().expect("a seal");
    engine.close().expect("a clean close");
    let db = dir.path().join("store/db");
    let mut damaged = 0;
    for file in std::fs::read_dir(&db).expect("the index store").map(|entry| entry.expect("a file").path()) {
        let mut bytes = std::fs::read(&file).expect("its bytes");
        for at in 0..bytes.len().saturating_sub(8) {
            if bytes[at..].starts_with(b"bad 7 ba") {
                bytes[at] ^= 1;
                damaged += 1;
            }
        }
        std::fs::write(&file, bytes).expect("its bytes");
    }
    assert!(damaged > 0, "the payload was found");
    let engine = Engine::open(dir.path().join("store"), options().background_compaction(true)).expect("it opens");
    let begun = Instant::now();
    while engine.metrics().compaction_dropped < 17 {
        assert!(begun.elapsed() < PATIENCE, "nothing is trimmed behind the damaged dataset");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(engine.history("good", "e", 99).expect("history").len(), 3);
    assert!(matches!(engine.compact(Some(b"bad")), Err(Error::Damaged { .. })));
}
