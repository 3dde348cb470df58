//! A page honours its limits, holds something if anything is due, and gets on.

use tidelog::{Batch, Cursor, Engine, Limits, View};

use crate::support::{Replica, delete, drain, put, small, store};

fn filled(engine: &Engine) {
    for n in 0..100 {
        put(engine, "d", &format!("e{n:02}"), &"x".repeat(n));
    }
}

#[test]
fn entries_are_limited() {
    let (_dir, engine) = store(small());
    filled(&engine);
    for sealed in [false, true] {
        for limit in [1, 7, 99, 100, 101] {
            let page = engine.changes("d", &Cursor::START, Limits::entries(limit)).expect("a page");
            assert_eq!(page.entries.len(), limit.min(100), "sealed: {sealed}");
            assert_eq!(page.more, limit < 100, "sealed: {sealed}, limit {limit}");
        }
        let none = engine.changes("d", &Cursor::START, Limits::entries(0)).expect("a page");
        assert_eq!(none.entries.len(), 1, "at least one");
        engine.seal().expect("a seal");
    }
}

#[test]
fn bytes_are_limited_but_one_entry_always_fits() {
    let (_dir, engine) = store(small());
    filled(&engine);
    for sealed in [false, true] {
        for limit in [0, 1, 50, 500] {
            let (mut cursor, mut count) = (Cursor::START, 0);
            loop {
                let page = engine.changes("d", &cursor, Limits::entries(1000).bytes(limit)).expect("a page");
                let bytes: usize = page.entries.iter().map(|entry| entry.entity.len() + entry.payload_len).sum();
                assert!(!page.entries.is_empty() || !page.more, "an empty page with more");
                assert!(bytes <= limit || page.entries.len() == 1, "{bytes} bytes, {limit} allowed");
                count += page.entries.len();
                cursor = page.next;
                if !page.more {
                    break;
                }
            }
            assert_eq!(count, 100, "limit {limit}, sealed: {sealed}");
        }
        engine.seal().expect("a seal");
    }
}

#[test]
fn a_spent_scan_budget_ends_a_page_that_has_advanced() {
    let (_dir, engine) = store(small());
    for n in 0..300 {
        put(&engine, "d", "busy", &n.to_string());
    }
    for sealed in [false, true] {
        let (mut cursor, mut empty, mut entries) = (Cursor::START, 0, 0);
        loop {
            let page = engine.changes("d", &cursor, Limits::default().scan(10)).expect("a page");
            assert!(page.next != cursor || !page.more, "`more`, but no progress");
            empty += usize::from(page.entries.is_empty());
            entries += page.entries.len();
            cursor = page.next;
            if !page.more {
                break;
            }
        }
        assert_eq!(entries, 1, "sealed: {sealed}");
        assert!(empty >= 20, "{empty} empty pages: the scan budget was not kept, sealed: {sealed}");
        engine.seal().expect("a seal");
    }
    let page = engine.changes("d", &Cursor::START, Limits::default()).expect("a page");
    assert_eq!((page.entries.len(), page.more), (1, false), "by default the budget is large");
}

#[test]
fn payloads_can_be_left_out() {
    let (_dir, engine) = store(small());
    filled(&engine);
    delete(&engine, "d", "e50");
    for _sealed in [false, true] {
        for view in [View::Latest, View::Every] {
            let limits = Limits::default().view(view);
            let (with, _) = drain(&engine, "d", Cursor::START, limits);
            let (without, _) = drain(&engine, "d", Cursor::START, limits.without_payloads());
            assert_eq!(with.len(), without.len());
            for (with, without) in with.iter().zip(&without) {
                assert_eq!(without.payload, None);
                assert_eq!(with.payload.as_ref().map_or(0, bytes::Bytes::len), without.payload_len);
                assert_eq!((with.key, with.op, &with.entity), (without.key, without.op, &without.entity));
            }
        }
        engine.seal().expect("a seal");
    }
}

#[test]
fn an_empty_payload_is_a_payload() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "e", "");
    engine.seal().expect("a seal");
    let page = engine.changes("d", &Cursor::START, Limits::default()).expect("a page");
    assert_eq!(page.entries.first().expect("an entry").payload, Some(&b""[..]));
}

#[test]
fn a_read_ends_while_somebody_keeps_writing() {
    let (_dir, engine) = store(small());
    filled(&engine);
    let mut client = Replica::of("d");
    let mut pages = 0;
    loop {
        let page = client.page(&engine, Limits::entries(5)).expect("a page");
        pages += 1;
        let mut batch = Batch::new();
        for n in 0..10 {
            batch.put("d", format!("new-{pages}-{n}"), "x");
        }
        engine.append(batch).expect("a batch");
        if !page.more {
            break;
        }
        assert!(pages < 30, "the read does not end");
    }
    assert_eq!(client.state.len(), 100, "the state as of the first page");
}

#[test]
fn what_is_pending_is_told() {
    let (_dir, engine) = store(small());
    filled(&engine);
    for _sealed in [false, true] {
        for view in [View::Every, View::Latest] {
            let page = engine.changes("d", &Cursor::START, Limits::entries(30).view(view)).expect("a page");
            let bytes: u64 = (30..100).map(|n| 3 + n).sum();
            assert_eq!((page.pending.entries, page.pending.bytes), (70, bytes), "{view:?}");
            let page = engine.changes("d", &Cursor::START, Limits::default().view(view)).expect("a page");
            assert_eq!((page.pending.entries, page.pending.bytes), (0, 0), "{view:?}");
        }
        engine.seal().expect("a seal");
    }
}
