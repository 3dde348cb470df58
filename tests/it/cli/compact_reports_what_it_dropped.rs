use super::{Store, put};

#[test]
fn compact_reports_one_dataset_or_all() {
    let store = Store::of(&(put("a", "x", "1") + &put("b", "x", "1")));
    let fields = ["datasets", "superseded_dropped", "tombstones_dropped", "window_dropped", "chunks_rewritten"];
    for (args, most) in [(&["compact", "a"][..], 1), (&["compact"], 2)] {
        let report = store.json(args)[0]["compact"].take();
        assert!(fields.iter().all(|field| report[field].is_u64()), "{report}");
        assert!(report["datasets"].as_u64() <= Some(most), "{report}");
    }
    assert!(store.run(&["compact"]).ok().out.contains("superseded dropped  0\n"));
    // What was written just now is kept for readers under way, and that is said.
    let history: String = (0..9).map(|n| put("c", "x", &n.to_string())).collect();
    store.import(&history);
    store.run(&["retention", "set", "c", "--history-entries", "2"]).ok();
    assert!(store.run(&["compact", "c"]).ok().out.contains("held back"));
    let report = store.json(&["compact", "c", "--grace", "none"])[0]["compact"].take();
    assert_eq!((report["superseded_dropped"].as_u64(), report["held_back"].as_u64()), (Some(6), Some(0)), "{report}");
    assert_eq!(store.error(7, &["compact", "nowhere"])["kind"], "dataset_not_found");
}
