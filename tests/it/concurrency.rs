//! Four writers, four readers, seals and compaction at once: each read equals the writers' record at its position.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidelog::{Batch, Cursor, Engine, Error, Limits, Op, Options, Retention, StaleReason, View};

use crate::support::{Rng, entries_cap, small, store};

const TIME: Duration = Duration::from_secs(4);
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
                        Op::Delete => state.remove(entry.entity.as_ref()),
                        _ => state.insert(entry.entity.to_vec(), entry.payload.clone().expect("a payload").to_vec()),
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

fn play(options: Options) {
    let (_dir, engine) = store(options);
    let (record, stop) = (Record::default(), AtomicBool::new(false));
    let tally = Tally { reads: AtomicU64::new(0), stale: AtomicU64::new(0) };
    let (finished, dropped) = std::thread::scope(|scope| {
        let (engine, record, stop, tally) = (&engine, &record, &stop, &tally);
        let writers: Vec<_> = (0..4).map(|n| scope.spawn(move || write(engine, record, n, stop))).collect();
        let readers: Vec<_> = (0..4).map(|n| scope.spawn(move || read(engine, n, stop, tally))).collect();
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

#[test]
fn every_read_is_right_while_all_goes_on_at_once() {
    let retention = Retention { history: entries_cap(50), tombstones: entries_cap(5), ..Retention::unlimited() };
    play(small().tail_bytes(32 << 10).retention(retention));
}

#[test]
fn every_read_is_right_beside_background_compaction() {
    let retention = Retention { history: entries_cap(0), tombstones: entries_cap(0), ..Retention::unlimited() };
    play(small().tail_bytes(32 << 10).retention(retention).background_compaction(true));
}
