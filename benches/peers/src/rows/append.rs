//! Appending for as long as the clock says, each time into a new store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::tidelog::{Batch, Expect, SyncKey};

use crate::engines::{Engine, Kind, MEMORY, tidelog};
use crate::measure::{Ctx, Goal, Row, quantile, rate};
use crate::workload::{BATCH, Change, DATASETS, ENTITIES, Generator, Names};

/// Batches before the clock runs.
const WARM_UP: usize = 20;
/// Threads that commit single entries.
const THREADS: u64 = 64;

fn usual_names() -> Arc<Names> {
    Arc::new(Names::new(DATASETS, ENTITIES))
}

/// Appends batches, one after the other, and returns entries per second.
fn append_for(ctx: &Ctx, kind: Kind, names: &Arc<Names>, batches: &[Vec<Change>], sync: bool) -> (f64, u64) {
    let dir = ctx.fresh("append");
    let engine = kind.open(&dir, names);
    let (first, rest) = batches.split_at(WARM_UP);
    first.iter().for_each(|batch| engine.append(batch, true));
    let mut batches = rest.iter();
    let per_second = rate(ctx.seconds, || {
        let batch = batches.next()?;
        engine.append(batch, sync);
        Some(batch.len() as u64)
    });
    let stalled = engine.stalled_ms();
    drop(engine);
    crate::measure::remove(&dir);
    (per_second, stalled)
}

pub fn durable(ctx: &Ctx) -> Row {
    let names = usual_names();
    let batches = Generator::usual(1).batches((ctx.seconds * 900_000.0) as u64 + 100_000);
    let mut stalled = 0;
    let series = ctx.rounds(
        &ctx.engines(&Kind::writers()),
        |kind| kind.name().into(),
        |kind| {
            let (per_second, stalled_ms) = append_for(ctx, kind, &names, &batches, true);
            if kind == Kind::Tidelog {
                stalled += stalled_ms;
            }
            per_second
        },
    );
    let mut row = Row::new("durable append, batches of 100, one appender waiting for each", "entries/s", series);
    for (engine, bound) in [("raw file", 0.85), ("RocksDB", 5.0), ("fjall", 5.0), ("SQLite", 30.0), ("redb", 25.0)] {
        row.ratio(engine, bound);
    }
    row.note(format!("Tidelog's appends waited {stalled} ms for seals, all rounds together"));
    row
}

pub fn buffered(ctx: &Ctx) -> Row {
    let names = usual_names();
    let entries = ctx.size(10_000_000, 1_000_000);
    let batches = Generator::usual(1).batches(entries);
    let kinds = ctx.engines(&[Kind::Tidelog, Kind::TidelogDefault, Kind::Rocks, Kind::Fjall]);
    let mut stalled = 0;
    let series = ctx.rounds(
        &kinds,
        |kind| kind.name().into(),
        |kind| {
            if !matches!(kind, Kind::Tidelog | Kind::TidelogDefault) {
                return append_for(ctx, kind, &names, &batches, false).0;
            }
            let dir = ctx.fresh("buffered");
            let engine = kind.open(&dir, &names);
            let begun = Instant::now();
            batches.iter().for_each(|batch| engine.append(batch, false));
            engine.append(&batches[0], true);
            let per_second = entries as f64 / begun.elapsed().as_secs_f64();
            stalled += if kind == Kind::Tidelog { engine.stalled_ms() } else { 0 };
            drop(engine);
            crate::measure::remove(&dir);
            per_second
        },
    );
    let title = "`Buffered` appends, batches of 100, sustained with sealing";
    let mut row = Row::new(title, "entries/s", series);
    let ours = row.median("Tidelog").unwrap_or_default();
    row.goals.push(Goal::at_least("entries/s", ours, 600_000.0));
    row.ratio("RocksDB", 2.5);
    row.note(format!(
        "Tidelog: {entries} entries, the last one synced; the peers' as many as they take in {} s (RocksDB and fjall \
         without a sync). Tidelog's appends waited {stalled} ms for seals, all rounds together",
        ctx.seconds
    ));
    row
}

pub fn single(ctx: &Ctx) -> Row {
    let names = usual_names();
    let kinds = ctx.engines(&Kind::writers());
    let series = ctx.rounds(
        &kinds,
        |kind| kind.name().into(),
        |kind| {
            let dir = ctx.fresh("single");
            let engine = kind.open(&dir, &names);
            let per_second = from_threads(ctx, &*engine);
            drop(engine);
            crate::measure::remove(&dir);
            per_second
        },
    );
    let mut row = Row::new("durable single-entry commits, 64 threads", "entries/s", series);
    let sync_us = sync_us(ctx);
    row.ratio("RocksDB", 5.0);
    let ours = row.median("Tidelog").unwrap_or_default();
    row.goals.push(Goal::at_least(
        "entries/s, where a sync takes 150 us",
        ours * (sync_us / 150.0).max(1.0),
        150_000.0,
    ));
    row.note("the raw file with group commit in its simplest form: what 64 threads can be woken for on this machine");
    row.note(format!("one fdatasync of 4 KiB takes {sync_us:.0} us here (median); the second goal is scaled by it if it is above 150 us"));
    row
}

