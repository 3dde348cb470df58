//! Bytes on disk per payload byte, with five versions of every entity kept and all compaction done.

use std::sync::Arc;

use ::tidelog::Compression;

use crate::engines::{Engine, Kind, MEMORY, tidelog};
use crate::measure::{Ctx, Goal, Row, Series, disk_bytes, remove};
use crate::workload::{BATCH, Change, DATASETS, Generator, Names, PAYLOAD, Rng};

const VERSIONS: u32 = 5;

pub fn space(ctx: &Ctx) -> Row {
    let entities = ctx.size(200, 20) as u32;
    let names = Arc::new(Names::new(DATASETS, entities));
    let changes = changes(entities);
    let payload = (changes.len() * PAYLOAD) as f64;
    let mut series = Vec::new();
    let mut notes = Vec::new();
    for (label, compression) in [("Tidelog, LZ4 off", Compression::None), ("Tidelog", Compression::Lz4)] {
        let dir = ctx.fresh("space");
        let store = tidelog::Tidelog::open(&dir, names.clone(), tidelog::options(MEMORY).compression(compression));
        changes.chunks(BATCH).for_each(|batch| store.append(batch, false));
        store.settle();
        store.engine.compact(None).expect("a compaction");
        let entries: u64 =
            (0..DATASETS).map(|n| store.engine.stat(&names.datasets[n as usize]).expect("it exists").entries).sum();
        assert_eq!(entries, changes.len() as u64, "all versions are retained");
        drop(store);
        let db = disk_bytes(&dir.join("db"));
        series.push(Series::one(label, db as f64 / payload));
        notes.push(format!("{label}: {db} bytes in db/"));
        remove(&dir);
    }
    let peers = [Kind::Rocks, Kind::Fjall, Kind::Redb, Kind::Sqlite, Kind::Redis];
    for kind in ctx.engines(&peers) {
        let dir = ctx.fresh("space");
        let engine = kind.open(&dir, &names);
        changes.chunks(BATCH).for_each(|batch| engine.append(batch, false));
        engine.append(&changes[..1], true);
        engine.settle();
        let used = disk_bytes(&dir);
        drop(engine);
        series.push(Series::one(kind.name(), used as f64 / payload));
        remove(&dir);
    }
    let mut row = Row::new("disk after compaction, five versions per entity", "bytes per payload byte", series);
    let value = |row: &Row, label: &str| row.median(label).unwrap_or(f64::NAN);
    row.goals.push(Goal::at_most("LZ4 off", value(&row, "Tidelog, LZ4 off"), 1.35));
    row.goals.push(Goal::at_most("LZ4 on", value(&row, "Tidelog"), 0.75));
    row.notes = notes;
    row.note(format!(
        "{} entries, {payload} payload bytes; after a flush and a full compaction, write-ahead logs left out (RocksDB and fjall with LZ4)",
        changes.len()
    ));
    row
}

/// Every entity of every dataset five times, in random order.
fn changes(entities: u32) -> Vec<Change> {
    let (mut rng, mut generator) = (Rng(1), Generator::new(1, DATASETS, entities));
    let mut order: Vec<(u32, u32)> = (0..VERSIONS)
        .flat_map(|_| (0..DATASETS).flat_map(|dataset| (0..entities).map(move |entity| (dataset, entity))))
        .collect();
    for at in (1..order.len()).rev() {
        order.swap(at, rng.below(at as u64 + 1) as usize);
    }
    order.into_iter().map(|(dataset, entity)| generator.change_of(dataset, entity)).collect()
}
