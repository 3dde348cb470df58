//! Bursts that fit the tails: nothing has to be sealed for them to be taken.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use crate::engines::{DEFAULT_MEMORY, Engine, Kind, MEMORY, raw, tidelog};
use crate::measure::{Ctx, Goal, Row, remove};
use crate::workload::{Change, DATASETS, ENTITIES, Generator, Names};

/// Commits in flight.
const IN_FLIGHT: usize = 8;

/// Entries that fit two tails of this memory budget, each of a sixteenth of it.
fn burst(memory: usize) -> u64 {
    (memory / 16 * 2 / 450) as u64
}

fn size(kind: Kind) -> usize {
    (burst(if kind == Kind::TidelogDefault { DEFAULT_MEMORY } else { MEMORY }) / 100) as usize
}

pub fn submit(ctx: &Ctx) -> Row {
    let names = Arc::new(Names::new(DATASETS, ENTITIES));
    let batches = Generator::usual(1).batches(burst(MEMORY) + 2_000);
    let kinds = ctx.engines(&[Kind::Raw, Kind::Tidelog, Kind::TidelogDefault]);
    let series = ctx.rounds(
        &kinds,
        |kind| kind.name().into(),
        |kind| {
            let dir = ctx.fresh("submit");
            let (first, rest) = batches.split_at(20);
            let rest = &rest[..size(kind).min(rest.len())];
            let took = if kind == Kind::Raw {
                let raw = raw::Raw::open(&dir, names.clone());
                raw_in_flight(&raw, first);
                let begun = Instant::now();
                raw_in_flight(&raw, rest);
                begun.elapsed()
            } else {
                let memory = if kind == Kind::Tidelog { MEMORY } else { DEFAULT_MEMORY };
                let store = tidelog::Tidelog::open(&dir, names.clone(), tidelog::options(memory));
                store.submit(first, IN_FLIGHT);
                let begun = Instant::now();
                store.submit(rest, IN_FLIGHT);
                begun.elapsed()
            };
            remove(&dir);
            rest.iter().map(Vec::len).sum::<usize>() as f64 / took.as_secs_f64()
        },
    );
    let mut row =
        Row::new("durable append, batches of 100, 8 commits in flight (`submit`), a burst", "entries/s", series);
    let ours = row.median("Tidelog").unwrap_or_default();
    row.goals.push(Goal::at_least("entries/s", ours, 1_200_000.0));
    row.note(format!(
        "{} entries, {} with 256 MiB; raw with 8 in flight: one thread encodes, another writes what is there and syncs; \
         Tidelog is {:.2} of it",
        burst(MEMORY),
        burst(DEFAULT_MEMORY),
        ours / row.median("raw file").unwrap_or(f64::NAN)
    ));
    row
}

/// The raw file with 8 batches in flight: this thread encodes, another one writes all there is at once, and syncs.
fn raw_in_flight(raw: &raw::Raw, batches: &[Vec<Change>]) {
    let (frames, queue) = sync_channel::<Vec<u8>>(IN_FLIGHT);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut at, mut group) = (0, Vec::new());
            while let Ok(frame) = queue.recv() {
                group.clear();
                group.extend_from_slice(&frame);
                while let Ok(more) = queue.try_recv() {
                    group.extend_from_slice(&more);
                }
                raw.write(&mut at, &group, true);
            }
        });
        for batch in batches {
            let mut frame = Vec::with_capacity(32 << 10);
            raw.encode(batch, &mut frame);
            frames.send(frame).expect("the writer takes it");
        }
        drop(frames);
    });
}

pub fn buffered(ctx: &Ctx) -> Row {
    let names = Arc::new(Names::new(DATASETS, ENTITIES));
    let batches = Generator::usual(1).batches(burst(MEMORY) + 2_000);
    let kinds = ctx.engines(&[Kind::Raw, Kind::Tidelog, Kind::TidelogDefault, Kind::Rocks, Kind::Fjall]);
    let series = ctx.rounds(
        &kinds,
        |kind| kind.name().into(),
        |kind| {
            let dir = ctx.fresh("burst");
            let engine: Box<dyn Engine> = kind.open(&dir, &names);
            let (first, rest) = batches.split_at(20);
            let rest = &rest[..size(kind).min(rest.len())];
            first.iter().for_each(|batch| engine.append(batch, true));
            let begun = Instant::now();
            rest.iter().for_each(|batch| engine.append(batch, false));
            let took = begun.elapsed();
            drop(engine);
            remove(&dir);
            rest.iter().map(Vec::len).sum::<usize>() as f64 / took.as_secs_f64()
        },
    );
    let mut row = Row::new("`Buffered` appends, batches of 100, a burst", "entries/s", series);
    let ours = row.median("Tidelog").unwrap_or_default();
    row.goals.push(Goal::at_least("entries/s", ours, 1_200_000.0));
    row.ratio("RocksDB", 4.0);
    row.note(format!(
        "{} entries, {} with 256 MiB; RocksDB and fjall without a sync",
        burst(MEMORY),
        burst(DEFAULT_MEMORY)
    ));
    row
}
