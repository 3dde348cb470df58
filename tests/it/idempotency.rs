//! A batch with an idempotency id is written once, however often it is sent.

use std::time::Duration;

use tidelog::{Batch, Commit, Cursor, Engine, Error, Expect};

use crate::support::{ManualClock, NOON, every_key, small, store};

fn batch(payload: &str, id: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put("inbox", "m", payload.to_owned()).idempotency_id(id.to_owned());
    batch
}

#[test]
fn a_commit_says_how_many_creates_it_recorded() {
    let (_dir, engine) = store(small());
    let mut batch = Batch::new();
    batch.put("a", "x", "1").put("a", "x", "2").put("b", "x", "1").delete("a", "x").put("a", "x", "3");
    batch.idempotency_id("id");
    assert_eq!(engine.append(batch.clone()).expect("a commit").created, 3);
    assert_eq!(engine.append(batch).expect("a repeat").created, 0);
    let mut blind = Batch::new();
    blind.create("a", "x", "4").update("a", "y", "1");
    assert_eq!(engine.append(blind).expect("a commit").created, 1, "a blind one is taken at its word");
    let put = |entity: &str| {
        let mut batch = Batch::new();
        batch.put("a", entity.to_owned(), "5");
        engine.append(batch).expect("a commit").created
    };
    assert_eq!((put("x"), put("y"), put("z")), (0, 0, 1));
    // The same when it is sealed, when it is found among what was sealed lately, and when it was deleted since.
    engine.seal().expect("a seal");
    assert_eq!((put("x"), put("z"), put("w")), (0, 0, 1));
    let mut delete = Batch::new();
    delete.delete("a", "x");
    engine.append(delete).expect("a commit");
    engine.seal().expect("a seal");
    assert_eq!((put("x"), put("z"), put("w")), (1, 0, 0));
}

fn assert_repeat(first: Commit, again: Commit) {
    assert!(again.repeated && !first.repeated);
    assert_eq!((again.first, again.last, again.time_ms), (first.first, first.last, first.time_ms));
}

#[test]
fn a_repeat_is_answered_with_the_first_keys() {
    let (dir, engine) = store(small());
    let first = engine.append(batch("one", "id")).expect("a commit");
    assert_repeat(first, engine.append(batch("one", "id")).expect("a repeat from the tail"));
    engine.seal().expect("a seal");
    assert_repeat(first, engine.append(batch("one", "id")).expect("a repeat of what is sealed"));
    engine.close().expect("a clean close");
    let engine = Engine::open(dir.path().join("store"), small()).expect("it opens again");
    assert_repeat(first, engine.append(batch("one", "id")).expect("a repeat after reopening"));
    assert_eq!(every_key(&engine, "inbox", Cursor::START).len(), 1, "written once");
}

#[test]
fn the_same_id_with_other_content_is_refused() {
    let (_dir, engine) = store(small());
    let commit = engine.append(batch("one", "id")).expect("a commit");
    match engine.append(batch("two", "id")) {
        Err(Error::IdempotencyMismatch { id, first }) => {
            assert_eq!((id.as_slice(), first), (&b"id"[..], commit.first.get()))
        }
        other => panic!("expected a mismatch, got {other:?}"),
    }
    assert_eq!(every_key(&engine, "inbox", Cursor::START).len(), 1, "nothing was written");
}

#[test]
fn ids_are_of_the_store_and_each_is_its_own() {
    let (_dir, engine) = store(small());
    let one = engine.append(batch("one", "id-1")).expect("a commit");
    let two = engine.append(batch("one", "id-2")).expect("the same content by another id");
    assert!(!two.repeated && two.first > one.last);
    let mut elsewhere = Batch::new();
    elsewhere.put("drafts", "m", "one").idempotency_id("id-1");
    assert!(matches!(engine.append(elsewhere), Err(Error::IdempotencyMismatch { .. })));
}

#[test]
fn a_refused_batch_does_not_use_its_id_up() {
    let (_dir, engine) = store(small());
    let mut refused = batch("one", "id");
    refused.expect(Expect::Present);
    assert!(matches!(engine.append(refused.clone()), Err(Error::Conflict { .. })));
    let mut other = Batch::new();
    other.create("inbox", "m", "zero");
    engine.append(other).expect("a commit");
    assert!(!engine.append(refused.clone()).expect("its expectation holds now").repeated);
    assert!(engine.append(refused).expect("a repeat").repeated);
}

#[test]
fn a_repeat_is_answered_also_where_its_expectation_no_longer_holds() {
    let (_dir, engine) = store(small());
    let mut create = batch("one", "id");
    create.expect(Expect::Absent);
    let first = engine.append(create.clone()).expect("a commit");
    assert_repeat(first, engine.append(create).expect("a repeat"));
}

#[test]
fn an_id_is_forgotten_after_its_window() {
    let clock = ManualClock::at(NOON);
    let (_dir, engine) = store(small().clock(clock.clone()).idempotency_window(Duration::from_secs(60)));
    let first = engine.append(batch("one", "id")).expect("a commit");
    clock.advance(50_000);
    assert_repeat(first, engine.append(batch("one", "id")).expect("a repeat within the window"));
    clock.advance(100_000);
    engine.compact(None).expect("a compaction");
    let again = engine.append(batch("two", "id")).expect("an old id is free again");
    assert!(!again.repeated && again.first > first.last);
}
