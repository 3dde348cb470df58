use std::time::UNIX_EPOCH;

use tidelog::{Batch, Engine, Options};

use super::{Ran, Store, put, run};
use crate::support::ManualClock;

const DAY: u64 = 86_400_000;

/// A store whose only commit was made so long ago.
fn made(days: u64) -> (Store, u64) {
    let (store, now) = (Store::new(), UNIX_EPOCH.elapsed().expect("a time"));
    let then = now.as_millis() as u64 - days * DAY;
    let options = Options::default().clock(ManualClock::at(then));
    let engine = Engine::open(store.path("data"), options).expect("it opens");
    let mut batch = Batch::new();
    batch.put("d", "a", "1");
    engine.append(batch).expect("a commit");
    engine.close().expect("a clean close");
    (store, then)
}

/// How many days after `then` the newest commit says it was made.
fn days_since(store: &Store, then: u64) -> u64 {
    let newest = store.json(&["recent", "d"])[0]["time"].as_u64().expect("a time");
    (newest - then) / DAY
}

/// Told as people are told it: with `--json` only errors are.
fn import(store: &Store, options: &[&str]) -> Ran {
    run(store.command(&[&["import", "-"], options].concat()), &put("d", "b", "1")).ok()
}

#[test]
fn within_a_week_it_is_believed() {
    let (store, then) = made(6);
    assert!(!import(&store, &[]).err.contains("--confirm-clock"));
    assert_eq!(days_since(&store, then), 6);
}

#[test]
fn beyond_that_only_if_it_is_confirmed_once() {
    let (store, then) = made(40);
    assert!(import(&store, &[]).err.contains("--confirm-clock"));
    assert_eq!(days_since(&store, then), 0);
    import(&store, &["--confirm-clock"]);
    assert_eq!(days_since(&store, then), 40);
    assert!(!import(&store, &[]).err.contains("--confirm-clock"), "it is known now");
    assert_eq!(days_since(&store, then), 40);
}
