//! What is recent: newest first, and all that history has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use tidelog::{Batch, Cursor, Durability, Limits, Options, Retention, View};

use crate::support::{delete, entries_cap, put, small, store};

#[test]
fn a_delete_below_the_floor_is_shown_as_long_as_history_has_it() {
    let retention = Retention { history: entries_cap(1), tombstones: entries_cap(0), ..Retention::unlimited() };
    let (_dir, engine) = store(small().retention(retention));
    put(&engine, "d", "a", "1");
    delete(&engine, "d", "a");
    put(&engine, "d", "x", "1");
    delete(&engine, "d", "x");
    put(&engine, "d", "a", "2");
    let report = engine.compact(None).expect("a compaction");
    assert_eq!((report.superseded_dropped, report.tombstones_dropped), (2, 1));
    let stat = engine.stat("d").expect("stat");
    assert!(stat.floor.get() >= 4, "the floor is above the first delete of 'a'");
    let recent = engine.recent("d", None, Limits::default().view(View::Every)).expect("recent");
    let mut history = engine.history("d", "a", 10).expect("history");
    history.reverse();
    let keys = |entries: &[tidelog::Entry]| entries.iter().map(|entry| entry.key.get()).collect::<Vec<_>>();
    assert_eq!(keys(&recent), keys(&history));
    assert_eq!(recent.len(), 2, "the delete and what came after it");
}

/// Who reads what is recent holds a tail while a writer waits for it.
#[test]
fn what_is_recent_is_read_while_it_is_written() {
    let (_dir, engine) = store(Options::default().memory(64 << 20));
    let (over, (ended, wait)) = (AtomicBool::new(false), channel());
    let watchdog = std::thread::spawn(move || {
        if wait.recv_timeout(Duration::from_secs(100)).is_err() {
            eprintln!("reads of what is recent and appends wait for each other");
            std::process::abort();
        }
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                let mut batch = Batch::new();
                batch.put("d", format!("e{}", n % 100), "1");
                engine.append_with(batch, Durability::Buffered).expect("a commit");
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut full = 0;
        while full < 5_000 {
            match engine.recent("d", None, Limits::entries(20)) {
                Ok(recent) => full += u32::from(recent.len() == 20),
                Err(error) => assert!(matches!(error, tidelog::Error::DatasetNotFound { .. }), "{error}"),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    ended.send(()).expect("the watchdog listens");
    watchdog.join().expect("it ends");
}

#[test]
fn what_is_not_sealed_yet_is_in_memory() {
    let (_dir, engine) = store(small());
    let in_memory = |cursor: &Cursor| engine.in_memory(cursor).expect("an answer");
    assert!(in_memory(&Cursor::START), "all of nothing");
    let first = put(&engine, "d", "a", "1").last;
    assert!(in_memory(&Cursor::START) && in_memory(&Cursor::after(first)));
    engine.seal().expect("a seal");
    assert!(!in_memory(&Cursor::START) && !in_memory(&Cursor::oldest()));
    assert!(in_memory(&Cursor::after(first)) && in_memory(&Cursor::head()), "nothing sealed lies behind it");
    put(&engine, "d", "a", "2");
    let page = engine.changes("d", &Cursor::after(first), Limits::default()).expect("a page");
    assert!(in_memory(&Cursor::after(first)) && in_memory(&page.next) && page.entries.len() == 1);
}
