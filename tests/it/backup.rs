//! A backup under load is the store as of one key; its restore is a store of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tidelog::{Batch, Cursor, Engine, Error, Limits, Retention, View, restore, verify};

use crate::support::{Replica, drain, entries_cap, put, small, store, value};

#[test]
fn under_load_it_is_one_moment() {
    let (dir, engine) = store(small());
    let stop = AtomicBool::new(false);
    let reports = std::thread::scope(|scope| {
        for writer in 0..2 {
            let (engine, stop) = (&engine, &stop);
            scope.spawn(move || {
                // Both entities of a batch always have the same payload.
                for n in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (payload, entity) = (format!("{writer}-{n}"), format!("e{writer}-{}", n % 50));
                    let mut batch = Batch::new();
                    batch.put("left", entity.clone(), payload.clone()).put("right", entity, payload);
                    engine.append(batch).expect("writers go on");
                }
            });
        }
        let mut watch = engine.watch(&[(b"left", 500.into())]).expect("a watcher");
        assert!(watch.wait(crate::support::PATIENCE), "nothing is written");
        let one = |n: u32| {
            let report = engine.backup(dir.path().join(format!("backup-{n}"))).expect("a backup");
            let passed = engine.watch(&[(b"left", report.visible)]).expect("a watcher").wait(crate::support::PATIENCE);
            assert!(passed, "the backup stopped the writers");
            report
        };
        let reports: Vec<_> = (0..3).map(one).collect();
        stop.store(true, Ordering::SeqCst);
        reports
    });
    let (all, _) = drain(&engine, "left", Cursor::START, Limits::default().view(View::Every));
    for (n, report) in reports.iter().enumerate() {
        let copy = dir.path().join(format!("copy-{n}"));
        restore(&report.dir, &copy, &small()).expect("a restore");
        let clean = verify(&copy, &small(), &mut |_, _| {}).expect("verify");
        assert!(clean.findings.is_empty(), "{:#?}", clean.findings);
        let copy = Engine::open(&copy, small()).expect("the copy opens");
        let states = ["left", "right"].map(|dataset| {
            let mut replica = Replica::of(dataset);
            replica.sync(&copy).expect("a read");
            replica.state
        });
        assert!(states[0] == states[1], "half a batch");
        let mut want: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        for entry in all.iter().filter(|entry| entry.key <= report.visible) {
            want.insert(entry.entity.clone(), entry.payload.clone().expect("a payload"));
        }
        assert!(states[0] == want, "not the state as of {}", report.visible);
    }
}

#[test]
fn everything_comes_along() {
    let (dir, engine) = store(small());
    let retention = Retention { history: entries_cap(5), ..Retention::unlimited() };
    engine.set_retention("d", retention).expect("a retention");
    let mut batch = Batch::new();
    batch.put("d", "e", "x").idempotency_id("id").origin("phone");
    let commit = engine.append(batch.clone()).expect("a commit");
    engine.consumer_fetch("indexer", "d", Limits::default()).expect("a page");
    engine.consumer_ack("indexer", "d", commit.last).expect("an acknowledgement");
    put(&engine, "gone", "e", "x");
    engine.delete_dataset("gone").expect("a deletion");
    engine.backup(dir.path().join("backup")).expect("a backup");
    restore(dir.path().join("backup"), dir.path().join("copy"), &small()).expect("a restore");
    let copy = Engine::open(dir.path().join("copy"), small()).expect("the copy opens");
    assert_eq!(copy.retention("d").expect("a retention"), retention);
    assert!(copy.append(batch).expect("a repeat").repeated, "the idempotency id was forgotten");
    assert_eq!(copy.get("d", "e").expect("a get").expect("it is there").origin.as_deref(), Some(&b"phone"[..]));
    assert_eq!(copy.consumers(None, 9).expect("consumers")[0].position, commit.last);
    assert_eq!(copy.datasets("", None, 9).expect("datasets").names, ["d"]);
    assert_ne!(copy.store_stat().expect("stat").lineage, engine.store_stat().expect("stat").lineage);
}

#[test]
fn a_backup_can_be_restored_twice_and_a_copy_be_backed_up() {
    let (dir, engine) = store(small());
    put(&engine, "d", "e", "original");
    let mut client = Replica::of("d");
    client.sync(&engine).expect("a read");
    let path = |name: &str| dir.path().join(name);
    engine.backup(path("backup")).expect("a backup");
    for copy in ["one", "two"] {
        restore(path("backup"), path(copy), &small()).expect("a restore");
    }
    let one = Engine::open(path("one"), small()).expect("the copy opens");
    let two = Engine::open(path("two"), small()).expect("the copy opens");
    put(&one, "d", "e", "one");
    put(&two, "d", "e", "two");
    one.backup(path("second")).expect("a backup of the copy");
    restore(path("second"), path("third"), &small()).expect("a restore");
    let third = Engine::open(path("third"), small()).expect("the copy of the copy opens");
    assert_eq!(value(&third, "d", "e").expect("it is there"), "one");
    client.clone().sync(&third).expect("the original's history is a part of it");
    let mut of_two = client.clone();
    of_two.sync(&two).expect("a read");
    assert_eq!(
        crate::support::stale_reason(of_two.sync(&one)),
        tidelog::StaleReason::OtherLineage,
        "siblings share nothing new"
    );
}

#[test]
fn what_exists_is_not_overwritten() {
    let (dir, engine) = store(small());
    put(&engine, "d", "e", "x");
    let taken = dir.path().join("taken");
    std::fs::create_dir(&taken).expect("a directory");
    std::fs::write(taken.join("letter.txt"), "dear all").expect("a file");
    assert!(engine.backup(&taken).is_err());
    assert!(engine.backup(dir.path().join("store")).is_err(), "into itself");
    engine.backup(dir.path().join("backup")).expect("a backup");
    assert!(restore(dir.path().join("backup"), &taken, &small()).is_err());
    assert_eq!(std::fs::read(taken.join("letter.txt")).expect("the file"), b"dear all");
    let missing = restore(dir.path().join("nothing"), dir.path().join("copy"), &small());
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    assert!(!dir.path().join("copy").exists(), "a failed restore left something behind");
}
