//! `Keep::Window`: the plain capped log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidelog::{Batch, Cap, Cursor, Engine, Error, Expect, Keep, Limits, Retention, StaleReason, View, verify};

use crate::support::{
    ManualClock, NOON, PATIENCE, Rng, delete, entries_cap, every_key, put, small, stale_reason, store,
};

fn capped(entries: u64) -> Retention {
    Retention { keep: Keep::Window, history: entries_cap(entries), ..Retention::unlimited() }
}

/// Thirty entries of ten entities, of which the last ten entries are kept.
fn trimmed() -> (tempfile::TempDir, Engine, Vec<u64>) {
    let (dir, engine) = store(small().chunk_bytes(32));
    engine.set_retention("d", capped(10)).expect("a retention");
    let keys = (0..30).map(|n| put(&engine, "d", &format!("e{}", n % 10), &n.to_string()).last.get()).collect();
    let report = engine.compact(Some(b"d")).expect("a compaction");
    assert!(report.window_dropped > 0, "nothing was dropped");
    (dir, engine, keys)
}

fn every(engine: &Engine, cursor: Cursor) -> Result<tidelog::Page, Error> {
    engine.changes("d", &cursor, Limits::default().view(View::Every))
}

#[test]
fn everything_at_or_below_the_floor_goes_newest_or_not() {
    let (_dir, engine, keys) = trimmed();
    let stat = engine.stat("d").expect("stat");
    let kept: Vec<u64> = keys.iter().copied().filter(|key| *key > stat.floor.get()).collect();
    assert!(kept.len() <= 10 && !kept.is_empty(), "{} entries kept of 10", kept.len());
    assert_eq!(every_key(&engine, "d", Cursor::oldest()), kept);
    assert_eq!(every_key(&engine, "d", Cursor::after(stat.floor)), kept);
    let put_once = engine.get("d", "e9").expect("a get");
    assert!(put_once.is_some(), "the newest entry is above the floor");
    let recent = engine.recent("d", None, Limits::default().view(View::Every)).expect("recent");
    assert!(recent.iter().all(|entry| entry.key > stat.floor), "recent tells what is gone");
}

#[test]
fn an_entity_whose_entries_all_went_is_gone() {
    let (_dir, engine) = store(small().chunk_bytes(32));
    engine.set_retention("d", capped(2)).expect("a retention");
    put(&engine, "d", "old", "x");
    for n in 0..20 {
        put(&engine, "d", "busy", &n.to_string());
    }
    engine.compact(None).expect("a compaction");
    assert_eq!(engine.get("d", "old").expect("a get"), None);
    assert_eq!(engine.history("d", "old", 10).expect("history"), []);
    let rows = engine.entities("d", None, 10).expect("entities");
    assert!(rows.iter().all(|row| row.entity != "old"), "it is still listed");
    assert_eq!(put(&engine, "d", "old", "y").created, 1, "it begins anew");
    assert_eq!(put(&engine, "d", "busy", "y").created, 0, "the last one of it was kept");
}

#[test]
fn the_latest_view_is_refused() {
    let (_dir, engine) = store(small());
    engine.set_retention("d", capped(10)).expect("a retention");
    put(&engine, "d", "e", "x");
    let result = engine.changes("d", &Cursor::START, Limits::default());
    assert!(matches!(result, Err(Error::Invalid { .. })), "{result:?}");
}

#[test]
fn reading_from_zero_is_stale_for_good_once_anything_was_trimmed() {
    let (dir, engine, _) = trimmed();
    let refused = |engine: &Engine| {
        let reason = stale_reason(every(engine, Cursor::START));
        assert!(matches!(reason, StaleReason::Trimmed | StaleReason::HistoryTrimmed), "{reason:?}");
    };
    refused(&engine);
    engine.set_retention("d", Retention::unlimited()).expect("another retention");
    let latest = stale_reason(engine.changes("d", &Cursor::START, Limits::default()));
    assert_eq!(latest, StaleReason::Trimmed, "what went does not come back by another retention");
    refused(&engine);
    engine.close().expect("a clean close");
    let engine = Engine::open(dir.path().join("store"), small()).expect("it opens again");
    refused(&engine);
    engine.delete_dataset("d").expect("a deletion");
    engine.set_retention("d", capped(10)).expect("a retention");
    put(&engine, "d", "e", "x");
    assert_eq!(every(&engine, Cursor::START).expect("a new incarnation").entries.len(), 1);
}

