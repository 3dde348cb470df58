use super::{Store, put};

#[test]
fn import_reports_commits_entries_and_keys() {
    let store = Store::new();
    let two = r#"{"changes":[{"dataset":"d","op":"create","entity":"b","payload":1},{"dataset":"f","op":"put","entity":"c","payload":2}]}"#;
    let ran = store.import(&format!("{}\n   \n{two}\r\n{}", put("d", "a", "{}"), put("d", "z", "3").trim_end())).ok();
    let report = &ran.values()[0]["import"];
    assert_eq!((&report["commits"], &report["entries"], &report["repeated"]), (&3.into(), &4.into(), &0.into()));
    let keys: Vec<_> = store.entries(&["changes", "d"]).iter().map(|entry| super::key(&entry["key"])).collect();
    assert_eq!((super::key(&report["first"]), super::key(&report["last"])), (keys[0], keys[2]));
    let people = store.run(&["import", "/dev/null"]).ok();
    assert_eq!(people.out, "imported 0 commits, 0 entries\n");
}

#[test]
fn import_reads_a_file() {
    let store = Store::new();
    let file = store.path("lines.jsonl");
    std::fs::write(&file, put("d", "a", "1").repeat(1000)).expect("it can be written");
    let ran = store.run(&["import", file.to_str().expect("a plain path")]).ok();
    assert!(ran.out.starts_with("imported 1,000 commits, 1,000 entries, keys "), "{ran:?}");
    assert_eq!(store.entries(&["changes", "d", "--view", "every"]).len(), 1000);
}
