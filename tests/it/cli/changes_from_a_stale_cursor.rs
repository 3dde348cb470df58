use super::{Store, key, put};

fn cursor_of(store: &Store) -> String {
    let lines = store.json(&["changes", "d"]);
    lines.last().expect("there is a page line")["page"]["next"].as_str().expect("a cursor is text").to_owned()
}

#[test]
fn what_is_no_cursor_is_malformed() {
    let store = Store::of(&put("d", "a", "1"));
    let good = cursor_of(&store);
    for text in ["", "x", "-1", "c", "cc", "1c", "18446744073709551616", &good[..good.len() - 2]] {
        let error = store.error(3, &["changes", "d", &format!("--since={text}")]);
        assert_eq!((&error["kind"], error.get("key")), (&"stale_malformed".into(), None), "{text}");
    }
}

#[test]
fn a_key_that_was_never_given_is_from_the_future() {
    let store = Store::of(&put("d", "a", "1"));
    let error = store.error(3, &["changes", "d", "--since", "123456789"]);
    assert_eq!((&error["kind"], &error["key"]), (&"stale_future".into(), &"123456789".into()));
}

#[test]
fn a_dataset_made_again_makes_old_cursors_stale() {
    let store = Store::of(&put("d", "a", "1"));
    let cursor = cursor_of(&store);
    store.run(&["delete", "d"]).ok();
    store.import(&put("d", "a", "1")).ok();
    let error = store.error(3, &["changes", "d", "--since", &cursor]);
    assert_eq!((&error["kind"], &error["dataset"]), (&"stale_recreated".into(), &"d".into()));
}

#[test]
fn a_cursor_of_another_store_is_of_another_lineage() {
    let (one, other) = (Store::of(&put("d", "a", "1")), Store::of(&put("d", "a", "1")));
    let error = other.error(3, &["changes", "d", "--since", &cursor_of(&one)]);
    assert!(
        ["stale_other_lineage", "stale_recreated"].contains(&error["kind"].as_str().expect("it is text")),
        "{error}"
    );
}

#[test]
fn a_trimmed_window_says_up_to_where() {
    let store = Store::of("");
    store.run(&["retention", "set", "d", "--keep", "window", "--history-entries", "2"]).ok();
    store.import(&(0..50).map(|i| put("d", "a", &i.to_string())).collect::<String>()).ok();
    let trimmed = store.json(&["compact"])[0]["compact"]["window_dropped"].as_u64().expect("it is a number");
    // Readers' grace keeps young entries: then nothing is stale yet.
    let ran = store.run(&["changes", "d", "--view", "every", "--since", "0", "--json"]);
    if trimmed > 0 {
        let error = ran.error(3);
        assert_eq!(error["kind"], "stale_trimmed");
        assert!(key(&error["floor"]) > 0);
    } else {
        assert_eq!(ran.ok().values().len(), 51);
    }
}