#[test]
fn reading_from_zero_is_fine_while_nothing_was_trimmed() {
    let (_dir, engine) = store(small());
    engine.set_retention("d", capped(10)).expect("a retention");
    for n in 0..10 {
        put(&engine, "d", "e", &n.to_string());
    }
    engine.compact(None).expect("a compaction");
    assert_eq!(every(&engine, Cursor::START).expect("a page").entries.len(), 10);
}

#[test]
fn a_cursor_below_the_floor_is_stale_and_one_above_is_not() {
    let (_dir, engine, keys) = trimmed();
    let floor = engine.stat("d").expect("stat").floor.get();
    for key in keys {
        let result = every(&engine, Cursor::after(key.into()));
        assert_eq!(result.is_err(), key < floor, "key {key}, floor {floor}: {result:?}");
    }
}

#[test]
fn oldest_and_head_are_the_ways_in() {
    let (_dir, engine, keys) = trimmed();
    let head = every(&engine, Cursor::head()).expect("the head");
    assert!(head.entries.is_empty() && !head.more);
    let oldest = engine.changes("d", &Cursor::oldest(), Limits::entries(2).view(View::Every)).expect("the oldest");
    assert_eq!(oldest.entries.len(), 2);
    let rest = every_key(&engine, "d", oldest.next);
    assert_eq!(rest.last(), keys.last());
    let next = put(&engine, "d", "e", "later").last;
    assert_eq!(every_key(&engine, "d", head.next), [next.get()]);
}

#[test]
fn an_expectation_that_needs_what_is_gone_is_refused() {
    let (_dir, engine, keys) = trimmed();
    let floor = engine.stat("d").expect("stat").floor.get();
    let below = *keys.iter().find(|key| **key <= floor).expect("something went");
    let visible = engine.visible();
    for expect in [Expect::Absent, Expect::At(below.into())] {
        let mut batch = Batch::new();
        batch.put("d", "unheard-of", "x").expect(expect);
        let result = engine.append(batch);
        assert!(matches!(result, Err(Error::Invalid { .. })), "{expect:?}: {result:?}");
    }
    let newest = engine.get("d", "e9").expect("a get").expect("it is there").key;
    let mut batch = Batch::new();
    batch.put("d", "e9", "x").expect(Expect::At(newest));
    assert!(engine.append(batch).expect("above the floor").first > visible);
}

#[test]
fn each_cap_of_a_window_trims() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(small().chunk_bytes(32).clock(clock.clone()));
    let none = Retention { keep: Keep::Window, ..Retention::unlimited() };
    let fill = || {
        for n in 0..20 {
            put(&engine, "d", &format!("e{n:02}"), "1234567");
            clock.advance(1_000);
        }
    };
    let mut by_entries = none;
    by_entries.history.entries = Some(5);
    let mut by_bytes = none;
    by_bytes.history.bytes = Some(50);
    let mut by_age = none;
    by_age.history.age_ms = Some(5_000);
    for (what, retention) in [("entries", by_entries), ("bytes", by_bytes), ("age", by_age), ("nothing", none)] {
        engine.set_retention("d", retention).expect("a retention");
        fill();
        engine.compact(None).expect("a compaction");
        let kept = every_key(&engine, "d", Cursor::oldest()).len();
        match what {
            "nothing" => assert_eq!(kept, 20, "no cap, no trimming"),
            _ => assert!((2..=5).contains(&kept), "the cap in {what} keeps {kept}"),
        }
        engine.delete_dataset("d").expect("a deletion");
    }
}

