//! Appending: batches of 100 entries of 256 bytes, synced and buffered; single entries from many threads.

mod common;

use std::time::{Duration, Instant};

use common::{BATCH, Rng, batch, store};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidelog::{Batch, Durability, Options, Receipt};

fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(BATCH)).sample_size(20).measurement_time(Duration::from_secs(10));
    for (name, durability) in [("synced", Durability::Synced), ("buffered", Durability::Buffered)] {
        let (_dir, engine) = store(Options::default().background_compaction(false));
        let mut rng = Rng(1);
        group.bench_function(name, |b| {
            b.iter_batched(
                || batch(&mut rng),
                |batch| engine.append_with(batch, durability).expect("a commit"),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    let (_dir, engine) = store(Options::default().background_compaction(false));
    let mut rng = Rng(1);
    group.bench_function("synced, 16 in flight", |b| {
        b.iter_custom(|rounds| {
            let batches: Vec<Batch> = (0..rounds).map(|_| batch(&mut rng)).collect();
            let begun = Instant::now();
            let mut flying = std::collections::VecDeque::<Receipt>::new();
            for batch in batches {
                flying.push_back(engine.submit(batch, Durability::Synced).expect("a receipt"));
                if flying.len() == 16 {
                    flying.pop_front().expect("a receipt").wait().expect("a commit");
                }
            }
            for receipt in flying {
                receipt.wait().expect("a commit");
            }
            begun.elapsed()
        });
    });
    group.finish();
}

fn threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("append one entry");
    group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(10));
    for threads in [1u64, 8, 64] {
        let (_dir, engine) = store(Options::default().background_compaction(false));
        group.bench_function(format!("{threads} threads"), |b| {
            b.iter_custom(|rounds| {
                let begun = Instant::now();
                std::thread::scope(|scope| {
                    for thread in 0..threads {
                        let (engine, mut rng) = (&engine, Rng(thread));
                        let share = rounds / threads + u64::from(thread < rounds % threads);
                        scope.spawn(move || {
                            for _ in 0..share {
                                let mut batch = Batch::new();
                                batch.put(rng.dataset(), format!("entity-{:04}", rng.below(200)), rng.payload());
                                engine.append(batch).expect("a commit");
                            }
                        });
                    }
                });
                begun.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, batches, threads);
criterion_main!(benches);
