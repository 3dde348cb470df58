use super::{Store, delete, put, texts};

#[test]
fn nothing_behind_a_conflict_is_committed() {
    let store = Store::of(&put("d", "a", "1"));
    let absent = r#"{"dataset":"d","op":"put","entity":"a","payload":2,"expect":"absent"}"#;
    let behind: String = (0..300).map(|i| put("d", &format!("behind-{i}"), "4")).collect();
    let error = store.import(&format!("{}{absent}\n{behind}", put("d", "before", "3"))).error(4);
    assert_eq!((&error["kind"], &error["line"]), (&"conflict".into(), &2.into()), "{error}");
    assert_eq!((&error["dataset"], &error["entity"]), (&"d".into(), &"a".into()), "{error}");
    let entries = store.entries(&["changes", "d"]);
    assert_eq!(texts(&entries, "entity"), ["a", "before"]);
    assert_eq!(error["key"], entries[0]["key"]);
    assert_eq!(error["committed"]["commits"], 1);
}

#[test]
fn every_expectation_is_checked() {
    let store = Store::of(&put("d", "a", "1"));
    let key = store.entries(&["changes", "d"])[0]["key"].clone();
    let put = |expect: &str| format!(r#"{{"dataset":"d","op":"put","entity":"a","payload":2,"expect":{expect}}}"#);
    assert_eq!(store.import(&put("\"1000000\"")).error(4)["kind"], "conflict");
    store.import(&put(&key.to_string())).ok();
    assert_eq!(store.import(&put(&key.to_string())).error(4)["kind"], "conflict");
    store.import(&put("\"present\"")).ok();
    store.import(&delete("d", "a")).ok();
    let gone = store.import(&put("\"present\"")).error(4);
    assert!(gone.get("key").is_none(), "{gone}");
    store.import(&put("\"absent\"")).ok();
    let number = super::key(&store.entries(&["changes", "d"])[0]["key"]);
    store.import(&put(&number.to_string())).ok();
}