#[test]
fn a_window_that_drops_nothing_loses_nothing() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(small().chunk_bytes(4096).clock(clock.clone()));
    let strict = Retention { history: entries_cap(0), tombstones: entries_cap(0), ..Retention::unlimited() };
    engine.set_retention("d", strict).expect("a retention");
    put(&engine, "d", "a", "x");
    delete(&engine, "d", "a");
    clock.advance(3 * DAY_MS);
    for n in 0..8 {
        put(&engine, "d", &format!("b{n}"), "x");
    }
    engine.compact(Some(b"d")).expect("a compaction");
    let before = engine.stat("d").expect("stat");
    assert!(before.floor.get() > 0, "the tombstone is still there");
    engine.set_retention("d", for_a_day()).expect("a retention");
    assert_eq!(engine.compact(Some(b"d")).expect("a compaction").window_dropped, 0);
    engine.set_retention("d", strict).expect("a retention");
    let page = engine.changes("d", &Cursor::START, Limits::default()).expect("all that lives is there");
    assert_eq!(page.entries.len(), 8);
    let after = engine.stat("d").expect("stat");
    assert_eq!((after.floor, after.history_floor), (before.floor, before.history_floor));
}

#[test]
fn what_lived_below_a_floor_goes_by_its_age_once_it_is_a_window() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(small().chunk_bytes(4096).background_compaction(true).clock(clock.clone()));
    let strict = Retention { history: entries_cap(0), ..Retention::unlimited() };
    engine.set_retention("d", strict).expect("a retention");
    for n in 0..40 {
        put(&engine, "d", &format!("e{}", n % 20), "x");
    }
    engine.compact(Some(b"d")).expect("a compaction");
    let stat = engine.stat("d").expect("stat");
    assert_eq!((stat.history_floor, stat.entries), (stat.head, 20));
    engine.set_retention("d", for_a_day()).expect("a retention");
    assert_eq!(engine.compact(Some(b"d")).expect("a compaction").window_dropped, 0);
    clock.advance(2 * DAY_MS);
    let until = Instant::now() + PATIENCE;
    while engine.stat("d").expect("stat").entries > 0 {
        assert!(Instant::now() < until, "{:?}", engine.stat("d"));
        std::thread::sleep(Duration::from_millis(10));
        // Retention by age is looked at when something is committed, too.
        put(&engine, "other", "e", "x");
        engine.seal().expect("a seal");
    }
}

const DAY_MS: u64 = 24 * 3600 * 1000;

fn for_a_day() -> Retention {
    let history = Cap { age_ms: Some(DAY_MS), ..entries_cap(u64::MAX) };
    Retention { keep: Keep::Window, history, ..Retention::unlimited() }
}

/// Puts, deletes, seals and compactions under retentions of either kind in turn: nothing but the newest entry of an
/// entity is ever its state, live entities go by windows alone, and verification finds nothing wrong.
#[test]
fn a_dataset_may_become_a_window_and_a_live_one_again() {
    for seed in 0..30 {
        let mut random = Rng::new(seed);
        let (dir, engine) = store(small().chunk_bytes(64 << random.below(6)));
        let (mut newest, mut dropped) = (BTreeMap::new(), 0);
        for _ in 0..120 {
            let entity = format!("e{}", random.below(12));
            match random.below(12) {
                0 => {
                    let mut retention = Retention { history: entries_cap(random.below(20)), ..Retention::unlimited() };
                    retention.keep = if random.below(2) == 0 { Keep::Window } else { Keep::Live };
                    if random.below(2) == 0 {
                        retention.tombstones = entries_cap(random.below(4));
                    }
                    engine.set_retention("d", retention).expect("a retention");
                }
                1 if engine.stat("d").is_ok() => {
                    dropped += engine.compact(Some(b"d")).expect("a compaction").window_dropped;
                }
                2 => engine.seal().expect("a seal"),
                3..=5 => drop(newest.insert(entity.clone(), (delete(&engine, "d", &entity).last, false))),
                _ => drop(newest.insert(entity.clone(), (put(&engine, "d", &entity, "x").last, true))),
            }
            let Ok(stat) = engine.stat("d") else { continue };
            for (entity, (key, alive)) in &newest {
                let found = engine.get("d", entity).expect("a get").map(|entry| entry.key);
                let may_be_gone = dropped > 0 && *key <= stat.floor;
                assert!(
                    found == alive.then_some(*key) || (found.is_none() && may_be_gone),
                    "{seed}: {entity} {found:?}"
                );
                let history = engine.history("d", entity, 99).expect("history");
                assert!(history.is_sorted_by_key(|entry| entry.key), "{seed}: {entity}");
                let last = history.last().map(|entry| entry.key);
                assert!(last == Some(*key) || (last.is_none() && (may_be_gone || !alive)), "{seed}: {entity} {last:?}");
            }
            let live = newest.values().filter(|(_, alive)| *alive).count();
            match (engine.changes("d", &Cursor::START, Limits::default()), engine.retention("d").expect("one").keep) {
                (Ok(page), Keep::Live) => assert_eq!(page.entries.len(), live, "{seed}"),
                (Err(Error::Stale(_)), Keep::Live) => assert!(dropped > 0, "{seed}: stale, and nothing was lost"),
                (outcome, _) => assert!(matches!(outcome, Err(Error::Invalid { .. })), "{seed}: {outcome:?}"),
            }
        }
        engine.close().expect("a clean close");
        let report = verify(dir.path().join("store"), &small(), &mut |_, _| {}).expect("a verification");
        assert!(report.findings.is_empty(), "{seed}: {:?}", report.findings);
    }
}

