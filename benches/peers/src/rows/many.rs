//! A million datasets with an entry each, twice over.

use std::sync::Arc;
use std::time::Instant;

use crate::engines::{DEFAULT_MEMORY, Kind, MEMORY};
use crate::measure::{Ctx, Goal, Row, Series, number, rate, remove, status_bytes};
use crate::workload::{BATCH, Change, Generator, Hash, Names, Rng};

const ROUNDS: u64 = 2;

pub fn many(ctx: &Ctx) -> Row {
    let datasets = ctx.size(1_000_000, 30_000) as u32;
    let names = Arc::new(Names::new(datasets, 1));
    let mut generator = Generator::new(1, datasets, 1);
    let order = |round: u64, n: u32| ((u64::from(n) * 7_368_787 + round * 41) % u64::from(datasets)) as u32;
    let changes: Vec<Change> = (0..ROUNDS)
        .flat_map(|round| (0..datasets).map(move |n| order(round, n)))
        .map(|dataset| generator.change_of(dataset, 0))
        .collect();
    // The smaller budget first: what it lets go, the larger one has a use for.
    let kinds = ctx.engines(&[Kind::TidelogDefault, Kind::Tidelog, Kind::Rocks, Kind::Fjall]);
    let mut pages: Vec<Series> = kinds.iter().map(|kind| Series::new(kind.name())).collect();
    let mut memory: Vec<(Kind, u64)> = Vec::new();
    let mut hashes = Vec::new();
    let before = status_bytes("VmRSS");
    let appends = ctx.rounds(
        &kinds,
        |kind| kind.name().into(),
        |kind| {
            let dir = ctx.fresh("many");
            let engine = kind.open(&dir, &names);
            let begun = Instant::now();
            changes.chunks(BATCH).for_each(|batch| engine.append(batch, true));
            let append = changes.len() as f64 / begun.elapsed().as_secs_f64();
            engine.settle();
            let (mut rng, mut hash, mut asked) = (Rng(5), Hash::default(), 0);
            let per_second = rate(ctx.seconds, || {
                engine.page(rng.below(u64::from(datasets)) as u32, 0, 50, &mut hash);
                asked += 1;
                if asked == 1_000 {
                    hashes.push(hash.clone());
                }
                Some(1)
            });
            eprintln!("    {}: {} pages/s", kind.name(), number(per_second));
            pages.iter_mut().filter(|one| one.engine == kind.name()).for_each(|one| one.values.push(per_second));
            if memory.iter().all(|(measured, _)| *measured != kind) {
                memory.push((kind, status_bytes("VmRSS").saturating_sub(before)));
            }
            drop(engine);
            remove(&dir);
            append
        },
    );
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "the engines read different entries");
    let mut row = Row::new("many datasets, one entry each per round: durable append", "entries/s", appends);
    row.ratio("RocksDB", 1.0);
    let page = |kind: Kind| pages.iter().find(|one| one.engine == kind.name()).map(Series::median);
    if let (Some(ours), Some(theirs)) = (page(Kind::Tidelog), page(Kind::Rocks)) {
        row.goals.push(Goal::at_least("pages/s, Tidelog / RocksDB", ours / theirs, 1.0));
    }
    for (kind, budget) in [(Kind::Tidelog, MEMORY), (Kind::TidelogDefault, DEFAULT_MEMORY)] {
        let grown = memory.iter().find(|(measured, _)| *measured == kind).map_or(0, |(_, grown)| *grown);
        let what = format!("{}: memory / budget", kind.name());
        row.goals.push(Goal::at_most(what, grown as f64 / budget as f64, 1.0));
    }
    let told: Vec<String> = pages.iter().map(|one| format!("{} {}", one.engine, number(one.median()))).collect();
    row.note(format!(
        "{datasets} datasets, {ROUNDS} rounds in different orders, 1 entity each; random pages/s: {}",
        told.join(", ")
    ));
    let told: Vec<String> = memory.iter().map(|(kind, grown)| format!("{} {} MiB", kind.name(), grown >> 20)).collect();
    row.note(format!(
        "the process has grown by: {} (in this order, in the first round; what is not given back is counted again)",
        told.join(", ")
    ));
    row
}
