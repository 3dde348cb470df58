//! Opening: a store whose last tails were not sealed, and one that was.

mod common;

use std::time::{Duration, Instant};

use common::{BATCH, Rng, batch, fill, store};
use criterion::{Criterion, criterion_group, criterion_main};
use tidelog::{Engine, Options};

fn open(c: &mut Criterion) {
    let options = || Options::default().background_compaction(false);
    let mut group = c.benchmark_group("recover");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for (name, unsealed) in [("all sealed", 0), ("60,000 entries in the log", 60_000 / BATCH)] {
        let (dir, engine) = store(options());
        fill(&engine, 300_000);
        engine.seal().expect("a seal");
        engine.close().expect("a clean close");
        drop(engine);
        let path = dir.path().join("store");
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                let mut taken = Duration::ZERO;
                for round in 0..rounds {
                    let engine = Engine::open(&path, options()).expect("it opens");
                    engine.seal().expect("a seal");
                    let mut rng = Rng(round);
                    for _ in 0..unsealed {
                        engine.append_with(batch(&mut rng), tidelog::Durability::Buffered).expect("a commit");
                    }
                    engine.close().expect("a clean close");
                    drop(engine);
                    let begun = Instant::now();
                    let engine = Engine::open(&path, options()).expect("it opens");
                    taken += begun.elapsed();
                    engine.close().expect("a clean close");
                }
                taken
            });
        });
    }
    group.finish();
}

criterion_group!(benches, open);
criterion_main!(benches);
