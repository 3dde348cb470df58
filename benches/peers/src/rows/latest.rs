//! What leaving superseded entries out costs.

use std::sync::Arc;

use ::tidelog::{Limits, View};

use crate::engines::{Engine, MEMORY, tidelog};
use crate::measure::{Ctx, Goal, Row, rate, remove};
use crate::workload::{BATCH, Change, Generator, Hash, Names, Rng};

const DATASETS: u32 = 100;

/// Datasets in which every entity is created, and half of them changed once, at a random moment: a third of the entries
/// is superseded.
pub fn latest(ctx: &Ctx) -> Row {
    let entities = ctx.size(4_000, 2_000) as u32;
    let names = Arc::new(Names::new(DATASETS, entities));
    let changes = changes(entities);
    let dir = ctx.fresh("latest");
    let store = tidelog::Tidelog::open(&dir, names, tidelog::options(MEMORY));
    changes.chunks(BATCH).for_each(|batch| store.append(batch, false));
    store.settle();
    let entries = changes.len() as u64;
    let positions: Vec<(u32, u64)> = {
        let mut rng = Rng(2);
        (0..10_000)
            .map(|_| (rng.below(u64::from(DATASETS)) as u32, entries / 50 + rng.below(entries * 9 / 10)))
            .collect()
    };
    let limits = |view| Limits::entries(50).view(view);
    for view in [View::Every, View::Latest] {
        let mut hash = Hash::default();
        for (dataset, after) in &positions {
            store.page_of(*dataset, *after, limits(view), &mut hash);
        }
    }
    let label = |view| if view == View::Every { "Tidelog, every" } else { "Tidelog" };
    let series = ctx.rounds(
        &[View::Every, View::Latest],
        |view| label(view).into(),
        |view| {
            let (mut next, mut hash) = (0, Hash::default());
            rate(ctx.seconds, || {
                let (dataset, after) = positions[next % positions.len()];
                store.page_of(dataset, after, limits(view), &mut hash);
                next += 1;
                Some(1)
            })
        },
    );
    let stat = store.engine.stat("dataset-000000").expect("it exists");
    drop(store);
    remove(&dir);
    let mut row = Row::new("delta page of 50 `Latest`, a third superseded", "pages/s", series);
    if let (Some(every), Some(latest)) = (row.median("Tidelog, every"), row.median("Tidelog")) {
        row.goals.push(Goal::at_least("`Latest` / `Every`", latest / every, 0.5));
    }
    row.note(format!(
        "{entries} entries in {DATASETS} datasets, sealed; of the first, {} of {} entries are superseded",
        stat.superseded, stat.entries
    ));
    row
}

fn changes(entities: u32) -> Vec<Change> {
    let (mut rng, mut generator) = (Rng(1), Generator::new(1, DATASETS, entities));
    let mut order: Vec<(u32, u32)> = Vec::new();
    for dataset in 0..DATASETS {
        for entity in 0..entities {
            order.push((dataset, entity));
            if entity % 2 == 0 {
                order.push((dataset, entity));
            }
        }
    }
    for at in (1..order.len()).rev() {
        order.swap(at, rng.below(at as u64 + 1) as usize);
    }
    order.into_iter().map(|(dataset, entity)| generator.change_of(dataset, entity)).collect()
}
