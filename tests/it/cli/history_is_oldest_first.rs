use super::{Store, delete, put, texts};

#[test]
fn history_shows_each_entry_of_an_entity() {
    let lines = [put("d", "a", "1"), put("d", "b", "9"), put("d", "a", "2"), delete("d", "a"), put("d", "a", "3")];
    let store = Store::of(&lines.concat());
    let history = store.entries(&["history", "d", "a"]);
    assert_eq!(texts(&history, "op"), ["create", "update", "delete", "create"]);
    let mut newest = store.json(&["history", "d", "a", "--limit", "2"]);
    assert_eq!(newest.pop().expect("there is a page line")["page"]["more"], true);
    assert_eq!(newest, history[2..]);
    assert_eq!(store.error(7, &["history", "d", "never"])["kind"], "not_found");
}
