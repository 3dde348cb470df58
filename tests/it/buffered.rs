//! `Buffered` acknowledges at once; entries become durable and visible together, within the sync interval.

use std::time::Duration;

use tidelog::{Batch, Durability, Engine, Error, SyncKey};

use crate::support::{PATIENCE, put, small, store, value};

fn buffered(engine: &Engine, entity: &str) -> tidelog::Commit {
    let mut batch = Batch::new();
    batch.put("d", entity.to_owned(), "buffered");
    engine.append_with(batch, Durability::Buffered).expect("a buffered commit")
}

#[test]
fn it_becomes_visible_by_itself() {
    let (_dir, engine) = store(small().sync_interval(Duration::from_millis(10)));
    let mut watch = engine.watch(&[(b"d", SyncKey::ZERO)]).expect("a watcher");
    let commit = buffered(&engine, "e");
    assert!(watch.wait(PATIENCE), "it never became visible");
    assert!(engine.visible() >= commit.last);
    assert_eq!(value(&engine, "d", "e").expect("it is there"), "buffered");
}

#[test]
fn until_its_sync_nobody_sees_it() {
    let (_dir, engine) = store(small().sync_interval(Duration::from_secs(3600)));
    put(&engine, "d", "first", "x");
    let head = engine.stat("d").expect("stat").head;
    let commit = buffered(&engine, "e");
    assert!(commit.first > head && engine.visible() < commit.first);
    assert_eq!(engine.get("d", "e").expect("a get"), None);
    assert_eq!(engine.stat("d").expect("stat").head, head);
    assert!(!engine.watch(&[(b"d", head)]).expect("a watcher").wait(Duration::ZERO));
    let page = engine.changes("d", &tidelog::Cursor::START, tidelog::Limits::default()).expect("a page");
    assert_eq!((page.entries.len(), page.head), (1, head));
    let synced = put(&engine, "d", "last", "x");
    assert!(synced.first > commit.last);
    assert_eq!(value(&engine, "d", "e").expect("a later sync covers it"), "buffered");
}

#[test]
fn a_new_dataset_is_not_there_before_its_sync() {
    let (_dir, engine) = store(small().sync_interval(Duration::from_secs(3600)));
    buffered(&engine, "e");
    assert!(matches!(engine.get("d", "e"), Err(Error::DatasetNotFound { .. })));
    assert!(engine.datasets("", None, 10).expect("datasets").names.is_empty());
    engine.seal().expect("a seal of all that was committed");
    assert_eq!(value(&engine, "d", "e").expect("sealed is visible"), "buffered");
}

#[test]
fn closing_syncs_what_is_buffered() {
    let options = || small().sync_interval(Duration::from_secs(3600));
    let (dir, engine) = store(options());
    for n in 0..100 {
        buffered(&engine, &format!("e{n}"));
    }
    engine.close().expect("a clean close");
    let engine = Engine::open(dir.path().join("store"), options()).expect("it opens again");
    assert_eq!(engine.stat("d").expect("stat").entries, 100);
}
