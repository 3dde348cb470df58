use std::path::Path;

use tidelog::testing::is_chunk;
use tidelog::testing::sim::SimDisk;
use tidelog::{Cursor, Engine, Limits, StaleReason, View, restore};

use super::lab::*;

pub fn a_window_ends_at_its_bound() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    for name in ["a", "b", "c"] {
        put(&engine, name, "x");
    }
    let first = engine.changes("d", &Cursor::START, Limits::entries(2)).expect("a page");
    assert!(first.more);
    let bound = engine.visible();
    put(&engine, "later", "x");
    let rest = engine.changes("d", &first.next, Limits::default()).expect("a page");
    assert!(rest.entries.iter().all(|entry| entry.key <= bound), "{:?}", rest.entries);
    assert_eq!(rest.entries.len(), 1);
}

pub fn a_cursor_with_a_wrong_bit_is_refused() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put(&engine, "e", "x");
    let bytes = caught_up(&engine).to_bytes();
    for at in 0..bytes.len() * 8 {
        let mut wrong = bytes.clone();
        wrong[at / 8] ^= 1 << (at % 8);
        assert_eq!(stale(Cursor::from_bytes(&wrong)), StaleReason::Malformed, "bit {at}");
    }
}

pub fn a_chunk_with_a_wrong_bit_is_refused() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chunk.bin");
    let bytes = std::fs::read(golden).expect("the golden chunk");
    assert!(is_chunk(&bytes));
    for at in 0..bytes.len() * 8 {
        let mut wrong = bytes.clone();
        wrong[at / 8] ^= 1 << (at % 8);
        assert!(!is_chunk(&wrong), "bit {at}");
    }
}

pub fn a_restored_store_refuses_what_it_never_said() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    put(&engine, "e", "x");
    engine.backup("/backup").expect("a backup");
    put(&engine, "f", "lost");
    let client = caught_up(&engine);
    restore("/backup", "/copy", &options(&disk)).expect("a restore");
    let copy = Engine::open("/copy", options(&disk)).expect("the copy opens");
    put(&copy, "g", "x");
    assert_eq!(stale(page(&copy, &client, View::Latest)), StaleReason::OtherLineage);
}
