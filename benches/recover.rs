//! Opening, over the length of the log that is not sealed.

mod common;

use std::time::{Duration, Instant};

use common::{BATCH, Rng, batch, fill, store};
use criterion::{Criterion, criterion_group, criterion_main};
use tidelog::{Engine, Options};

fn open(c: &mut Criterion) {
    // Tails that take all of it, so that nothing is sealed meanwhile.
    let options = || Options::default().memory(1 << 30).background_compaction(false);
    let mut group = c.benchmark_group("recover");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for unsealed in [0, 20_000, 60_000, 180_000] {
        let (dir, engine) = store(options());
        fill(&engine, 300_000);
        engine.seal().expect("a seal");
        engine.close().expect("a clean close");
        drop(engine);
        let path = dir.path().join("store");
        group.bench_function(format!("{unsealed} entries not sealed"), |b| {
            b.iter_custom(|rounds| {
                let mut taken = Duration::ZERO;
                for round in 0..rounds {
                    let engine = Engine::open(&path, options()).expect("it opens");
                    engine.seal().expect("a seal");
                    let mut rng = Rng(round);
                    for _ in 0..unsealed / BATCH {
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
