use std::time::{Duration, Instant};

use tidelog::{Batch, Durability, Options};

use crate::support::{PATIENCE, store};

/// The seal of a first large tail waits for a moment, and for nothing else: it comes when nothing more is written, and when
/// somebody asks for it at once.
#[test]
fn a_large_tail_that_nothing_follows_is_sealed_by_itself() {
    let (_dir, engine) = store(Options::default().memory(128 << 20));
    let payload = vec![7; 1 << 20];
    let fill = || {
        for n in 0..9_u64 {
            let mut batch = Batch::new();
            batch.put("d", format!("e{n}"), payload.clone());
            engine.append_with(batch, Durability::Buffered).expect("there is room");
        }
    };
    fill();
    let began = Instant::now();
    while engine.metrics().seals == 0 {
        assert!(began.elapsed() < PATIENCE, "it is never sealed");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(engine.metrics().tails_pending, 0);
    std::thread::sleep(Duration::from_millis(1_100));
    fill();
    engine.seal().expect("it is sealed");
    assert_eq!(engine.metrics().tail_bytes, 0, "all of it is");
}
