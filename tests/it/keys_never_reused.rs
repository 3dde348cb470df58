//! A key that was given out is never given out again.

use std::collections::BTreeSet;

use tidelog::{Batch, Engine, Expect, SyncKeys, restore};

use crate::support::{ManualClock, NOON, delete, put, small, store};

#[test]
fn keys_rise_over_reopening_refusal_and_compaction() {
    for keys in [SyncKeys::Counter, SyncKeys::Timestamp] {
        let options = || small().sync_keys(keys).clock(ManualClock::at(NOON));
        let (dir, mut engine) = store(options());
        let mut last = 0;
        for round in 0..10 {
            for _ in 0..3 {
                let commit = put(&engine, "d", "e", "x");
                assert!(commit.first.get() > last, "{} after {last}", commit.first);
                last = commit.last.get();
            }
            let mut refused = Batch::new();
            refused.put("d", "e", "x").expect(Expect::Absent);
            engine.append(refused).expect_err("a conflict");
            last = delete(&engine, "d", "e").last.get();
            match round % 3 {
                0 => engine.seal().expect("a seal"),
                1 => drop(engine.compact(None).expect("a compaction")),
                _ => {
                    engine.close().expect("a clean close");
                    engine = Engine::open(dir.path().join("store"), options()).expect("it opens again");
                }
            }
        }
    }
}

#[test]
fn a_deleted_dataset_leaves_its_keys_behind() {
    let (dir, engine) = store(small());
    let last = put(&engine, "d", "e", "x").last;
    engine.delete_dataset("d").expect("a deletion");
    engine.close().expect("a clean close");
    let engine = Engine::open(dir.path().join("store"), small()).expect("it opens again");
    assert!(put(&engine, "d", "e", "x").first > last);
    assert!(engine.stat("d").expect("stat").first > last, "a new incarnation begins above the old one");
}

#[test]
fn an_entry_that_was_compacted_away_leaves_its_key_behind() {
    let mut retention = tidelog::Retention::unlimited();
    retention.history.entries = Some(0);
    retention.tombstones.entries = Some(0);
    let (dir, engine) = store(small().retention(retention));
    put(&engine, "d", "e", "x");
    let last = delete(&engine, "d", "e").last;
    assert_eq!(engine.compact(None).expect("a compaction").tombstones_dropped, 1, "nothing is left of the dataset");
    engine.close().expect("a clean close");
    let engine = Engine::open(dir.path().join("store"), small().retention(retention)).expect("it opens again");
    assert!(put(&engine, "d", "e", "y").first > last, "the next key comes from what happens to survive");
}

#[test]
fn a_restored_store_counts_on_far_above_the_original() {
    let (dir, engine) = store(small());
    put(&engine, "d", "e", "x");
    engine.backup(dir.path().join("backup")).expect("a backup");
    let mut seen = BTreeSet::new();
    for n in 0..200 {
        seen.insert(put(&engine, "d", "e", &n.to_string()).first);
    }
    restore(dir.path().join("backup"), dir.path().join("copy"), &small()).expect("a restore");
    let copy = Engine::open(dir.path().join("copy"), small()).expect("the copy opens");
    for n in 0..200 {
        let key = put(&copy, "d", "e", &n.to_string()).first;
        assert!(seen.iter().all(|old| *old < key), "the copy gives {key} out again");
    }
    let jump = copy.visible().get() - engine.visible().get();
    assert!(jump > 1 << 39, "the copy begins only {jump} keys above the original");
}
