//! Deleting a dataset and creating it again begins a new incarnation, of which the old one is no part.

use tidelog::{Batch, Cursor, Engine, Error, Expect, Limits, Retention, View};

use crate::support::{drain, entries_cap, noise, put, small, store};

#[test]
fn nothing_of_the_old_one_is_left() {
    let (dir, mut engine) = store(small());
    for sealed in [false, true] {
        for n in 0..50 {
            put(&engine, "d", &format!("old{n}"), "x");
        }
        engine
            .set_retention("d", Retention { history: entries_cap(7), ..Retention::unlimited() })
            .expect("a retention");
        if sealed {
            engine.seal().expect("a seal");
        }
        let old = engine.stat("d").expect("stat");
        engine.delete_dataset("d").expect("a deletion");
        assert!(matches!(engine.get("d", "old1"), Err(Error::DatasetNotFound { .. })));
        assert!(engine.datasets("", None, 10).expect("datasets").names.is_empty());
        assert!(matches!(engine.delete_dataset("d"), Err(Error::DatasetNotFound { .. })), "it is gone already");
        if sealed {
            engine.close().expect("a clean close");
            drop(engine);
            engine = Engine::open(dir.path().join("store"), small()).expect("it opens again");
            assert!(matches!(engine.stat("d"), Err(Error::DatasetNotFound { .. })), "it came back");
        }
        let mut batch = Batch::new();
        batch.put("d", "new", "y").put("d", "old1", "y").expect(Expect::Absent);
        let commit = engine.append(batch).expect("a new incarnation knows nobody");
        let new = engine.stat("d").expect("stat");
        assert!(new.first > old.head && new.first <= commit.first);
        assert_eq!((new.entries, new.floor.get(), new.history_floor.get()), (2, 0, 0));
        assert_eq!(new.retention, Retention::unlimited(), "the old retention does not come back");
        for view in [View::Latest, View::Every] {
            let (entries, _) = drain(&engine, "d", Cursor::START, Limits::default().view(view));
            assert_eq!(entries.len(), 2);
            assert!(entries.iter().all(|entry| entry.new && entry.op == tidelog::Op::Create));
        }
        assert_eq!(engine.history("d", "old1", 9).expect("history").len(), 1);
        assert_eq!(engine.get("d", "old2").expect("a get"), None);
        assert_eq!(engine.entities("d", None, 100).expect("entities").len(), 2);
        engine.delete_dataset("d").expect("a deletion");
    }
}

#[test]
fn a_deletion_leaves_other_datasets_alone() {
    let (_dir, engine) = store(small());
    for dataset in ["a", "aa", "ab", "b"] {
        put(&engine, dataset, "e", dataset);
    }
    engine.seal().expect("a seal");
    engine.delete_dataset("aa").expect("a deletion");
    engine.compact(None).expect("a compaction");
    for dataset in ["a", "ab", "b"] {
        assert_eq!(crate::support::value(&engine, dataset, "e").expect("it is there"), dataset);
    }
    assert_eq!(engine.datasets("a", None, 10).expect("datasets").names, ["a", "ab"]);
}

#[test]
fn its_space_comes_back() {
    let (_dir, engine) = store(small());
    for n in 0..2_000u32 {
        put(&engine, "large", &format!("e{n}"), &noise(n.into(), 500));
    }
    put(&engine, "small", "e", "x");
    engine.seal().expect("a seal");
    let before = engine.store_stat().expect("store_stat").store_bytes;
    assert!(before > 500_000, "{before} bytes hold a megabyte");
    engine.delete_dataset("large").expect("a deletion");
    engine.compact(None).expect("a compaction");
    let after = engine.store_stat().expect("store_stat").store_bytes;
    assert!(after < before / 4, "{after} of {before} bytes are left");
}
