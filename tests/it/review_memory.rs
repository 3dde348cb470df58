//! Memory is bounded by the option, whatever is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidelog::{Batch, Error, Options};

use crate::support::{HOLD, Hooks, put, small, store};

#[test]
fn asking_for_seals_does_not_pile_up_tails() {
    let hooks = Hooks::default();
    let (dir, engine) = store(small().vfs(Arc::new(hooks.clone())));
    let backup = dir.path().join(HOLD);
    std::thread::scope(|scope| {
        scope.spawn(|| engine.backup(&backup).expect("a backup"));
        hooks.await_held();
        let mut most = 0;
        for n in 0..8 {
            put(&engine, "d", &format!("e{n}"), "x");
            scope.spawn(|| engine.seal().expect("a seal"));
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(30) {
                most = most.max(engine.metrics().tails_pending);
                std::thread::yield_now();
            }
        }
        hooks.release();
        assert!(most <= 2, "{most} tails wait to be sealed");
    });
    assert_eq!(engine.metrics().tails_pending, 0);
}

#[test]
fn a_commit_of_many_small_changes_stays_within_the_budget() {
    let budget = 16 << 20;
    let (_dir, engine) = store(Options::default().memory(budget).background_compaction(false));
    for distinct in [true, false] {
        let mut refused = 0;
        for size in [40_000, 20_000, 10_000, 5_000, 2_500, 1_000] {
            let mut batch = Batch::new();
            for n in 0..size {
                let dataset = if distinct { format!("d{n}") } else { "d".into() };
                batch.put(dataset, format!("e{n}"), "");
            }
            match engine.append(batch) {
                Ok(_) => {}
                Err(Error::Invalid { .. }) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
            let held = engine.metrics().tail_bytes;
            assert!(held <= budget as u64 / 2, "{held} bytes of tails after {size} changes");
        }
        assert!(refused < 6, "everything was refused");
    }
}
