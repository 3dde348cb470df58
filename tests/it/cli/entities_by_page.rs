use super::{Store, delete, put, texts};

#[test]
fn entities_are_listed_in_order_and_page_by_page() {
    let lines =
        [put("d", "c", "1"), put("d", "a", "1"), put("d", "gone", "1"), put("d", "b", "1"), delete("d", "gone")];
    let store = Store::of(&lines.concat());
    let all = store.entries(&["entities", "d"]);
    assert_eq!(texts(&all, "entity"), ["a", "b", "c"]);
    assert!(all.iter().all(|row| row["dataset"] == "d" && row["key"].is_string()));
    let mut first = store.json(&["entities", "d", "--limit", "2"]);
    let page = first.pop().expect("there is a page line")["page"].take();
    assert_eq!((&page["more"], &page["after"]), (&true.into(), &"b".into()));
    let mut rest = store.json(&["entities", "d", "--limit", "2", "--after", "b"]);
    assert_eq!(rest.pop().expect("there is a page line")["page"], serde_json::json!({"more": false}));
    assert_eq!(texts(&rest, "entity"), ["c"]);
}

#[test]
fn more_entities_than_are_asked_for_at_once() {
    let store = Store::of(&(0..2500).map(|i| put("d", &format!("{i:04}"), "1")).collect::<String>());
    let all = store.entries(&["entities", "d"]);
    assert_eq!(texts(&all, "entity"), (0..2500).map(|i| format!("{i:04}")).collect::<Vec<_>>());
}
