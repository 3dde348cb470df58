//! Point reads: one entity, many, a history.

mod common;

use common::{ENTITIES, Rng, fill, store};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidelog::Options;

fn get(c: &mut Criterion) {
    let (_dir, engine) = store(Options::default().memory(512 << 20).background_compaction(false));
    fill(&engine, 1_000_000);
    engine.seal().expect("a seal");
    let mut group = c.benchmark_group("get");
    let mut rng = Rng(2);
    group.throughput(Throughput::Elements(1));
    let entity = |rng: &mut Rng| format!("entity-{:04}", rng.below(ENTITIES));
    group.bench_function("one entity", |b| b.iter(|| engine.get(rng.dataset(), entity(&mut rng)).expect("a get")));
    group.bench_function("an entity that is not there", |b| {
        b.iter(|| engine.get(rng.dataset(), "nobody").expect("a get"));
    });
    group.bench_function("a history of ten", |b| {
        b.iter(|| engine.history(rng.dataset(), entity(&mut rng), 10).expect("a history"));
    });
    group.throughput(Throughput::Elements(50));
    let names: Vec<String> = (0..50).map(|n| format!("entity-{:04}", n * 4)).collect();
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    group.bench_function("fifty entities", |b| b.iter(|| engine.get_many(rng.dataset(), &names).expect("get_many")));
    group.finish();
}

criterion_group!(benches, get);
criterion_main!(benches);
