//! A batch is wholly there or not at all, also over several datasets.

use tidelog::{Batch, Cursor, Error, Expect, Limits, View};

use crate::support::{drain, put, small, store, value};

#[test]
fn a_batch_over_several_datasets_is_one_commit() {
    let (_dir, engine) = store(small());
    let mut batch = Batch::new();
    batch.create("a", "1", "one").create("b", "1", "uno").create("a", "2", "two");
    let commit = engine.append(batch).expect("a batch");
    assert_eq!(commit.last.get() - commit.first.get(), 2);
    let (a, _) = drain(&engine, "a", Cursor::START, Limits::default().view(View::Every));
    let (b, _) = drain(&engine, "b", Cursor::START, Limits::default().view(View::Every));
    let keys = |entries: &[tidelog::Entry]| entries.iter().map(|entry| entry.key.get()).collect::<Vec<_>>();
    let first = commit.first.get();
    assert_eq!((keys(&a), keys(&b)), (vec![first, first + 2], vec![first + 1]), "keys in the order of the batch");
    assert!(a.iter().chain(&b).all(|entry| entry.time_ms == commit.time_ms), "one time");
    let lasts = |entries: &[tidelog::Entry]| entries.iter().map(|entry| entry.last).collect::<Vec<_>>();
    assert_eq!((lasts(&a), lasts(&b)), (vec![false, true], vec![true]), "each dataset's last entry is marked");
}

#[test]
fn one_missed_expectation_leaves_nothing_of_the_batch() {
    let (_dir, engine) = store(small());
    put(&engine, "a", "1", "old");
    let mut batch = Batch::new();
    batch.put("a", "1", "new").put("b", "1", "new").delete("a", "2").expect(Expect::Present);
    match engine.append(batch) {
        Err(Error::Conflict { dataset, entity, current }) => {
            assert_eq!((dataset.as_slice(), entity.as_slice(), current), (&b"a"[..], &b"2"[..], None));
        }
        other => panic!("expected a conflict, got {other:?}"),
    }
    assert_eq!(value(&engine, "a", "1").expect("it is there"), "old");
    assert!(matches!(engine.stat("b"), Err(Error::DatasetNotFound { .. })), "a refused batch created a dataset");
    engine.seal().expect("a seal");
    assert_eq!(value(&engine, "a", "1").expect("it is there"), "old");
}

#[test]
fn an_entity_may_be_changed_several_times_in_a_batch() {
    let (_dir, engine) = store(small());
    let mut batch = Batch::new();
    batch.create("a", "1", "x").update("a", "1", "y").delete("a", "1").put("a", "1", "z");
    batch.put("a", "1", "last");
    engine.append(batch).expect("a batch");
    assert_eq!(value(&engine, "a", "1").expect("it is there"), "last");
    let ops: Vec<&str> = engine.history("a", "1", 10).expect("history").iter().map(|entry| entry.op.name()).collect();
    assert_eq!(ops, ["create", "update", "delete", "create", "update"], "put sees the changes before it");
    let (latest, _) = drain(&engine, "a", Cursor::START, Limits::default());
    assert_eq!(latest.len(), 1, "only the last version is due");
}
