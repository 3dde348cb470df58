use tidelog::testing::sim::{Fault, ManualClock, SimDisk, Trouble, When};
use tidelog::{Batch, Engine, Error, Expect, SyncKey};

use super::lab::*;

pub fn what_is_acknowledged_survives() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    for n in 0..3 {
        let name = format!("e{n}");
        put(&engine, &name, "x");
        after_power_cuts(&disk, 8, |store, seed| {
            let store = store.expect("it opens");
            assert_eq!(value(&store, &name).as_deref(), Some("x"), "lost by cut {seed}");
        });
    }
}

pub fn nothing_is_visible_before_its_sync() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put(&engine, "e", "old");
    let commit = put_buffered(&engine, "e", "new");
    assert!(engine.visible() < commit.first);
    assert_eq!(value(&engine, "e").as_deref(), Some("old"));
    put(&engine, "f", "x");
    assert_eq!(value(&engine, "e").as_deref(), Some("new"), "a later sync covers it");
}

pub fn what_is_acknowledged_can_be_read() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    for n in 0..3 {
        let (value, mut large) = (n.to_string(), Batch::new());
        (0..100).for_each(|e| _ = large.update("d", format!("e{e}"), value.clone()));
        engine.append(large).expect("a commit");
        assert_eq!(self::value(&engine, "e99"), Some(value), "the last one of the batch");
    }
}

pub fn a_conflict_names_what_survives() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put_buffered(&engine, "e", "x");
    let mut rival = batch("e", "y");
    rival.expect(Expect::Absent);
    assert!(matches!(engine.append(rival), Err(Error::Conflict { .. })));
    after_power_cuts(&disk, 8, |store, seed| {
        let store = store.expect("it opens");
        assert_eq!(value(&store, "e").as_deref(), Some("x"), "a conflict with nothing, after cut {seed}");
    });
}

/// Whatever a put returned after a sync failed: what it acknowledged is there after a power cut.
fn puts_around_a_failed_sync(puts: usize) {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put(&engine, "before", "x");
    disk.plan(Fault { when: When::Sync(disk.syncs()), trouble: Trouble::Io, sticky: false });
    let names: Vec<String> = (0..puts).map(|n| format!("e{n}")).collect();
    let outcomes: Vec<bool> = names.iter().map(|name| try_put(&engine, name, "x").is_ok()).collect();
    assert_eq!(disk.fired(), 1, "the sync failed");
    after_power_cuts(&disk, 32, |store, seed| {
        let store = store.expect("it opens");
        for (name, _) in names.iter().zip(&outcomes).filter(|(_, acknowledged)| **acknowledged) {
            assert_eq!(value(&store, name).as_deref(), Some("x"), "{name} is lost by cut {seed}");
        }
    });
}

pub fn a_failed_sync_acknowledges_nothing() {
    puts_around_a_failed_sync(1);
}

pub fn a_failed_sync_is_the_last() {
    puts_around_a_failed_sync(3);
}

pub fn keys_of_a_failed_commit_are_burnt() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    let before = put(&engine, "e", "x").last.get();
    disk.plan(Fault { when: When::Change(disk.changes()), trouble: Trouble::Full, sticky: false });
    assert!(matches!(try_put(&engine, "e", "y"), Err(Error::NoSpace { .. })));
    assert_eq!(put(&engine, "e", "z").first.get(), before + 2, "a key was given twice");
}

pub fn a_dataset_that_was_deleted_begins_anew() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put(&engine, "e", "x");
    engine.seal().expect("a seal");
    // Its id is looked up by its name now, and kept.
    put(&engine, "e", "y");
    engine.delete_dataset("d").expect("a deletion");
    put(&engine, "f", "z");
    assert_eq!(value(&engine, "f").as_deref(), Some("z"));
    assert_eq!(value(&engine, "e"), None);
}

pub fn commit_times_never_go_back() {
    let disk = SimDisk::new();
    let clock = ManualClock::at(1_750_000_000_000);
    let engine = Engine::open(STORE, options(&disk).clock(clock.clone())).expect("it opens");
    let before = put(&engine, "e", "x").time_ms;
    clock.set_wall(1_740_000_000_000);
    assert!(put(&engine, "e", "y").time_ms >= before);
}

pub fn a_second_opener_is_refused() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    assert!(matches!(try_open(&disk), Err(Error::Locked { .. })));
    put(&engine, "e", "x");
}

pub fn a_watcher_misses_nothing() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    let after = put(&engine, "e", "x").last;
    let other = engine.clone();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(10));
        put(&other, "e", "y");
    });
    let mut watch = engine.watch(&[(b"d", after)]).expect("a watcher");
    writer.join().expect("a put");
    assert!(watch.wait(std::time::Duration::from_secs(3)), "it was not woken");
}

pub fn an_acknowledgement_is_not_taken_back() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    let keys: Vec<SyncKey> = (0..4).map(|n| put(&engine, &format!("e{n}"), "x").last).collect();
    engine.consumer_fetch("c", "d", tidelog::Limits::default()).expect("a page");
    engine.consumer_ack("c", "d", keys[3]).expect("an acknowledgement");
    engine.consumer_ack("c", "d", keys[1]).expect("an older one, late");
    let consumers = engine.consumers(None, 10).expect("the consumers");
    assert_eq!(consumers[0].position, keys[3]);
}
