//! Each retention setting, alone: a test that fails when it is ignored.

use tidelog::{Cap, Cursor, Engine, Limits, Retention, View};

use crate::support::{ManualClock, NOON, delete, drain, entries_cap, noise, put, small, store};

const NONE: Cap = Cap { entries: None, bytes: None, age_ms: None };

/// A store whose clock stands still until it is told.
fn timed() -> (tempfile::TempDir, Engine, std::sync::Arc<ManualClock>) {
    let clock = ManualClock::at(NOON);
    let (dir, engine) = store(small().chunk_bytes(64).clock(clock.clone()));
    (dir, engine, clock)
}

/// How many superseding entries lie above the history floor: as many superseded ones are kept.
fn history_kept(engine: &Engine) -> usize {
    let floor = engine.stat("d").expect("stat").history_floor;
    let from = if floor.get() == 0 { Cursor::START } else { Cursor::after(floor) };
    let (entries, _) = drain(engine, "d", from, Limits::default().view(View::Every));
    entries.iter().filter(|entry| entry.op != tidelog::Op::Create).count()
}

/// Fifty versions of one entity, 10 bytes each with the entity, a second apart; the first is a create.
fn versions(engine: &Engine, clock: &ManualClock) {
    for n in 0..51 {
        put(engine, "d", "e", &format!("version{n:02}"));
        clock.advance(1_000);
    }
}

/// Fifty deleted entities, each delete 10 bytes with the entity, a second apart.
fn tombstones(engine: &Engine, clock: &ManualClock) {
    for n in 0..50 {
        put(engine, "d", &format!("entity{n:04}"), "x");
    }
    for n in 0..50 {
        delete(engine, "d", &format!("entity{n:04}"));
        clock.advance(1_000);
    }
}

fn set(engine: &Engine, history: Cap, tombstones: Cap) {
    engine.set_retention("d", Retention { history, tombstones, ..Retention::unlimited() }).expect("a retention");
}

#[test]
fn without_caps_nothing_goes() {
    let (_dir, engine, clock) = timed();
    set(&engine, NONE, NONE);
    versions(&engine, &clock);
    tombstones(&engine, &clock);
    clock.advance(1 << 40);
    let report = engine.compact(None).expect("a compaction");
    assert_eq!((report.superseded_dropped, report.tombstones_dropped, report.window_dropped), (0, 0, 0));
    let stat = engine.stat("d").expect("stat");
    assert_eq!((stat.history_floor.get(), stat.floor.get(), stat.entries), (0, 0, 151));
    assert_eq!((stat.superseded, stat.tombstones), (100, 50));
}

#[track_caller]
fn assert_history(cap: Cap) {
    let (_dir, engine, clock) = timed();
    set(&engine, cap, NONE);
    versions(&engine, &clock);
    engine.seal().expect("a seal");
    assert_eq!(history_kept(&engine), 50, "sealing drops nothing");
    let report = engine.compact(Some(b"d")).expect("a compaction");
    let kept = history_kept(&engine);
    assert!((5..=10).contains(&kept), "{cap:?} keeps {kept}");
    assert!(report.superseded_dropped >= 30, "{} dropped", report.superseded_dropped);
    let value = engine.get("d", "e").expect("a get").expect("it is there");
    assert_eq!(value.payload.as_deref(), Some(&b"version50"[..]), "the newest entry never goes");
    let again = engine.compact(Some(b"d")).expect("a compaction");
    assert_eq!(again.superseded_dropped, 0, "what is within the cap stays");
}

#[test]
fn history_in_entries() {
    assert_history(Cap { entries: Some(10), ..NONE });
}

#[test]
fn history_in_bytes() {
    assert_history(Cap { bytes: Some(100), ..NONE });
}

#[test]
fn history_in_age() {
    // The last was written a second ago, the tenth from the end ten seconds.
    assert_history(Cap { age_ms: Some(10_000), ..NONE });
}

#[test]
fn whichever_cap_is_exceeded_trims() {
    assert_history(Cap { entries: Some(10), bytes: Some(1 << 30), age_ms: Some(1 << 40) });
    assert_history(Cap { entries: Some(1 << 30), bytes: Some(100), age_ms: Some(1 << 40) });
    assert_history(Cap { entries: Some(1 << 30), bytes: Some(1 << 30), age_ms: Some(10_000) });
}

#[track_caller]
fn assert_tombstones(cap: Cap) {
    let (_dir, engine, clock) = timed();
    set(&engine, entries_cap(0), cap);
    tombstones(&engine, &clock);
    let report = engine.compact(Some(b"d")).expect("a compaction");
    let stat = engine.stat("d").expect("stat");
    let (kept, _) = drain(&engine, "d", Cursor::after(stat.floor), Limits::default());
    assert!((5..=10).contains(&kept.len()), "{cap:?} keeps {} tombstones", kept.len());
    assert!(report.tombstones_dropped >= 30, "{} dropped", report.tombstones_dropped);
    assert!(stat.floor.get() > 0 && stat.floor <= stat.history_floor);
}

