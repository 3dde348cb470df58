//! Optimistic concurrency: a batch is committed only if what it expects of its entities holds.

use tidelog::{Batch, Commit, Engine, Error, Expect, SyncKey};

use crate::support::{delete, put, small, store};

fn checked(engine: &Engine, entity: &str, expect: Expect) -> Result<Commit, Error> {
    let mut batch = Batch::new();
    batch.put("d", entity.to_owned(), "checked").expect(expect);
    engine.append(batch)
}

#[track_caller]
fn assert_conflict(result: Result<Commit, Error>, want: Option<u64>) {
    match result {
        Err(Error::Conflict { dataset, entity, current }) => {
            assert_eq!((dataset.as_slice(), entity.as_slice(), current), (&b"d"[..], &b"e"[..], want));
        }
        other => panic!("expected a conflict, got {other:?}"),
    }
}

#[test]
fn absent_holds_for_what_never_was_and_for_what_was_deleted() {
    let (_dir, engine) = store(small());
    checked(&engine, "e", Expect::Absent).expect("a dataset that does not exist");
    let live = put(&engine, "d", "e", "x").last.get();
    assert_conflict(checked(&engine, "e", Expect::Absent), Some(live));
    engine.seal().expect("a seal");
    assert_conflict(checked(&engine, "e", Expect::Absent), Some(live));
    delete(&engine, "d", "e");
    checked(&engine, "e", Expect::Absent).expect("it was deleted");
}

#[test]
fn present_holds_for_what_is_alive() {
    let (_dir, engine) = store(small());
    assert_conflict(checked(&engine, "e", Expect::Present), None);
    put(&engine, "d", "e", "x");
    checked(&engine, "e", Expect::Present).expect("it is there");
    engine.seal().expect("a seal");
    checked(&engine, "e", Expect::Present).expect("it is there");
    delete(&engine, "d", "e");
    assert_conflict(checked(&engine, "e", Expect::Present), None);
    engine.seal().expect("a seal");
    assert_conflict(checked(&engine, "e", Expect::Present), None);
}

#[test]
fn at_holds_for_the_newest_key_alone() {
    let (_dir, engine) = store(small());
    let first = put(&engine, "d", "e", "x").last;
    let second = checked(&engine, "e", Expect::At(first)).expect("its newest key").last;
    assert_conflict(checked(&engine, "e", Expect::At(first)), Some(second.get()));
    engine.seal().expect("a seal");
    assert_conflict(checked(&engine, "e", Expect::At(first)), Some(second.get()));
    assert_conflict(checked(&engine, "e", Expect::At(SyncKey::ZERO)), Some(second.get()));
    let gone = delete(&engine, "d", "e").last;
    assert_conflict(checked(&engine, "e", Expect::At(gone)), None);
    assert_conflict(checked(&engine, "e", Expect::At(second)), None);
}

#[test]
fn an_expectation_sees_the_changes_before_it() {
    let (_dir, engine) = store(small());
    let mut batch = Batch::new();
    batch.create("d", "e", "x").expect(Expect::Absent);
    batch.update("d", "e", "y").expect(Expect::Present);
    batch.delete("d", "e").expect(Expect::Present);
    batch.create("d", "e", "z").expect(Expect::Absent);
    engine.append(batch).expect("each expects what the one before it left");
    let mut batch = Batch::new();
    batch.delete("d", "e");
    batch.update("d", "e", "w").expect(Expect::Present);
    assert!(matches!(engine.append(batch), Err(Error::Conflict { .. })), "the batch itself deleted it");
}

#[test]
fn of_rivals_one_wins() {
    let (_dir, engine) = store(small());
    let key = put(&engine, "d", "e", "x").last;
    let won = std::thread::scope(|scope| {
        let rival = || checked(&engine, "e", Expect::At(key));
        let rivals: Vec<_> = (0..8).map(|_| scope.spawn(rival)).collect();
        let results: Vec<_> = rivals.into_iter().map(|rival| rival.join().expect("a rival")).collect();
        let newest = engine.get("d", "e").expect("a get").expect("it is there").key;
        for result in results.iter().filter(|result| result.is_err()) {
            match result {
                Err(Error::Conflict { current, .. }) => assert_eq!(*current, Some(newest.get())),
                other => panic!("expected a conflict, got {other:?}"),
            }
        }
        results.iter().filter(|result| result.is_ok()).count()
    });
    assert_eq!(won, 1);
    assert_eq!(engine.metrics().conflicts, 7);
}

#[test]
fn a_conflict_names_no_key_before_it_is_durable() {
    let (_dir, engine) = store(small().sync_interval(std::time::Duration::from_millis(5)));
    let mut batch = Batch::new();
    batch.create("d", "e", "x");
    let buffered = engine.append_with(batch, tidelog::Durability::Buffered).expect("a buffered commit");
    assert_conflict(checked(&engine, "e", Expect::Absent), Some(buffered.first.get()));
    assert!(engine.visible() >= buffered.first, "the conflict told of a key that a crash could take back");
}
