//! What is read without payloads is small, however large the payloads beside it are.

use tidelog::{Cursor, Engine, Entry, Limits, Page};

use crate::support::{noise, peak_bytes, put, small, store};

const ENTRIES: usize = 64;
const PAYLOAD: usize = 512 << 10;

/// A store whose payloads are larger than its budget, all of them sealed.
fn filled() -> (tempfile::TempDir, Engine) {
    let (dir, engine) = store(small());
    let payload = noise(1, 8 << 10).repeat(PAYLOAD / (8 << 10));
    for n in 0..ENTRIES {
        put(&engine, "d", &format!("e{n}"), &payload);
    }
    engine.seal().expect("a seal");
    (dir, engine)
}

/// Reads twice, of which the first fills the caches: what is kept then takes a small part of what the payloads do, which
/// are read one at a time.
fn assert_small<T>(read: impl Fn() -> T) {
    drop(read());
    let mut kept = None;
    let peak = peak_bytes(|| kept = Some(read()));
    assert!(peak < ENTRIES * PAYLOAD / 8, "{peak} bytes for {ENTRIES} entries without payloads");
}

fn pages(engine: &Engine) -> Vec<Page> {
    let (mut pages, mut cursor, mut more) = (Vec::new(), Cursor::START, true);
    while more {
        let page = engine.changes("d", &cursor, Limits::default().without_payloads()).expect("a page");
        (cursor, more) = (page.next, page.more);
        pages.push(page);
    }
    assert_eq!(pages.iter().map(|page| page.entries.len()).sum::<usize>(), ENTRIES);
    pages
}

fn histories(engine: &Engine) -> Vec<Entry> {
    let one = |n| engine.history_within("d", format!("e{n}"), Limits::entries(1).without_payloads());
    let entries: Vec<Entry> = (0..ENTRIES).flat_map(|n| one(n).expect("history").0).collect();
    assert_eq!(entries.len(), ENTRIES);
    entries
}

#[test]
fn a_page_keeps_no_payloads_in_memory() {
    let (_dir, engine) = filled();
    assert_small(|| pages(&engine));
}

#[test]
fn a_history_keeps_no_payloads_in_memory() {
    let (_dir, engine) = filled();
    assert_small(|| histories(&engine));
}
