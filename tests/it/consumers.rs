//! Durable consumers: the store remembers what was acknowledged, and delivers the rest at least once.

use tidelog::{Engine, Error, Limits, StaleReason, View};

use crate::support::{Replica, delete, entries_cap, put, small, store};

fn fetch(engine: &Engine, limits: Limits) -> tidelog::Page {
    engine.consumer_fetch("indexer", "d", limits).expect("a page")
}

fn ack(engine: &Engine, key: u64) -> Result<u64, Error> {
    engine.consumer_ack("indexer", "d", key.into()).map(|key| key.get())
}

#[test]
fn what_is_not_acknowledged_comes_again() {
    let (_dir, engine) = store(small());
    let keys: Vec<u64> = (0..10).map(|n| put(&engine, "d", &format!("e{n}"), "x").last.get()).collect();
    let got = |page: tidelog::Page| page.entries.iter().map(|entry| entry.key.get()).collect::<Vec<_>>();
    for _ in 0..2 {
        assert_eq!(got(fetch(&engine, Limits::entries(4))), keys[..4], "a new consumer begins at 0");
    }
    ack(&engine, keys[1]).expect("an acknowledgement within a page");
    for _ in 0..2 {
        assert_eq!(got(fetch(&engine, Limits::entries(4))), keys[2..6]);
    }
    let page = fetch(&engine, Limits::default());
    ack(&engine, page.position.get()).expect("an acknowledgement");
    assert!(got(fetch(&engine, Limits::default())).is_empty());
}

#[test]
fn an_acknowledgement_never_moves_back() {
    let (_dir, engine) = store(small());
    let keys: Vec<u64> = (0..5).map(|n| put(&engine, "d", &format!("e{n}"), "x").last.get()).collect();
    fetch(&engine, Limits::default());
    assert_eq!(ack(&engine, keys[3]).expect("an acknowledgement"), keys[3]);
    assert_eq!(ack(&engine, keys[1]).expect("an old one"), keys[3], "the greater of the two");
    assert_eq!(fetch(&engine, Limits::default()).entries.len(), 1);
}

#[test]
fn an_acknowledgement_above_what_is_visible_is_refused() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "e", "x");
    fetch(&engine, Limits::default());
    let result = ack(&engine, engine.visible().get() + (1 << 40));
    match result {
        Err(Error::Invalid { .. }) => {}
        Err(Error::Stale(stale)) => assert_eq!(stale.reason, StaleReason::Future),
        other => panic!("expected a refusal, got {other:?}"),
    }
    assert_eq!(fetch(&engine, Limits::default()).entries.len(), 1, "nothing was acknowledged");
}

#[test]
fn positions_survive_sealing_compaction_and_reopening() {
    let (dir, engine) = store(small());
    let keys: Vec<u64> = (0..5).map(|n| put(&engine, "d", &format!("e{n}"), "x").last.get()).collect();
    fetch(&engine, Limits::default());
    ack(&engine, keys[2]).expect("an acknowledgement");
    engine.compact(None).expect("a compaction");
    engine.close().expect("a clean close");
    let engine = Engine::open(dir.path().join("store"), small()).expect("it opens again");
    assert_eq!(fetch(&engine, Limits::default()).entries.len(), 2);
    let list = engine.consumers(None, 10).expect("consumers");
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].name.as_str(), list[0].dataset.as_slice()), ("indexer", &b"d"[..]));
    assert_eq!((list[0].position.get(), list[0].evicted), (keys[2], false));
}

#[test]
fn consumers_are_listed_in_order_and_by_pages() {
    let (_dir, engine) = store(small());
    for dataset in ["d", "e"] {
        let key = put(&engine, dataset, "x", "x").last;
        for name in ["b", "a", "c"] {
            engine.consumer_fetch(name, dataset, Limits::default()).expect("a page");
            engine.consumer_ack(name, dataset, key).expect("an acknowledgement");
        }
    }
    let mut names: Vec<(String, Vec<u8>)> = Vec::new();
    loop {
        let from = names.last().map(|(name, dataset)| (name.as_str(), dataset.as_slice()));
        let list = engine.consumers(from, 2).expect("consumers");
        if list.is_empty() {
            break;
        }
        names.extend(list.into_iter().map(|consumer| (consumer.name, consumer.dataset)));
    }
    let want = ["a", "b", "c"].into_iter().flat_map(|name| [(name, b"d"), (name, b"e")]);
    let want: Vec<(String, Vec<u8>)> = want.map(|(name, dataset)| (name.to_owned(), dataset.to_vec())).collect();
    assert_eq!(names, want);
}

