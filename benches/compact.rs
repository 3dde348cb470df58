//! Sealing and compaction, by the entry.

mod common;

use std::time::{Duration, Instant};

use common::{fill, store};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidelog::{Cap, Options, Retention};

const ENTRIES: u64 = 60_000;

fn compact(c: &mut Criterion) {
    let history = Cap { entries: Some(10), bytes: None, age_ms: None };
    let capped = Retention { history, ..Retention::unlimited() };
    let options = || Options::default().background_compaction(false).grace(Duration::ZERO, 1 << 30).retention(capped);
    let mut group = c.benchmark_group("upkeep");
    group.sample_size(10).measurement_time(Duration::from_secs(10)).throughput(Throughput::Elements(ENTRIES));
    group.bench_function("seal", |b| {
        b.iter_custom(|rounds| {
            let (_dir, engine) = store(options());
            (0..rounds)
                .map(|_| {
                    fill(&engine, ENTRIES);
                    let begun = Instant::now();
                    engine.seal().expect("a seal");
                    begun.elapsed()
                })
                .sum()
        });
    });
    group.bench_function("compact", |b| {
        b.iter_custom(|rounds| {
            let (_dir, engine) = store(options());
            (0..rounds)
                .map(|_| {
                    fill(&engine, ENTRIES);
                    engine.seal().expect("a seal");
                    let begun = Instant::now();
                    let report = engine.compact(None).expect("a compaction");
                    assert!(report.superseded_dropped > 0);
                    begun.elapsed()
                })
                .sum()
        });
    });
    group.finish();
}

criterion_group!(benches, compact);
criterion_main!(benches);
