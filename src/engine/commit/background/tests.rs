use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::super::late::Insertion;
use crate::engine::open::open;
use crate::engine::request::{Woken, Work};
use crate::error::Error;
use crate::frame::BodyBuilder;
use crate::options::Options;
use crate::types::{Batch, Durability, Op};

#[test]
fn a_panic_while_it_inserts_does_not_lose_the_lead() {
    let dir = tempfile::tempdir().unwrap();
    let (core, _lock) = open(&dir.path().join("store"), Options::default()).unwrap();
    let core = Arc::new(core);
    let runs = core.clone();
    let background_thread = std::thread::spawn(move || runs.commits.run_background(&runs));
    let commits = &core.commits;
    let mut batch = Batch::new();
    batch.put("d", "e", "x");
    let request = commits.enqueue(&core, Work::Batch(batch), Durability::Synced, 1).unwrap();

    // Its record is of a dataset that it does not name.
    let mut broken = BodyBuilder::new(None, None);
    let dataset = broken.create(b"d");
    broken.change(dataset, Op::Update, b"e", b"x");
    let (mut body, _) = broken.finish().unwrap();
    body.datasets.clear();
    commits.add_late(vec![Insertion { base: 1, time_ms: 1, body }]);

    commits.queue.lock().leading = true;
    let mut background = commits.background.lock();
    (background.insert, background.lead) = (true, true);
    drop(background);
    commits.wake_background.notify_one();
    let (sender, receiver) = channel();
    let closes = core.clone();
    let closing = std::thread::spawn(move || {
        if let Woken::Outcome(outcome) = request.park() {
            closes.commits.close(&closes);
            sender.send(outcome).unwrap();
        }
    });
    let outcome = receiver.recv_timeout(Duration::from_secs(10)).expect("it is answered, and a close ends");
    assert!(matches!(outcome, Err(Error::Poisoned { .. })), "{outcome:?}");
    // RocksDB aborts a process that ends with an open store.
    [background_thread, closing].into_iter().for_each(|thread| thread.join().unwrap());
}