/// What lives, by what says so without reading from anywhere.
fn living(engine: &Engine) -> BTreeMap<Vec<u8>, u64> {
    let rows = engine.entities("d", None, 1000).expect("entities");
    rows.iter().map(|row| (row.entity.to_vec(), row.key.get())).collect()
}

#[test]
fn all_that_is_left_of_a_window_is_read_from_the_oldest_whatever_is_deleted_since() {
    let mut above = 0;
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let (_dir, engine) = store(small().chunk_bytes(64));
        engine.set_retention("d", capped(5)).expect("a retention");
        (0..20).for_each(|n| _ = put(&engine, "d", &format!("e{n}"), "x"));
        engine.compact(Some(b"d")).expect("a compaction");
        // From now on only what is superseded or deleted goes, at once.
        let strict = Retention { history: entries_cap(0), tombstones: entries_cap(0), ..Retention::unlimited() };
        engine.set_retention("d", strict).expect("a retention");
        let change = |rng: &mut Rng| {
            let entity = format!("f{}", rng.below(8));
            match rng.below(3) {
                0 => _ = delete(&engine, "d", &entity),
                _ => _ = put(&engine, "d", &entity, "x"),
            }
            if rng.below(4) == 0 {
                engine.compact(Some(b"d")).expect("a compaction");
            }
        };
        (0..30).for_each(|_| change(&mut rng));
        engine.compact(Some(b"d")).expect("a compaction");
        let start = engine.changes("d", &Cursor::START, Limits::default());
        assert_eq!(stale_reason(start), StaleReason::Trimmed);
        let lowest = living(&engine).into_values().min();
        above += u32::from(lowest.is_some_and(|key| key <= engine.stat("d").expect("stat").floor.get()));

        let (mut held, mut cursor, mut changes) = (BTreeMap::new(), Cursor::oldest(), 10);
        loop {
            match engine.changes("d", &cursor, Limits::entries(1 + rng.below(3) as usize)) {
                Err(error) => {
                    assert_eq!(stale_reason(Err::<(), _>(error)), StaleReason::Trimmed, "seed {seed}");
                    (held, cursor) = (BTreeMap::new(), Cursor::oldest());
                }
                Ok(page) => {
                    for entry in page.entries.iter() {
                        match entry.op {
                            tidelog::Op::Delete => drop(held.remove(entry.entity)),
                            _ => drop(held.insert(entry.entity.to_vec(), entry.key.get())),
                        }
                    }
                    cursor = page.next;
                    if !page.more && page.position == engine.visible() {
                        assert_eq!(held, living(&engine), "seed {seed}");
                        if changes == 0 {
                            break;
                        }
                    }
                }
            }
            if changes > 0 {
                changes -= 1;
                change(&mut rng);
            }
        }
    }
    assert!(above > 20, "what lives lay below the floor in {above} stores of 60");
}
