use super::{Store, delete, put, run, texts};

#[test]
fn a_window_is_exported_as_its_log() {
    let store = Store::of("");
    store.run(&["retention", "set", "w", "--keep", "window"]).ok();
    store.import(&[put("w", "a", "1"), put("w", "a", "2"), delete("w", "a")].concat()).ok();
    let exported = store.run(&["export", "--json"]).ok();
    let copy = Store::of("");
    copy.run(&["retention", "set", "w", "--keep", "window"]).ok();
    run(copy.command(&["import", "-"]), &exported.out).ok();
    let entries = copy.entries(&["changes", "w", "--view", "every", "--since", "oldest"]);
    assert_eq!(texts(&entries, "op"), ["create", "update", "delete"]);
}
