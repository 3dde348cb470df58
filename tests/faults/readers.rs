//! Two writers, eight readers, seals and compaction at once: each finished read equals the writers' record at its
//! position, and a cursor that can no longer be served is refused as trimmed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidelog::{Batch, Cap, Cursor, Engine, Error, Limits, Op, Options, Retention, StaleReason, View};

use crate::support::{Rng, Suite, memory_dir, options};

/// How long one round takes.
const TIME: Duration = Duration::from_secs(3);
const WRITERS: u64 = 2;
const READERS: u64 = 8;
const DATASETS: u64 = 2;

/// One change as its writer saw it acknowledged: the payload, none for a delete.
type Change = (Vec<u8>, Option<Vec<u8>>);
/// What the writers were told, by dataset and key.
type Record = Mutex<BTreeMap<(u64, u64), Change>>;

struct Tally {
    reads: AtomicU64,
    stale: AtomicU64,
}

fn write(engine: &Engine, record: &Record, writer: u64, stop: &AtomicBool) {
    let mut rng = Rng::new(writer);
    for n in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let mut batch = Batch::new();
        let mut changes: Vec<(u64, Change)> = Vec::new();
        for at in 0..rng.within(1, 4) {
            let (dataset, entity) = (rng.below(DATASETS), format!("e{}", rng.below(40)));
            let name = format!("d{dataset}");
            if rng.chance(25) {
                batch.delete(name, entity.clone());
                changes.push((dataset, (entity.into_bytes(), None)));
            } else {
                let payload = format!("{writer}.{n}.{at}").repeat(rng.within(1, 8) as usize).into_bytes();
                batch.put(name, entity.clone(), payload.clone());
                changes.push((dataset, (entity.into_bytes(), Some(payload))));
            }
        }
        let commit = engine.append(batch).expect("a commit");
        let mut record = record.lock();
        for (at, (dataset, change)) in changes.into_iter().enumerate() {
            record.insert((dataset, commit.first.get() + at as u64), change);
        }
    }
}

/// A client's finished reads: the position, and the state it then had.
type Finished = Vec<(u64, u64, BTreeMap<Vec<u8>, Vec<u8>>)>;

