use std::time::{Duration, Instant};

use tidelog::testing::sim::{CrashAt, SimDisk};
use tidelog::{Cursor, Engine, Error, Keep, Retention, SyncKey, View};

use super::lab::*;

pub fn segments_survive_with_their_names() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    let large = "x".repeat(30 << 10);
    let names: Vec<String> = (0..6).map(|n| format!("e{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        put(&engine, name, &large);
        after_power_cuts(&disk, 6, |store, seed| {
            let store = store.unwrap_or_else(|error| panic!("after cut {seed}: {error}"));
            for name in &names[..=n] {
                assert!(value(&store, name).is_some_and(|found| found == large), "{name} is lost by cut {seed}");
            }
        });
    }
}

/// Puts, a seal, and puts: crashed at each change of them in turn.
pub fn a_crash_amid_a_seal_loses_nothing() {
    for change in 0.. {
        for within in [false, true] {
            let disk = SimDisk::new();
            let engine = open(&disk);
            let mut acknowledged = vec![put(&engine, "first", "x").last];
            disk.crash_at(CrashAt { change: disk.changes() + change, within });
            let sealed = engine.seal().is_ok();
            let large = "x".repeat(40 << 10);
            acknowledged.extend((0..3).filter_map(|_| try_put(&engine, "e", &large).ok()).map(|commit| commit.last));
            let resealed = engine.seal().is_ok();
            for seed in 0..3 {
                let store = try_open(&disk.crash(seed));
                let store = store.unwrap_or_else(|error| panic!("crashed at {change}, {within}, cut {seed}: {error}"));
                assert_eq!(value(&store, "first").as_deref(), Some("x"), "crashed at {change}, {within}, cut {seed}");
                assert!(store.visible() >= acknowledged[acknowledged.len() - 1]);
            }
            if sealed && resealed && !disk.is_crashed() {
                assert!(change > 20, "there was nothing to crash in");
                return;
            }
        }
    }
}

/// A seal that has begun says that its frames are durable: what is not there any more was lost, not torn.
pub fn rot_under_a_seal_is_refused() {
    let begin = || {
        let disk = SimDisk::new();
        let engine = open(&disk);
        put(&engine, "e", "only-once");
        (disk, engine)
    };
    // When the seal comes to the index store, which holds nothing of it yet.
    let (disk, engine) = begin();
    let from = disk.changes();
    engine.seal().expect("a seal");
    let story = disk.story();
    let index = story.iter().find(|done| done.change >= from && done.path.contains("/db"));
    let change = index.expect("it wrote to the index store").change;

    let (disk, engine) = begin();
    disk.crash_at(CrashAt { change, within: false });
    engine.seal().expect_err("a crash");
    assert!(disk.is_crashed());
    let rotten = damaged(&disk.durable(), |bytes| flip(bytes, "only-once"));
    assert!(matches!(try_open(&rotten), Err(Error::Damaged { .. })), "silently empty");
}

pub fn rot_amid_the_log_is_refused() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    for name in ["one", "two", "three"] {
        put(&engine, name, &format!("payload-{name}"));
    }
    let rotten = damaged(&disk.durable(), |bytes| flip(bytes, "payload-one"));
    assert!(matches!(try_open(&rotten), Err(Error::Damaged { .. })));
}

pub fn a_garbled_body_is_never_served() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put_buffered(&engine, "e", "payload");
    let garbled = damaged(&disk.image(), |bytes| flip(bytes, "payload"));
    let store = open(&garbled);
    assert_eq!(value(&store, "e"), None);
}

pub fn a_torn_tail_is_kept_aside() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put_buffered(&engine, "e", "payload");
    let torn = damaged(&disk.image(), |bytes| flip(bytes, "payload"));
    drop(open(&torn));
    let image = torn.image();
    let kept: Vec<_> = image.iter().filter(|(path, _)| path.to_string_lossy().contains("/torn-")).collect();
    assert_eq!(kept.len(), 1, "{:?}", image.keys());
    assert!(kept[0].1.windows(6).any(|bytes| bytes == b"ayload"), "what was torn");
}

pub fn what_recovery_serves_is_durable() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put(&engine, "before", "x");
    put_buffered(&engine, "e", "x");
    let disk = disk.kill();
    let engine = open(&disk);
    assert_eq!(value(&engine, "e").as_deref(), Some("x"), "it was written when the process was killed");
    after_power_cuts(&disk, 16, |store, seed| {
        let store = store.unwrap_or_else(|error| panic!("after cut {seed}: {error}"));
        assert_eq!(value(&store, "e").as_deref(), Some("x"), "seen, and lost by cut {seed}");
    });
}

pub fn a_key_that_was_lost_is_not_minted_again() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put(&engine, "before", "x");
    let told = put_buffered(&engine, "e", "x").last;
    after_power_cuts(&disk, 16, |store, seed| {
        let next = put(&store.expect("it opens"), "e", "y").first;
        assert!(next > told, "{next} was given out before {told}, after cut {seed}");
    });
}

pub fn a_lying_disk_brings_no_key_twice() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    disk.lie(true);
    let seen = put(&engine, "e", "x").last;
    assert!(disk.fired() > 0);
    after_power_cuts(&disk, 32, |store, seed| {
        let store = store.unwrap_or_else(|error| panic!("after cut {seed}: {error}"));
        if value(&store, "e").is_none() {
            let next = put(&store, "e", "y").first;
            assert!(next > seen, "{next} was seen before {seen}, after cut {seed}");
        }
    });
}

/// What a window dropped in the background does not live again, after a crash, for those who have read what lives since.
pub fn what_a_window_lost_lives_no_more() {
    let disk = SimDisk::new();
    let engine = Engine::open(STORE, options(&disk).background_compaction(true)).expect("it opens");
    let mut capped = Retention { keep: Keep::Window, ..Retention::unlimited() };
    capped.history.entries = Some(5);
    engine.set_retention("d", capped).expect("a retention");
    (0..40).for_each(|n| _ = put(&engine, &format!("e{n}"), "x"));
    engine.seal().expect("a seal");
    let begun = Instant::now();
    while engine.stat("d").expect("stat").floor == SyncKey::ZERO {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is dropped");
        std::thread::sleep(Duration::from_millis(1));
    }
    engine.set_retention("d", Retention::unlimited()).expect("a retention");
    let read = page(&engine, &Cursor::oldest(), View::Latest).expect("a page");
    let held: Vec<_> = read.entries.iter().map(|entry| entry.entity.to_vec()).collect();
    assert!(!read.more && held.len() < 40, "{} are held", held.len());
    after_power_cuts(&disk, 8, |store, seed| {
        let store = store.expect("it opens");
        let rows = store.entities("d", None, 100).expect("entities");
        let mut living: Vec<_> = rows.iter().map(|row| row.entity.to_vec()).collect();
        living.sort_by_key(|entity| held.iter().position(|one| one == entity));
        assert_eq!(living, held, "after cut {seed}");
    });
}
