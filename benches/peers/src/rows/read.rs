//! Reading the same keys from every engine; what was read must be the same to the byte.

use std::sync::Arc;

use crate::engines::{Engine, Kind};
use crate::measure::{Ctx, Goal, Row, Series, rate, remove};
use crate::workload::{BATCH, Change, DATASETS, ENTITIES, Generator, Hash, Names, Rng, positions};

/// Entries of a page.
const PAGE: usize = 50;
/// Entries that were appended last, and not sealed.
const RECENT: u64 = 25_000;

/// The engines, each holding the same.
struct Loaded {
    engines: Vec<(Kind, Box<dyn Engine>)>,
}

impl Loaded {
    /// `sealed` is brought to where it lies for good, `recent` is not.
    fn new(ctx: &Ctx, names: &Arc<Names>, sealed: &[Vec<Change>], recent: &[Vec<Change>]) -> Loaded {
        let load = |kind: Kind| {
            eprintln!("    loading {}", kind.name());
            let engine = kind.open(&ctx.fresh(&format!("read-{kind:?}")), names);
            append_all(&*engine, sealed);
            engine.settle();
            append_all(&*engine, recent);
            (kind, engine)
        };
        Loaded { engines: ctx.engines(&Kind::readers()).into_iter().map(load).collect() }
    }

    /// Reads everything once, compares what was read, and then measures in rounds.
    fn read(&self, ctx: &Ctx, count: usize, read: impl Fn(&dyn Engine, usize, &mut Hash)) -> (Vec<Series>, String) {
        let hashes: Vec<Hash> = self
            .engines
            .iter()
            .map(|(_, engine)| {
                let mut hash = Hash::default();
                (0..count).for_each(|at| read(&**engine, at, &mut hash));
                hash
            })
            .collect();
        for ((kind, _), hash) in self.engines.iter().zip(&hashes) {
            assert_eq!(*hash, hashes[0], "{} read something else than {}", kind.name(), self.engines[0].0.name());
        }
        let before: Vec<_> = self.engines.iter().map(|(_, engine)| engine.cache()).collect();
        let all: Vec<usize> = (0..self.engines.len()).collect();
        let series = ctx.rounds(
            &all,
            |at| self.engines[at].0.name().into(),
            |at| {
                let (mut next, mut hash) = (0, Hash::default());
                let per_second = rate(ctx.seconds, || {
                    read(&*self.engines[at].1, next % count, &mut hash);
                    next += 1;
                    Some(1)
                });
                std::hint::black_box(hash.value());
                per_second
            },
        );
        let mut note =
            format!("all engines read the same {} entries, hash {:016x}", hashes[0].entries, hashes[0].value());
        for ((kind, engine), before) in self.engines.iter().zip(before) {
            if let (Some(before), Some(after)) = (before, engine.cache()) {
                let (hits, misses) = (after.0 - before.0, after.1 - before.1);
                let ratio = hits as f64 / (hits + misses).max(1) as f64 * 100.0;
                note += &format!("; {}: {hits} chunk cache hits, {misses} misses ({ratio:.1} %)", kind.name());
            }
        }
        (series, note)
    }

    fn end(self, ctx: &Ctx) {
        let kinds: Vec<Kind> = self.engines.iter().map(|(kind, _)| *kind).collect();
        drop(self.engines);
        kinds.iter().for_each(|kind| remove(&ctx.scratch.join(format!("read-{kind:?}"))));
    }
}

/// All but the last batch unsynced.
fn append_all(engine: &dyn Engine, batches: &[Vec<Change>]) {
    let Some((last, most)) = batches.split_last() else { return };
    most.iter().for_each(|batch| engine.append(batch, false));
    engine.append(last, true);
}

fn usual(ctx: &Ctx) -> (Arc<Names>, u64, Vec<Vec<Change>>) {
    let entries = ctx.size(1_000_000, 200_000);
    (Arc::new(Names::new(DATASETS, ENTITIES)), entries, Generator::usual(1).batches(entries))
}

