//! What compaction costs those who append, and what its own cost follows.

use std::sync::Arc;
use std::time::Duration;

use ::tidelog::{Options, Retention};

use crate::engines::{Engine, MEMORY, tidelog};
use crate::measure::{Ctx, Goal, Row, Series, rate, remove};
use crate::workload::{BATCH, DATASETS, ENTITIES, Generator, Names};

/// Entries of history that a dataset keeps here.
const HISTORY: u64 = 500;

fn options() -> Options {
    let mut retention = Retention::default();
    retention.history.entries = Some(HISTORY);
    tidelog::options(MEMORY).retention(retention).grace(Duration::ZERO, 0).tail_bytes(16 << 20)
}

/// Durable appends while the background trims, and without it, in a store whose caps are exceeded all the time.
pub fn cost_on_appends(ctx: &Ctx) -> Row {
    let names = Arc::new(Names::new(DATASETS, ENTITIES));
    let mut generator = Generator::usual(1);
    let loaded = generator.batches(ctx.size(1_000_000, 300_000));
    let batches = generator.batches((ctx.seconds * 900_000.0) as u64);
    let mut dropped = 0;
    let label = |on| if on { "Tidelog" } else { "Tidelog, no compaction" };
    let series = ctx.rounds(
        &[false, true],
        |on| label(on).into(),
        |on| {
            let dir = ctx.fresh("compaction");
            let store = tidelog::Tidelog::open(&dir, names.clone(), options().background_compaction(on));
            loaded.iter().for_each(|batch| store.append(batch, false));
            store.settle();
            let mut batches = batches.iter();
            let per_second = rate(ctx.seconds, || {
                let batch = batches.next()?;
                store.append(batch, true);
                Some(batch.len() as u64)
            });
            dropped += store.engine.metrics().compaction_dropped;
            drop(store);
            remove(&dir);
            per_second
        },
    );
    let mut row = Row::new("durable append while compaction runs in the background", "entries/s", series);
    if let (Some(with), Some(without)) = (row.median("Tidelog"), row.median("Tidelog, no compaction")) {
        row.goals.push(Goal::at_most("cost to appends, %", (1.0 - with / without) * 100.0, 20.0));
    }
    row.note(format!(
        "history {HISTORY} entries per dataset, no grace, tails of 16 MiB; {dropped} entries dropped in the rounds with \
         compaction"
    ));
    row
}

/// The same number of entries to drop, out of a log and out of one ten times as long.
pub fn proportion(ctx: &Ctx) -> Row {
    let names = Arc::new(Names::new(DATASETS, ENTITIES));
    let small = ctx.size(400_000, 60_000);
    let mut row =
        Row::new("one compaction that drops as much, by the log's size", "bytes per dropped entry", Vec::new());
    let mut costs = Vec::new();
    for entries in [small, small * 10] {
        let dir = ctx.fresh("proportion");
        let mut retention = Retention::default();
        // What is kept besides grows with the log; what one compaction drops does not.
        retention.history.entries = Some(entries / u64::from(DATASETS) / 2);
        let options = options().retention(retention).background_compaction(false);
        let store = tidelog::Tidelog::open(&dir, names.clone(), options);
        let mut generator = Generator::usual(1);
        for _ in 0..entries / BATCH as u64 {
            store.append(&generator.batch(), false);
        }
        store.settle();
        store.engine.compact(None).expect("a compaction");
        for _ in 0..500 {
            store.append(&generator.batch(), false);
        }
        store.settle();
        let report = store.engine.compact(None).expect("a compaction");
        let cost = (report.bytes_read + report.bytes_written) as f64 / report.superseded_dropped.max(1) as f64;
        row.series.push(Series::one(format!("Tidelog, {entries} entries"), cost));
        row.note(format!(
            "{entries} entries: {} dropped in {} ms, {} bytes read, {} written, {} chunks rewritten",
            report.superseded_dropped,
            report.elapsed_ms,
            report.bytes_read,
            report.bytes_written,
            report.chunks_rewritten
        ));
        costs.push(cost);
        drop(store);
        remove(&dir);
    }
    row.goals.push(Goal::at_most("cost in the log ten times as long / in the shorter one", costs[1] / costs[0], 1.5));
    row
}
