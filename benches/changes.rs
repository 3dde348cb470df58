//! Reading deltas: pages of 50 from the tail and from sealed chunks, both views; a full read; reading on through a large
//! dataset; many datasets at once.

mod common;

use std::time::Duration;

use common::{Rng, fill, store};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidelog::{Batch, Cursor, Durability, Engine, Limits, Options, SyncKey, View};

const ENTRIES: u64 = 1_000_000;

/// A page of 50 from somewhere in a dataset.
fn page(engine: &Engine, rng: &mut Rng, head: u64, limits: Limits) -> usize {
    let cursor = Cursor::after(SyncKey::new(head / 2 + rng.below(head / 2)));
    engine.changes(rng.dataset(), &cursor, limits).expect("a page").entries.len()
}

fn pages(c: &mut Criterion) {
    let (_dir, engine) = store(Options::default().memory(512 << 20).background_compaction(false));
    fill(&engine, ENTRIES);
    engine.seal().expect("a seal");
    let head = engine.visible().get();
    let mut group = c.benchmark_group("changes");
    group.sample_size(30).measurement_time(Duration::from_secs(8));
    for (name, limits) in [
        ("a sealed page of 50, every", Limits::entries(50).view(View::Every)),
        ("a sealed page of 50, latest", Limits::entries(50)),
        ("a sealed page of 50, latest, no payloads", Limits::entries(50).without_payloads()),
    ] {
        let mut rng = Rng(2);
        group.bench_function(name, |b| b.iter(|| page(&engine, &mut rng, head, limits)));
    }
    let mut rng = Rng(3);
    let mut scanned = || {
        let dataset = rng.dataset();
        let (mut cursor, mut entries) = (Cursor::START, 0);
        loop {
            let page = engine.changes(&dataset, &cursor, Limits::default()).expect("a page");
            entries += page.entries.len();
            cursor = page.next;
            if !page.more {
                return entries;
            }
        }
    };
    group
        .throughput(Throughput::Elements(common::ENTITIES))
        .bench_function("a whole dataset", |b| b.iter(&mut scanned));
    let names: Vec<String> = (0..100).map(|n| format!("dataset-{n:04}")).collect();
    let request: Vec<(&[u8], Cursor)> = names.iter().map(|name| (name.as_bytes(), Cursor::START)).collect();
    group.throughput(Throughput::Elements(1)).bench_function("100 datasets, 1,000 entries", |b| {
        b.iter(|| engine.changes_many(&request, 0, Limits::entries(1000)).expect("pages"));
    });
    group.finish();
}

fn tail(c: &mut Criterion) {
    let (_dir, engine) = store(Options::default().memory(512 << 20).background_compaction(false));
    fill(&engine, 20_000);
    let head = engine.visible().get();
    let mut group = c.benchmark_group("changes");
    group.sample_size(30).measurement_time(Duration::from_secs(8));
    for (name, view) in
        [("a page of 50 from the tail, every", View::Every), ("a page of 50 from the tail, latest", View::Latest)]
    {
        let mut rng = Rng(2);
        group.bench_function(name, |b| {
            b.iter(|| {
                let cursor = Cursor::after(SyncKey::new(head / 2 + rng.below(head / 2)));
                let dataset = format!("dataset-{:04}", rng.below(100));
                engine.changes(dataset, &cursor, Limits::entries(50).view(view)).map_or(0, |page| page.entries.len())
            });
        });
    }
    group.finish();
}

/// The next page of a read that goes through a dataset of 300,000 entities, and then begins anew.
fn large(c: &mut Criterion) {
    let (_dir, engine) = store(Options::default().memory(512 << 20).background_compaction(false));
    let mut rng = Rng(1);
    for n in 0..3_000 {
        let mut batch = Batch::new();
        (0..100).for_each(|entity| _ = batch.create("large", format!("entity-{:06}", n * 100 + entity), rng.payload()));
        engine.append_with(batch, Durability::Buffered).expect("a commit");
    }
    engine.seal().expect("a seal");
    let mut group = c.benchmark_group("changes");
    group.sample_size(30).measurement_time(Duration::from_secs(8));
    for (name, view) in [("the next 50 of a large dataset, every", View::Every), ("the same, latest", View::Latest)] {
        let mut cursor = Cursor::START;
        group.bench_function(name, |b| {
            b.iter(|| {
                let page = engine.changes("large", &cursor, Limits::entries(50).view(view)).expect("a page");
                cursor = if page.more { page.next } else { Cursor::START };
                page.entries.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pages, tail, large);
criterion_main!(benches);
