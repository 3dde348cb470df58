use super::Store;

#[test]
fn every_other_command_says_that_there_is_no_store() {
    let store = Store::new();
    let backup = store.path("backup");
    let backup = backup.to_str().expect("a plain path");
    for args in [
        &["export"][..],
        &["changes", "d"],
        &["get", "d", "e"],
        &["history", "d", "e"],
        &["entities", "d"],
        &["recent", "d"],
        &["datasets"],
        &["stat"],
        &["stat", "d"],
        &["delete", "d"],
        &["retention", "show", "d"],
        &["retention", "set", "d", "--keep", "live"],
        &["consumer", "fetch", "c", "d"],
        &["consumer", "ack", "c", "d", "1"],
        &["consumer", "list"],
        &["consumer", "remove", "c", "d"],
        &["compact"],
        &["verify"],
        &["backup", backup],
    ] {
        let error = store.error(7, args);
        assert_eq!(error["kind"], "not_found", "{args:?}");
        assert!(!store.data().exists(), "{args:?} made a store");
        let people = store.run(args);
        assert!(people.err.starts_with("error: not found: "), "{people:?}");
    }
}

#[test]
fn import_makes_one() {
    let store = Store::of("");
    assert_eq!(store.json(&["stat"])[0]["stat"]["datasets"], 0);
}
