use super::{Store, command, key, put, run, texts};

#[test]
fn a_backup_restores_to_the_same_state_with_higher_keys() {
    let store = Store::of(&(put("d", "a", "1") + &put("d", "b", "2")));
    let (backup, restored) = (store.path("backup"), store.path("restored"));
    let report = store.json(&["backup", backup.to_str().expect("a plain path")])[0]["backup"].take();
    assert_eq!(report["visible"], store.json(&["stat"])[0]["stat"]["visible"]);
    let src = backup.to_str().expect("a plain path");
    run(command(&restored, &["restore", src, "--json"]), "").ok();
    let copy = |args: &[&str]| run(command(&restored, &[args, &["--json"]].concat()), "").ok().values();
    assert_eq!(texts(&copy(&["changes", "d"])[..2], "entity"), ["a", "b"]);
    let lineage = |stat: &serde_json::Value| key(&stat["stat"]["lineage"]);
    assert_ne!(lineage(&copy(&["stat"])[0]), lineage(&store.json(&["stat"])[0]));
    run(command(&restored, &["import", "-"]), &put("d", "c", "3")).ok();
    let entries = copy(&["changes", "d"]);
    assert!(key(&entries[2]["key"]) > key(&entries[1]["key"]) + (1 << 39), "the keys did not jump");
}

#[test]
fn neither_overwrites_anything() {
    let store = Store::of(&put("d", "a", "1"));
    let backup = store.path("backup");
    let backup = backup.to_str().expect("a plain path");
    store.run(&["backup", backup]).ok();
    let again = store.run(&["backup", backup, "--json"]);
    assert_eq!(again.error(2)["kind"], "invalid");
    assert_eq!(store.error(2, &["restore", backup])["kind"], "invalid");
    assert_eq!(texts(&store.entries(&["changes", "d"]), "entity"), ["a"]);
    let nothing = run(command(&store.path("new"), &["restore", "/nonexistent", "--json"]), "");
    assert_eq!(nothing.error(7)["kind"], "not_found");
    assert!(!store.path("new").exists());
}
