use super::{Store, put, texts};

#[test]
fn recent_pages_backwards() {
    let store = Store::of(&["a", "b", "c", "d", "e"].map(|entity| put("d", entity, "1")).concat());
    let mut first = store.json(&["recent", "d", "--limit", "2"]);
    let page = first.pop().expect("there is a page line")["page"].take();
    assert_eq!((texts(&first, "entity"), &page["more"]), (vec!["e", "d"], &true.into()));
    let before = page["before"].as_str().expect("a key is text");
    let mut rest = store.json(&["recent", "d", "--before", before]);
    assert_eq!(rest.pop().expect("there is a page line")["page"], serde_json::json!({"more": false}));
    assert_eq!(texts(&rest, "entity"), ["c", "b", "a"]);
    assert_eq!(store.error(2, &["recent", "d", "--before", "soon"])["kind"], "invalid");
}
