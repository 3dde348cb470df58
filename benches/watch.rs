//! Waking: from a commit to the watcher it wakes, alone and among a hundred thousand others.

mod common;

use std::time::{Duration, Instant};

use common::store;
use criterion::{Criterion, criterion_group, criterion_main};
use tidelog::{Batch, Engine, Options, SyncKey, Watch};

fn put(engine: &Engine, dataset: &str) -> SyncKey {
    let mut batch = Batch::new();
    batch.put(dataset.to_owned(), "entity", "x");
    engine.append(batch).expect("a commit").last
}

fn wake(c: &mut Criterion) {
    let mut group = c.benchmark_group("watch");
    group.sample_size(30).measurement_time(Duration::from_secs(8));
    for others in [0, 100_000] {
        let (_dir, engine) = store(Options::default().background_compaction(false));
        let register = |dataset: &str, key| engine.watch(&[(dataset.as_bytes(), key)]).expect("a watcher");
        let crowd: Vec<Watch> =
            (0..others).map(|n| register(&format!("other-{}", n % 1000), SyncKey::new(1 << 60))).collect();
        let mut key = put(&engine, "mine");
        group.bench_function(format!("commit and wake, {others} others"), |b| {
            b.iter_custom(|rounds| {
                let begun = Instant::now();
                for _ in 0..rounds {
                    let mut watch = register("mine", key);
                    std::thread::scope(|scope| {
                        let waiting = scope.spawn(move || watch.wait(Duration::from_secs(60)));
                        key = put(&engine, "mine");
                        assert!(waiting.join().expect("the thread"));
                    });
                }
                begun.elapsed()
            });
        });
        group.bench_function(format!("register and drop, {others} others"), |b| b.iter(|| register("mine", key)));
        drop(crowd);
    }
    group.finish();
}

criterion_group!(benches, wake);
criterion_main!(benches);
