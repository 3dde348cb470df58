//! What is recent: newest first, and all that history has.

use tidelog::{Limits, Retention, View};

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
