//! Two writers of one entity: the last one wins by version, or both are merged, whoever comes first.

use std::thread;

use tidelog::conflict;

use crate::support::{small, store};

fn version(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[test]
fn the_last_writer_wins_whatever_the_order() {
    let (_dir, engine) = store(small());
    thread::scope(|scope| {
        for writer in 0..4u64 {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..50u64 {
                    // Every version once, in another order for each writer.
                    let time = (round * 37 + writer * 11) % 50 * 4 + writer;
                    conflict::last_writer_wins(engine, "d", "e", time.to_be_bytes().to_vec(), version)
                        .expect("a decision");
                }
            });
        }
    });
    let stored = engine.get("d", "e").expect("a read").and_then(|entry| entry.payload).expect("it exists");
    assert_eq!(version(&stored), 49 * 4 + 3);
    let again = conflict::last_writer_wins(&engine, "d", "e", stored, version).expect("a decision");
    assert!(again.is_none(), "the same version is not written twice");
}

#[test]
fn no_increment_is_lost_in_a_merge() {
    let (_dir, engine) = store(small());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let add =
                        |stored: Option<&[u8]>| Some((stored.map_or(0, version) + 1).to_be_bytes().to_vec().into());
                    conflict::merge(&engine, "d", "e", add).expect("a merge").expect("a commit");
                }
            });
        }
    });
    let stored = engine.get("d", "e").expect("a read").and_then(|entry| entry.payload).expect("it exists");
    assert_eq!(version(&stored), 200);
    assert!(conflict::merge(&engine, "d", "e", |_| None).expect("a merge").is_none());
}

#[test]
fn a_deleted_entity_comes_back_by_any_write() {
    let (_dir, engine) = store(small());
    crate::support::put(&engine, "d", "e", "x");
    crate::support::delete(&engine, "d", "e");
    let commit = conflict::last_writer_wins(&engine, "d", "e", 1u64.to_be_bytes().to_vec(), version).expect("a write");
    assert!(commit.is_some());
}
