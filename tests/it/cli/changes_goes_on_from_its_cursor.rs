use super::{Store, key, put, texts};

#[test]
fn each_page_goes_on_where_the_one_before_ended() {
    let lines: String = ["a", "b", "c", "d", "e"].map(|entity| put("d", entity, "1")).concat();
    let store = Store::of(&lines);
    let (mut since, mut seen) = ("0".to_owned(), Vec::new());
    for more in [true, true, false] {
        let mut lines = store.json(&["changes", "d", "--since", &since, "--limit", "2"]);
        let page = lines.pop().expect("there is a page line")["page"].take();
        assert_eq!(page["more"], more, "{page}");
        assert_eq!(page["key"], lines.last().expect("there are entries")["key"]);
        assert!(key(&page["head"]) >= key(&page["key"]));
        assert_eq!(page["pending"]["entries"].as_u64(), Some(5 - (seen.len() + lines.len()) as u64));
        assert!(page["pending"]["bytes"].is_u64() && page["headroom"].is_string(), "{page}");
        since = page["next"].as_str().expect("a cursor is text").to_owned();
        assert!(since.starts_with('c'), "{since}");
        seen.extend(lines);
    }
    assert_eq!(texts(&seen, "entity"), ["a", "b", "c", "d", "e"]);
    assert!(seen.iter().all(|entry| entry["new"] == true && entry["op"] == "create" && entry["last"] == true));
    assert!(store.entries(&["changes", "d", "--since", &since]).is_empty());
    let after_the_second = seen[1]["key"].as_str().expect("a key is text");
    let rest = store.entries(&["changes", "d", "--since", after_the_second]);
    assert_eq!(texts(&rest, "entity"), ["c", "d", "e"]);
}

#[test]
fn bytes_limit_a_page_but_not_its_first_entry() {
    let store = Store::of(&(put("d", "a", "\"0123456789\"") + &put("d", "b", "\"0123456789\"")));
    let entries = store.entries(&["changes", "d", "--bytes", "1"]);
    assert_eq!(texts(&entries, "entity"), ["a"]);
    assert_eq!(store.entries(&["changes", "d", "--bytes", "1K"]).len(), 2);
}

#[test]
fn the_head_is_a_start_too() {
    let store = Store::of(&put("d", "a", "1"));
    let page = store.json(&["changes", "d", "--since", "head"])[0]["page"].take();
    store.import(&put("d", "b", "2")).ok();
    let next = page["next"].as_str().expect("a cursor is text");
    assert_eq!(texts(&store.entries(&["changes", "d", "--since", next]), "entity"), ["b"]);
}
