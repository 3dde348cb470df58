use serde_json::{Value, json};

use super::{Store, put};

fn retention(store: &Store, args: &[&str]) -> Value {
    store.json(&[&["retention"], args].concat())[0]["retention"].take()
}

#[test]
fn only_what_is_named_changes() {
    let store = Store::of(&put("d", "a", "1"));
    let mut expected = retention(&store, &["show", "d"]);
    assert_eq!(
        expected,
        json!({
            "dataset": "d",
            "keep": "live",
            "history": {"entries": 100_000, "bytes": null, "age_ms": null},
            "tombstones": {"entries": null, "bytes": null, "age_ms": 2_592_000_000_u64},
        })
    );
    for (flag, value, place, field, set) in [
        ("--history-entries", "5", "history", "entries", json!(5)),
        ("--history-bytes", "64K", "history", "bytes", json!(65_536)),
        ("--history-age", "12h", "history", "age_ms", json!(43_200_000)),
        ("--tombstone-entries", "7", "tombstones", "entries", json!(7)),
        ("--tombstone-bytes", "1000", "tombstones", "bytes", json!(1000)),
        ("--tombstone-age", "500ms", "tombstones", "age_ms", json!(500)),
        ("--history-entries", "none", "history", "entries", json!(null)),
        ("--tombstone-age", "none", "tombstones", "age_ms", json!(null)),
    ] {
        expected[place][field] = set;
        assert_eq!(retention(&store, &["set", "d", flag, value]), expected, "{flag}");
        assert_eq!(retention(&store, &["show", "d"]), expected, "{flag}");
    }
    expected["keep"] = "live".into();
    assert_eq!(retention(&store, &["set", "d", "--keep", "live"]), expected);
}

#[test]
fn a_dataset_can_be_set_up_before_its_first_entry() {
    let store = Store::of("");
    let set = retention(&store, &["set", "events", "--keep", "window", "--history-entries", "800"]);
    assert_eq!((&set["keep"], &set["history"]["entries"]), (&"window".into(), &800.into()));
    assert_eq!(store.entries(&["datasets"])[0]["dataset"], "events");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let store = Store::of(&put("d", "a", "1"));
    for args in [
        &["set", "d"][..],
        &["set", "d", "--history-age", "30"],
        &["set", "d", "--history-entries", "many"],
        &["set", "d", "--keep", "some"],
        &["set", "d", "--history-bytes=-1"],
    ] {
        assert_eq!(store.error(2, &[&["retention"], args].concat())["kind"], "invalid", "{args:?}");
    }
    assert_eq!(store.error(7, &["retention", "show", "nowhere"])["kind"], "dataset_not_found");
}
