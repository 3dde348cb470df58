//! What the two views deliver, and what `new` says of it.

use tidelog::{Batch, Cursor, Error, Limits, View};

use crate::support::{Replica, delete, drain, put, small, store};

#[test]
fn latest_skips_what_is_superseded_and_every_skips_nothing() {
    let (_dir, engine) = store(small());
    for n in 0..5 {
        put(&engine, "d", "a", &n.to_string());
        put(&engine, "d", "b", &n.to_string());
    }
    delete(&engine, "d", "b");
    for sealed in [false, true] {
        let (latest, _) = drain(&engine, "d", Cursor::START, Limits::default());
        assert_eq!(latest.len(), 1, "one entity, and no delete for who has nothing; sealed: {sealed}");
        let (every, _) = drain(&engine, "d", Cursor::START, Limits::default().view(View::Every));
        assert_eq!(every.len(), 11, "sealed: {sealed}");
        engine.seal().expect("a seal");
    }
}

#[test]
fn a_client_that_knows_the_entity_is_told_of_its_delete() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "known", "x");
    let mut client = Replica::of("d");
    client.sync(&engine).expect("a read");
    put(&engine, "d", "short-lived", "x");
    delete(&engine, "d", "short-lived");
    delete(&engine, "d", "known");
    let page = client.sync(&engine).expect("a read");
    let told: Vec<&[u8]> = page.entries.iter().map(|entry| entry.entity).collect();
    assert_eq!(told, [b"known"], "and not of one that came and went");
    assert_eq!(client.text(), []);
}

#[test]
fn a_client_that_may_have_seen_more_is_told_of_every_delete() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "known", "x");
    let (_, cursor) = drain(&engine, "d", Cursor::START, Limits::default());
    // It applies a page with this one and dies before it keeps the page's cursor.
    put(&engine, "d", "short-lived", "x");
    delete(&engine, "d", "short-lived");
    put(&engine, "d", "another", "x");
    for sealed in [false, true] {
        for limits in [Limits::default(), Limits::entries(1)] {
            let told = |cursor, limits| drain(&engine, "d", cursor, limits).0.len();
            assert_eq!(told(cursor, limits), 1, "sealed: {sealed}");
            assert_eq!(told(cursor, limits.unseen_deletes()), 2, "sealed: {sealed}");
            assert_eq!(
                told(Cursor::START, limits.unseen_deletes()),
                2,
                "from the start only what is; sealed: {sealed}"
            );
        }
        engine.seal().expect("a seal");
    }
}

#[test]
fn new_tells_additions_from_changes() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "old", "1");
    let mut client = Replica::of("d");
    client.sync(&engine).expect("a read");
    for sealed in [false, true] {
        let mut again = client.clone();
        put(&engine, "d", "old", "2");
        let fresh = format!("fresh-{sealed}");
        put(&engine, "d", &fresh, "1");
        put(&engine, "d", &fresh, "2");
        if sealed {
            engine.seal().expect("a seal");
        }
        let page = again.sync(&engine).expect("a read");
        let new =
            |entity: &str| page.entries.iter().find(|entry| entry.entity == entity.as_bytes()).map(|entry| entry.new);
        assert_eq!((new("old"), new(&fresh)), (Some(false), Some(true)), "sealed: {sealed}");
    }
}

#[test]
fn born_comes_from_what_was_there_and_not_from_what_the_caller_says() {
    let (_dir, engine) = store(small());
    let mut batch = Batch::new();
    batch.update("d", "blind", "an update of nothing");
    engine.append(batch).expect("a blind update");
    assert!(engine.get("d", "blind").expect("a get").expect("it is there").new, "its life began here");
    let mut batch = Batch::new();
    batch.create("d", "blind", "a create of something");
    engine.append(batch).expect("a blind create");
    engine.seal().expect("a seal");
    assert!(!engine.get("d", "blind").expect("a get").expect("it is there").new, "its life began before");
}

#[test]
fn a_cursor_within_a_latest_window_is_tied_to_it() {
    let (_dir, engine) = store(small());
    for n in 0..10 {
        put(&engine, "d", &format!("e{n}"), "x");
    }
    let page = engine.changes("d", &Cursor::START, Limits::entries(3)).expect("a page");
    let other = engine.changes("d", &page.next, Limits::entries(3).view(View::Every));
    assert!(matches!(other, Err(Error::Invalid { .. })), "{other:?}");
    let end = engine.changes("d", &page.next, Limits::default()).expect("the rest");
    engine.changes("d", &end.next, Limits::default().view(View::Every)).expect("between windows any view will do");
}

#[test]
fn a_read_of_every_entry_may_go_on_as_latest() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "gone", "x");
    put(&engine, "d", "kept", "x");
    let mut client = Replica::of("d");
    client.page(&engine, Limits::entries(1).view(View::Every)).expect("a page");
    delete(&engine, "d", "gone");
    client.sync(&engine).expect("the rest");
    assert_eq!(client.text(), [("kept".into(), "x".into())], "the delete of what it was given is sent");
}

#[test]
fn a_page_may_be_asked_for_again() {
    let (_dir, engine) = store(small());
    for n in 0..10 {
        put(&engine, "d", &format!("e{n}"), "x");
    }
    let first = engine.changes("d", &Cursor::START, Limits::entries(4)).expect("a page");
    let once = engine.changes("d", &first.next, Limits::entries(4)).expect("a page");
    engine.seal().expect("a seal");
    put(&engine, "d", "later", "x");
    let twice = engine.changes("d", &first.next, Limits::entries(4)).expect("the page again");
    assert_eq!(once.entries, twice.entries);
    assert_eq!((once.next, once.more), (twice.next, twice.more));
}

#[test]
fn the_origin_is_kept_in_each_entry() {
    let (_dir, engine) = store(small());
    let mut batch = Batch::new();
    batch.put("d", "a", "x").delete("d", "b").origin("phone");
    engine.append(batch).expect("a batch");
    put(&engine, "d", "c", "x");
    for _sealed in [false, true] {
        let (entries, _) = drain(&engine, "d", Cursor::START, Limits::default().view(View::Every));
        let origins: Vec<Option<&[u8]>> = entries.iter().map(|entry| entry.origin.as_deref()).collect();
        assert_eq!(origins, [Some(&b"phone"[..]), Some(&b"phone"[..]), None]);
        engine.seal().expect("a seal");
    }
}
