//! Reads of the past of one entity, and of many entities, hold what they are allowed to hold.

use tidelog::{Entry, Error, Limits};

use crate::support::{put, small, store};

fn keys(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.key.get()).collect()
}

#[test]
fn history_gives_the_newest_that_fit_and_tells_of_older_ones() {
    let (_dir, engine) = store(small());
    for sealed in [false, true] {
        for _ in 0..4 {
            put(&engine, "d", "e", "0123456789");
        }
        let all: Vec<u64> = if sealed { (1..=8).collect() } else { (1..=4).collect() };
        let first = all.len();
        // An entry is 11 bytes: its entity and its payload.
        for (limits, wanted, more) in [
            (Limits::entries(100), first, false),
            (Limits::entries(first), first, false),
            (Limits::entries(first - 1), first - 1, true),
            (Limits::entries(1), 1, true),
            (Limits::entries(100).bytes(11 * first), first, false),
            (Limits::entries(100).bytes(11 * first - 1), first - 1, true),
            (Limits::entries(100).bytes(0), 1, true),
        ] {
            let (found, left_out) = engine.history_within("d", "e", limits).expect("history");
            assert_eq!((keys(&found), left_out), (all[first - wanted..].to_vec(), more), "{limits:?} sealed {sealed}");
        }
        let (bare, _) = engine.history_within("d", "e", Limits::entries(1).without_payloads()).expect("history");
        assert_eq!((bare.len(), &bare[0].payload, bare[0].payload_len), (1, &None, 10));
        assert_eq!(engine.history("d", "e", 0).expect("history"), []);
        // What comes next is half in chunks, half in the tail.
        engine.seal().expect("a seal");
    }
}

#[test]
fn many_entities_above_the_limit_are_refused_but_never_one() {
    let (_dir, engine) = store(small());
    for entity in ["a", "b", "c"] {
        put(&engine, "d", entity, "0123456789");
    }
    let get = |entities: &[&[u8]], bytes: usize| {
        engine.get_many_within("d", entities, bytes).map(|(found, _)| found.iter().flatten().count())
    };
    assert_eq!(get(&[b"a", b"b", b"c", b"none"], 33).ok(), Some(3));
    assert!(matches!(get(&[b"a", b"b", b"c"], 32), Err(Error::Invalid { .. })));
    assert_eq!(get(&[b"none", b"a"], 1).ok(), Some(1));
    assert_eq!(get(&[], 0).ok(), Some(0));
}