#[test]
fn a_removed_consumer_begins_anew() {
    let (_dir, engine) = store(small());
    let key = put(&engine, "d", "e", "x").last;
    fetch(&engine, Limits::default());
    ack(&engine, key.get()).expect("an acknowledgement");
    engine.consumer_remove("indexer", "d").expect("a removal");
    assert_eq!(engine.consumers(None, 10).expect("consumers"), []);
    assert_eq!(fetch(&engine, Limits::default()).entries.len(), 1);
}

#[test]
fn a_consumer_of_a_recreated_dataset_does_not_go_on_as_if_nothing_were() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "old", "x");
    let position = fetch(&engine, Limits::default()).position.get();
    ack(&engine, position).expect("an acknowledgement");
    engine.delete_dataset("d").expect("a deletion");
    assert!(matches!(engine.consumer_fetch("indexer", "d", Limits::default()), Err(Error::DatasetNotFound { .. })));
    put(&engine, "d", "new", "x");
    match engine.consumer_fetch("indexer", "d", Limits::default()) {
        Err(Error::Stale(stale)) => {
            assert_eq!(stale.reason, StaleReason::Recreated);
            engine.consumer_remove("indexer", "d").expect("a removal");
            assert_eq!(fetch(&engine, Limits::default()).entries.len(), 1);
        }
        Ok(page) => {
            let list = engine.consumers(None, 10).expect("consumers");
            assert!(list.iter().all(|consumer| consumer.position.get() == 0), "it keeps a position of before");
            assert_eq!(page.entries.len(), 1);
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_consumer_that_failed_before_its_acknowledgement_still_ends_right() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "kept", "x");
    let mut state = Replica::of("d");
    let position = fetch(&engine, Limits::default()).position.get();
    state.sync(&engine).expect("a read");
    ack(&engine, position).expect("an acknowledgement");
    put(&engine, "d", "short-lived", "x");
    state.apply(&fetch(&engine, Limits::default()).entries);
    assert_eq!(state.state.len(), 2, "applied, but not acknowledged: the process died in between");
    delete(&engine, "d", "short-lived");
    let page = fetch(&engine, Limits::default());
    state.apply(&page.entries);
    assert_eq!(state.text(), [("kept".into(), "x".into())], "at least once means that it may have seen the entity");
}

#[test]
fn a_new_consumer_gets_through_a_trimmed_dataset_in_small_steps() {
    let mut retention = tidelog::Retention::unlimited();
    retention.history = entries_cap(0);
    retention.tombstones = entries_cap(0);
    let (_dir, engine) = store(small().retention(retention));
    for n in 0..10 {
        put(&engine, "d", &format!("e{n}"), "x");
    }
    put(&engine, "d", "gone", "x");
    delete(&engine, "d", "gone");
    engine.compact(None).expect("a compaction");
    assert!(engine.stat("d").expect("stat").floor.get() > 0);
    let mut state = Replica::of("d");
    for steps in 0.. {
        assert!(steps < 20, "it does not get to the end");
        let page = engine.consumer_fetch("indexer", "d", Limits::entries(3)).expect("a page, wherever the floor is");
        state.apply(&page.entries);
        ack(&engine, page.position.get()).expect("an acknowledgement");
        if !page.more {
            break;
        }
    }
    assert_eq!(state.state.len(), 10);
}

#[test]
fn a_consumer_may_take_every_entry() {
    let (_dir, engine) = store(small());
    for n in 0..5 {
        put(&engine, "d", "e", &n.to_string());
    }
    assert_eq!(fetch(&engine, Limits::default().view(View::Every)).entries.len(), 5);
}
