//! One scan budget for many datasets.

use tidelog::{Cursor, DatasetChanges, Limits};

use crate::support::{put, small, store};

#[test]
fn what_is_passed_over_counts_for_the_scan_budget() {
    for sealed in [false, true] {
        let (_dir, engine) = store(small().tail_bytes(1 << 20));
        let names = ["a", "b", "c", "d"];
        for n in 0..100 {
            for name in names {
                put(&engine, name, "e", &n.to_string());
            }
        }
        if sealed {
            engine.seal().expect("a seal");
        }
        let request: Vec<(&[u8], Cursor)> = names.iter().map(|name| (name.as_bytes(), Cursor::START)).collect();
        let page = engine.changes_many(&request, 0, Limits::default().scan(150)).expect("changes_many");
        let reached = |answer: &DatasetChanges| matches!(answer, DatasetChanges::Page(page) if !page.more);
        assert_eq!(page.datasets.iter().filter(|answer| reached(answer)).count(), 1, "150 entries were looked at");
        assert!(page.more);
    }
}
