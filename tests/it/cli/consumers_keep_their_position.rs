use serde_json::json;

use super::{Store, put, texts};

#[test]
fn a_consumer_gets_what_it_has_not_acknowledged() {
    let store = Store::of(&["a", "b", "c"].map(|entity| put("d", entity, "1")).concat());
    let fetched = store.entries(&["consumer", "fetch", "mailer", "d", "--limit", "2"]);
    assert_eq!(texts(&fetched, "entity"), ["a", "b"]);
    assert_eq!(
        store.entries(&["consumer", "fetch", "mailer", "d", "--limit", "2"]),
        fetched,
        "nothing was acknowledged"
    );
    let second = fetched[1]["key"].as_str().expect("a key is text");
    let acked = json!({"ack": {"consumer": "mailer", "dataset": "d", "key": second}});
    assert_eq!(store.json(&["consumer", "ack", "mailer", "d", second])[0], acked);
    let first = fetched[0]["key"].as_str().expect("a key is text");
    assert_eq!(store.json(&["consumer", "ack", "mailer", "d", first])[0], acked, "a position never goes back");
    assert_eq!(texts(&store.entries(&["consumer", "fetch", "mailer", "d"]), "entity"), ["c"]);
    let listed = json!({"consumer": "mailer", "dataset": "d", "key": second, "evicted": false});
    assert_eq!(store.entries(&["consumer", "list"]), [listed]);
    store.run(&["consumer", "remove", "mailer", "d"]).ok();
    assert!(store.entries(&["consumer", "list"]).is_empty());
}

#[test]
fn what_was_never_given_cannot_be_acknowledged() {
    let store = Store::of(&put("d", "a", "1"));
    let ran = store.run(&["consumer", "ack", "mailer", "d", "123456789", "--json"]);
    assert!([Some(2), Some(3)].contains(&ran.code), "{ran:?}");
    assert_eq!(store.error(2, &["consumer", "ack", "mailer", "d", "soon"])["kind"], "invalid");
    assert_eq!(store.error(7, &["consumer", "fetch", "mailer", "nowhere"])["kind"], "dataset_not_found");
}