fn from_threads(ctx: &Ctx, engine: &dyn Engine) -> f64 {
    let (done, limit) = (AtomicU64::new(0), Duration::from_secs_f64(ctx.seconds));
    let changes: Vec<Vec<Change>> = (0..THREADS)
        .map(|thread| {
            let mut generator = Generator::small(thread);
            (0..(ctx.seconds * 8_000.0) as usize + 1_000).map(|_| generator.change()).collect()
        })
        .collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for changes in &changes {
            let done = &done;
            scope.spawn(move || {
                for change in changes.chunks(1).cycle().take_while(|_| begun.elapsed() < limit) {
                    engine.append(change, true);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner() as f64 / begun.elapsed().as_secs_f64()
}

/// How long one fdatasync takes, in microseconds: the median of 500 in a preallocated file.
fn sync_us(ctx: &Ctx) -> f64 {
    use std::os::unix::fs::FileExt;
    let dir = ctx.fresh("sync");
    std::fs::create_dir_all(&dir).expect("a directory");
    let file = std::fs::File::create(dir.join("file")).expect("a file");
    file.write_all_at(&vec![1; 4096 * 500], 0).expect("a write");
    file.sync_all().expect("a sync");
    let mut took: Vec<f64> = (0..500)
        .map(|at| {
            file.write_all_at(&[2; 4096], at * 4096).expect("a write");
            let begun = Instant::now();
            file.sync_data().expect("a sync");
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    crate::measure::remove(&dir);
    quantile(&mut took, 0.5)
}

/// The same changes with and without an expectation on each, after a million entries were sealed; and as `put`, where
/// the engine finds out whether an entity exists.
pub fn conditional(ctx: &Ctx) -> Row {
    #[derive(Clone, Copy, PartialEq)]
    enum How {
        Plain,
        Expecting,
        Put,
    }
    let names = usual_names();
    let mut generator = Generator::usual(1);
    let preload = ctx.size(1_000_000, 200_000);
    let loaded: Vec<Vec<Change>> = (0..preload / BATCH as u64).map(|_| generator.distinct()).collect();
    let batches: Vec<Vec<Change>> = (0..(ctx.seconds * 7_000.0) as u64).map(|_| generator.distinct()).collect();
    let hows = [How::Plain, How::Expecting, How::Put];
    let label = |how| match how {
        How::Plain => "Tidelog",
        How::Expecting => "Tidelog, expecting",
        How::Put => "Tidelog, put",
    };
    let series = ctx.rounds(
        &hows,
        |how| label(how).into(),
        |how| {
            let dir = ctx.fresh("conditional");
            let store = tidelog::Tidelog::open(&dir, names.clone(), tidelog::options(MEMORY));
            let mut newest: HashMap<(u32, u32), u64> = HashMap::new();
            let mut key = 1;
            let mut note = |batch: &[Change], first: u64| {
                for (key, change) in (first..).zip(batch) {
                    newest.insert((change.dataset, change.entity), key);
                }
            };
            for batch in &loaded {
                store.append(batch, false);
                note(batch, key);
                key += batch.len() as u64;
            }
            store.settle();
            let mut batches = batches.iter();
            let per_second = rate(ctx.seconds, || {
                let batch = batches.next()?;
                let first = match how {
                    How::Plain => store.engine.append(store.batch(batch)),
                    How::Expecting => store.engine.append(expecting(&store, batch, &newest)),
                    How::Put => store.engine.append(puts(&store, batch)),
                };
                let first = first.expect("an expectation that holds").first.get();
                for (key, change) in (first..).zip(batch) {
                    newest.insert((change.dataset, change.entity), key);
                }
                Some(batch.len() as u64)
            });
            drop(store);
            crate::measure::remove(&dir);
            per_second
        },
    );
    let mut row = Row::new("conditional append (`expect` at key), durable, batches of 100", "entries/s", series);
    let (plain, expecting) = (row.median("Tidelog"), row.median("Tidelog, expecting"));
    if let (Some(plain), Some(expecting)) = (plain, expecting) {
        row.goals.push(Goal::at_least("conditional / unconditional", expecting / plain, 0.6));
    }
    row.note("entities are distinct within a batch; the caller's own map of keys is kept in both cases");
    row
}

fn expecting(store: &tidelog::Tidelog, changes: &[Change], newest: &HashMap<(u32, u32), u64>) -> Batch {
    let mut batch = Batch::new();
    for change in changes {
        let dataset = store.names.datasets[change.dataset as usize].clone();
        let entity = store.names.entities[change.entity as usize].clone();
        let expect = match newest.get(&(change.dataset, change.entity)) {
            Some(key) => Expect::At(SyncKey::new(*key)),
            None => Expect::Absent,
        };
        batch.put(dataset, entity, change.payload.clone()).expect(expect);
    }
    batch
}

fn puts(store: &tidelog::Tidelog, changes: &[Change]) -> Batch {
    let mut batch = Batch::new();
    for change in changes {
        let dataset = store.names.datasets[change.dataset as usize].clone();
        batch.put(dataset, store.names.entities[change.entity as usize].clone(), change.payload.clone());
    }
    batch
}
