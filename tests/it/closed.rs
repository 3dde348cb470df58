//! After `close` every call on every clone is `Closed`, and what was acknowledged is there.

use std::time::Duration;

use tidelog::{Batch, Cursor, Durability, Engine, Error, Limits, Receipt, Retention};

use crate::support::{put, small, store, value};

#[track_caller]
fn closed<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Closed)), "expected `Closed`, got {result:?}");
}

#[test]
fn every_call_says_closed() {
    let (dir, engine) = store(small());
    put(&engine, "d", "e", "x");
    let clone = engine.clone();
    engine.close().expect("a clean close");
    for engine in [&engine, &clone] {
        let mut batch = Batch::new();
        batch.put("d", "e", "y");
        closed(engine.append(batch.clone()));
        closed(engine.submit(batch, Durability::Buffered).and_then(Receipt::wait));
        closed(engine.delete_dataset("d"));
        closed(engine.changes("d", &Cursor::START, Limits::default()));
        closed(engine.changes_many(&[(b"d", Cursor::START)], 0, Limits::default()));
        closed(engine.get("d", "e"));
        closed(engine.get_many("d", &[b"e"]));
        closed(engine.history("d", "e", 1));
        closed(engine.entities("d", None, 1));
        closed(engine.recent("d", None, Limits::default()));
        closed(engine.stat("d"));
        closed(engine.store_stat());
        closed(engine.datasets("", None, 1));
        closed(engine.watch(&[(b"d", 0.into())]).map(|_| ()));
        closed(engine.consumer_fetch("c", "d", Limits::default()));
        closed(engine.consumer_ack("c", "d", 1.into()));
        closed(engine.consumers(None, 1));
        closed(engine.set_retention("d", Retention::default()));
        closed(engine.retention("d"));
        closed(engine.compact(None));
        closed(engine.seal());
        closed(engine.backup(dir.path().join("backup")));
        engine.metrics();
        engine.visible();
        engine.confirm_clock();
    }
}

#[test]
fn closing_twice_does_no_harm() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "e", "x");
    engine.close().expect("a clean close");
    match engine.close() {
        Ok(()) | Err(Error::Closed) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn commits_under_way_are_settled_one_way_or_the_other() {
    let (dir, engine) = store(small());
    let (mut settled, mut receipts) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let (engine, receipts) = (&engine, &mut receipts);
        let writer = scope.spawn(move || {
            for n in 0.. {
                let mut batch = Batch::new();
                batch.put("d", format!("e{n}"), "x");
                match engine.submit(batch, Durability::Synced) {
                    Ok(receipt) => receipts.push(receipt),
                    Err(Error::Closed) => return,
                    Err(Error::Busy { .. }) => std::thread::yield_now(),
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        let mut watch = engine.watch(&[(b"d", 20.into())]).expect("a watcher");
        assert!(watch.wait(crate::support::PATIENCE), "nothing is written");
        engine.close().expect("a clean close");
        writer.join().expect("the writer");
    });
    for receipt in receipts {
        match receipt.wait() {
            Ok(commit) => settled.push(commit.last),
            Err(Error::Closed) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    drop(engine);
    let engine = Engine::open(dir.path().join("store"), small()).expect("it opens again");
    let keys = crate::support::every_key(&engine, "d", Cursor::START);
    settled.sort();
    assert_eq!(keys, settled.iter().map(|key| key.get()).collect::<Vec<_>>(), "acknowledged and stored differ");
    assert_eq!(value(&engine, "d", "e0").expect("it is there"), "x");
}

#[test]
fn a_waiting_watcher_is_let_go() {
    let (_dir, engine) = store(small());
    let key = put(&engine, "d", "e", "x").last;
    let mut watch = engine.watch(&[(b"d", key)]).expect("a watcher");
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || watch.wait(Duration::from_secs(300)));
        engine.close().expect("a clean close");
        waiting.join().expect("the thread");
    });
    assert!(begun.elapsed() < Duration::from_secs(100), "it waits for a store that is closed");
}