/// Pages of recent keys, from before anything of them is sealed.
pub fn tail(ctx: &Ctx) -> Row {
    let (names, entries, batches) = usual(ctx);
    let (sealed, recent) = batches.split_at(((entries - RECENT) as usize) / BATCH);
    let loaded = Loaded::new(ctx, &names, sealed, recent);
    let positions = positions(2, 20_000, true, entries - RECENT..entries - RECENT / 2);
    let (series, note) = loaded.read(ctx, positions.len(), |engine, at, hash| {
        let (dataset, after) = positions[at];
        engine.page(dataset, after, PAGE, hash);
    });
    loaded.end(ctx);
    let mut row = Row::new("delta page of 50, recent keys (tail)", "pages/s", series);
    row.ratio("RocksDB", 10.0);
    row.ratio("SQLite", 5.0);
    row.note(format!("{entries} entries; keys uniform in the older half of the last {RECENT}, of the tenth of the datasets that is busy; view `Every`"));
    row.note(note);
    row
}

/// Pages of keys that are sealed, read once before.
pub fn sealed(ctx: &Ctx) -> Row {
    let (names, entries, batches) = usual(ctx);
    let loaded = Loaded::new(ctx, &names, &batches, &[]);
    // From a quarter on, every dataset has begun.
    let positions = positions(2, 20_000, false, entries / 4..entries * 3 / 4);
    let (series, note) = loaded.read(ctx, positions.len(), |engine, at, hash| {
        let (dataset, after) = positions[at];
        engine.page(dataset, after, PAGE, hash);
    });
    loaded.end(ctx);
    let mut row = Row::new("delta page of 50, sealed and cached", "pages/s", series);
    row.ratio("RocksDB", 3.0);
    row.ratio("SQLite", 1.5);
    row.note(format!("{entries} entries; 20,000 pages, datasets drawn as the changes were, keys uniform in 25 % to 75 % of the log, all read once before; view `Every`"));
    row.note(note);
    row
}

/// All of one dataset, of entities that have one entry each.
pub fn scan(ctx: &Ctx) -> Row {
    let entities = ctx.size(1_000_000, 200_000) as u32;
    let names = Arc::new(Names::new(1, entities));
    let mut generator = Generator::new(1, 1, entities);
    let changes: Vec<Change> =
        (0..entities).map(|entity| generator.change_of(0, scattered(entity, entities))).collect();
    let batches: Vec<Vec<Change>> = changes.chunks(BATCH).map(<[Change]>::to_vec).collect();
    let loaded = Loaded::new(ctx, &names, &batches, &[]);
    let (series, note) = loaded.read(ctx, 1, |engine, _, hash| engine.scan(0, hash));
    loaded.end(ctx);
    let entries = |series: Series| Series {
        values: series.values.iter().map(|scans| scans * f64::from(entities)).collect(),
        ..series
    };
    let series = series.into_iter().map(entries).collect();
    let mut row = Row::new("full sync from 0, one dataset", "entries/s", series);
    let ours = row.median("Tidelog").unwrap_or_default();
    row.goals.push(Goal::at_least("entries/s", ours, 4_000_000.0));
    row.ratio("RocksDB", 2.0);
    row.note(format!("{entities} entities, read before; Tidelog in pages of 1,000, view `Latest`; the peers with one iterator, Redis in pages of 1,000"));
    row.note(note);
    row
}

/// A permutation of 0..of.
fn scattered(n: u32, of: u32) -> u32 {
    (u64::from(n) * 7_368_787 % u64::from(of)) as u32
}

/// The newest entry of entities that exist.
pub fn get(ctx: &Ctx) -> Row {
    let (names, entries, batches) = usual(ctx);
    let loaded = Loaded::new(ctx, &names, &batches, &[]);
    let mut rng = Rng(3);
    let asked: Vec<(u32, u32)> = (0..50_000)
        .map(|_| {
            let batch = &batches[rng.below(batches.len() as u64) as usize];
            let change = &batch[rng.below(batch.len() as u64) as usize];
            (change.dataset, change.entity)
        })
        .collect();
    let (series, note) = loaded.read(ctx, asked.len(), |engine, at, hash| engine.get(asked[at].0, asked[at].1, hash));
    loaded.end(ctx);
    let mut row = Row::new("`get` of a newest entity, sealed and cached", "gets/s", series);
    row.ratio("RocksDB", 0.5);
    row.note(format!("{entries} entries; 50,000 entities, each drawn as the one of some change, all read once before; the peers look the newest key up and then the entry"));
    row.note(note);
    row
}