fn read(engine: &Engine, reader: u64, stop: &AtomicBool, tally: &Tally) -> Finished {
    let mut rng = Rng::new(1000 + reader);
    let dataset = reader % DATASETS;
    let (mut finished, mut state, mut cursor) = (Finished::new(), BTreeMap::new(), Cursor::START);
    while !stop.load(Ordering::Relaxed) {
        let limits = Limits::entries(rng.pick(&[3, 20, 1000]));
        match engine.changes(format!("d{dataset}"), &cursor, limits) {
            Ok(page) => {
                for entry in &page.entries {
                    match entry.op {
                        Op::Delete => state.remove(entry.entity),
                        _ => state.insert(entry.entity.to_vec(), entry.payload.expect("a payload").to_vec()),
                    };
                }
                cursor = page.next;
                if !page.more {
                    tally.reads.fetch_add(1, Ordering::Relaxed);
                    finished.push((dataset, page.position.get(), state.clone()));
                    if rng.chance(2) {
                        // A client that sleeps while a thousand changes happen.
                        let name = format!("d{dataset}");
                        let later = (page.position.get() + 1_000).into();
                        engine.watch(&[(name.as_bytes(), later)]).expect("a watcher").wait(TIME / 4);
                    } else if rng.chance(10) {
                        (state, cursor) = (BTreeMap::new(), Cursor::START);
                    }
                }
            }
            Err(Error::Stale(stale)) => {
                assert_eq!(stale.reason, StaleReason::Trimmed);
                tally.stale.fetch_add(1, Ordering::Relaxed);
                (state, cursor) = (BTreeMap::new(), Cursor::START);
            }
            Err(Error::DatasetNotFound { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    finished
}

fn state_at(record: &BTreeMap<(u64, u64), Change>, dataset: u64, position: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut state = BTreeMap::new();
    for (entity, payload) in record.range((dataset, 0)..=(dataset, position)).map(|(_, change)| change) {
        match payload {
            Some(payload) => state.insert(entity.clone(), payload.clone()),
            None => state.remove(entity),
        };
    }
    state
}

/// One round; how many reads ended, and how many entries were dropped meanwhile.
fn play(options: Options, seed: u64) -> (u64, u64) {
    let dir = memory_dir();
    let engine = Engine::open(dir.path().join("store"), options).expect("a new store opens");
    let (record, stop) = (Record::default(), AtomicBool::new(false));
    let tally = Tally { reads: AtomicU64::new(0), stale: AtomicU64::new(0) };
    let (finished, dropped) = std::thread::scope(|scope| {
        let (engine, record, stop, tally) = (&engine, &record, &stop, &tally);
        let writers: Vec<_> =
            (0..WRITERS).map(|n| scope.spawn(move || write(engine, record, seed * 100 + n, stop))).collect();
        let readers: Vec<_> =
            (0..READERS).map(|n| scope.spawn(move || read(engine, seed * 100 + n, stop, tally))).collect();
        let (begun, mut dropped) = (Instant::now(), 0);
        while begun.elapsed() < TIME {
            let report = engine.compact(None).expect("a compaction");
            dropped += report.superseded_dropped + report.tombstones_dropped;
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        let finished: Vec<_> = readers.into_iter().flat_map(|reader| reader.join().expect("a reader")).collect();
        (finished, dropped)
    });
    let record = record.into_inner();
    println!(
        "{} entries written, {dropped} dropped, {} reads ended, {} cursors went stale",
        record.len(),
        tally.reads.load(Ordering::Relaxed),
        tally.stale.load(Ordering::Relaxed)
    );
    assert!(dropped > 0 && finished.len() > 20, "{dropped} entries dropped, {} reads ended", finished.len());
    // All of them, up to a few hundred: each costs a replay.
    let step = (finished.len() / 400).max(1);
    for (dataset, position, state) in finished.iter().step_by(step) {
        let want = state_at(&record, *dataset, *position);
        assert!(*state == want, "dataset d{dataset} at {position}: {} entities, {} expected", state.len(), want.len());
    }
    check_order(&engine, &record);
    (tally.reads.load(Ordering::Relaxed), dropped)
}

/// What is left of the history is what the writers recorded, in order.
fn check_order(engine: &Engine, record: &BTreeMap<(u64, u64), Change>) {
    for dataset in 0..DATASETS {
        let name = format!("d{dataset}");
        let floor = engine.stat(&name).expect("stat").history_floor;
        let (mut cursor, mut got) = (Cursor::after(floor), Vec::new());
        loop {
            let page = engine.changes(&name, &cursor, Limits::default().view(View::Every)).expect("a page");
            got.extend(page.entries.iter().map(|entry| entry.key.get()));
            cursor = page.next;
            if !page.more {
                break;
            }
        }
        let want: Vec<u64> =
            record.range((dataset, floor.get() + 1)..(dataset + 1, 0)).map(|((_, key), _)| *key).collect();
        assert_eq!(got, want, "the history of {name} above {floor}");
    }
}

fn cap(entries: u64) -> Cap {
    Cap { entries: Some(entries), bytes: None, age_ms: None }
}

/// One round for each seed: with compaction asked for again and again, or that and what runs by itself.
pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    for seed in seeds {
        let (history, tombstones) = if seed % 2 == 0 { (50, 5) } else { (0, 0) };
        let retention = Retention { history: cap(history), tombstones: cap(tombstones), ..Retention::unlimited() };
        let options = options().tail_bytes(32 << 10).retention(retention).background_compaction(seed % 2 == 1);
        let (reads, dropped) = play(options, seed);
        suite.ran(reads);
        suite.fired(dropped);
    }
}

#[test]
fn every_read_is_right_while_all_goes_on_at_once() {
    let mut suite = Suite::begin("readers during compaction", "17");
    run(0..2, &mut suite);
    suite.finish();
}
