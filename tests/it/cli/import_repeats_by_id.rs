use super::{Store, put};

fn commit(payload: &str) -> String {
    format!(r#"{{"changes":[{}],"id":"upload-1","origin":"phone"}}"#, put("d", "a", payload).trim_end()) + "\n"
}

#[test]
fn a_commit_with_the_same_id_is_not_written_again() {
    let store = Store::of(&commit("1"));
    let ran = store.import(&(commit("1") + &put("d", "b", "2"))).ok();
    let report = &ran.values()[0]["import"];
    assert_eq!((&report["repeated"], &report["commits"], &report["entries"]), (&1.into(), &1.into(), &1.into()));
    let entries = store.entries(&["changes", "d", "--view", "every"]);
    assert_eq!(super::texts(&entries, "entity"), ["a", "b"]);
    assert_eq!(report["first"], entries[0]["key"]);
    assert_eq!((&entries[0]["origin"], entries[1].get("origin")), (&"phone".into(), None));
}

#[test]
fn the_same_id_with_other_content_stops_the_import() {
    let store = Store::of(&commit("1"));
    let error = store.import(&(commit("2") + &put("d", "b", "2"))).error(4);
    assert_eq!((&error["kind"], &error["line"]), (&"idempotency_mismatch".into(), &1.into()));
    assert_eq!(store.entries(&["changes", "d"]).len(), 1);
}
