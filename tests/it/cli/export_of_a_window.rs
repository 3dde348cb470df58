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

#[test]
fn what_was_a_window_once_is_exported_as_what_lives() {
    let store = Store::of(&[put("w", "a", "1"), put("w", "b", "1"), put("w", "c", "1"), put("w", "d", "1")].concat());
    store.import(&delete("w", "c")).ok();
    for command in [
        &["retention", "set", "w", "--keep", "window", "--history-entries", "3"][..],
        &["compact", "--grace", "0s"],
        &["retention", "set", "w", "--keep", "live"],
    ] {
        store.run(command).ok();
    }
    assert_eq!(store.error(3, &["changes", "w"])["kind"], "stale_trimmed");
    let exported = store.run(&["export", "--json"]).ok();
    assert_eq!(texts(&exported.values()[0]["changes"].as_array().expect("changes").clone(), "entity"), ["d"]);
    let copy = Store::of(&exported.out);
    assert_eq!(texts(&copy.entries(&["changes", "w"]), "entity"), ["d"]);
}