#[test]
fn tombstones_in_entries() {
    assert_tombstones(Cap { entries: Some(10), ..NONE });
}

#[test]
fn tombstones_in_bytes() {
    assert_tombstones(Cap { bytes: Some(100), ..NONE });
}

#[test]
fn tombstones_in_age() {
    assert_tombstones(Cap { age_ms: Some(10_000), ..NONE });
}

#[test]
fn tombstones_stay_where_only_history_is_capped() {
    let (_dir, engine, clock) = timed();
    set(&engine, entries_cap(0), NONE);
    tombstones(&engine, &clock);
    let report = engine.compact(None).expect("a compaction");
    assert_eq!((report.superseded_dropped, report.tombstones_dropped), (50, 0));
    let stat = engine.stat("d").expect("stat");
    assert_eq!((stat.tombstones, stat.floor.get()), (50, 0));
}

#[test]
fn a_tombstone_outlives_its_older_versions() {
    let (_dir, engine, clock) = timed();
    set(&engine, NONE, entries_cap(0));
    tombstones(&engine, &clock);
    let report = engine.compact(None).expect("a compaction");
    assert_eq!(report.tombstones_dropped, 0, "an older version of each is still kept, and would come back to life");
    assert_eq!(engine.stat("d").expect("stat").floor.get(), 0);
}

#[test]
fn the_default_of_the_options_holds_for_datasets_without_their_own() {
    let retention = Retention { history: entries_cap(10), ..Retention::unlimited() };
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(small().chunk_bytes(64).clock(clock.clone()).retention(retention));
    versions(&engine, &clock);
    assert_eq!(engine.retention("d").expect("a retention"), retention);
    engine.compact(None).expect("a compaction");
    assert!((5..=10).contains(&history_kept(&engine)));
}

#[test]
fn a_retention_survives_reopening_and_can_be_changed() {
    let (dir, engine, clock) = timed();
    set(&engine, entries_cap(10), NONE);
    versions(&engine, &clock);
    engine.close().expect("a clean close");
    let options = small().chunk_bytes(64).clock(clock.clone());
    let engine = Engine::open(dir.path().join("store"), options).expect("it opens again");
    assert_eq!(engine.retention("d").expect("a retention").history, entries_cap(10));
    set(&engine, NONE, NONE);
    engine.compact(None).expect("a compaction");
    assert_eq!(history_kept(&engine), 50, "the cap was lifted before it was ever applied");
}

#[test]
fn a_retention_for_what_does_not_exist_creates_it_empty() {
    let (_dir, engine, _clock) = timed();
    set(&engine, entries_cap(3), NONE);
    let stat = engine.stat("d").expect("stat");
    assert_eq!((stat.head.get(), stat.entries, stat.retention.history), (0, 0, entries_cap(3)));
    assert!(stat.first.get() > 0);
    let page = engine.changes("d", &Cursor::START, Limits::default()).expect("a page");
    assert!(page.entries.is_empty() && !page.more);
    assert_eq!(engine.datasets("", None, 10).expect("datasets").names, ["d"]);
}

#[test]
fn background_compaction_needs_no_asking() {
    let retention = Retention { history: entries_cap(10), ..Retention::unlimited() };
    let (_dir, engine) = store(small().background_compaction(true).retention(retention));
    // It runs by itself: writing goes on until it has dropped something.
    let begun = std::time::Instant::now();
    let mut n = 0;
    while engine.metrics().compaction_dropped == 0 {
        assert!(begun.elapsed() < crate::support::PATIENCE, "nothing was dropped in {n} commits");
        put(&engine, "d", "e", &"x".repeat(200));
        n += 1;
    }
    assert!(engine.stat("d").expect("stat").history_floor.get() > 0);
}

#[test]
fn the_space_of_what_many_datasets_dropped_comes_back() {
    let (_dir, engine) = store(small().chunk_bytes(4096));
    for n in 0..2_000u32 {
        put(&engine, &format!("d{}", n % 20), "e", &noise(n.into(), 1_000));
    }
    engine.seal().expect("a seal");
    let before = engine.store_stat().expect("store_stat").store_bytes;
    assert!(before > 1_000_000, "{before} bytes hold two megabytes");
    for n in 0..20 {
        let strict = Retention { history: entries_cap(9), ..Retention::unlimited() };
        engine.set_retention(&*format!("d{n}"), strict).expect("a retention");
    }
    assert_eq!(engine.compact(None).expect("a compaction").superseded_dropped, 20 * 90);
    let after = engine.store_stat().expect("store_stat").store_bytes;
    assert!(after < before * 3 / 4, "{after} of {before} bytes are left, for a tenth of the entries");
}
