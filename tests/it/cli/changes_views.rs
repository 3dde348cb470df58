use super::{Store, delete, put, texts};

#[test]
fn latest_skips_what_every_shows() {
    let lines = [put("d", "a", "1"), put("d", "b", "2"), put("d", "a", "3"), delete("d", "b")].concat();
    let store = Store::of(&lines);
    let latest = store.entries(&["changes", "d"]);
    assert_eq!((texts(&latest, "entity"), latest[0]["payload"].clone()), (vec!["a"], 3.into()));
    let every = store.entries(&["changes", "d", "--view", "every"]);
    assert_eq!(texts(&every, "op"), ["create", "create", "update", "delete"]);
    assert!(every[3].get("payload").or(every[3].get("payload_base64")).is_none());
    let since = every[1]["key"].as_str().expect("a key is text");
    let delta = store.entries(&["changes", "d", "--since", since]);
    assert_eq!(texts(&delta, "op"), ["update", "delete"]);
    assert_eq!(delta[0]["new"], false);
}
