use super::{Store, put};

#[test]
fn the_length_stands_in_place_of_the_payload() {
    let store = Store::of(&put("d", "a", "[1, 2, 3]"));
    let entry = &store.entries(&["changes", "d", "--no-payload"])[0];
    assert_eq!(entry["payload_len"], 9);
    assert!(entry.get("payload").or(entry.get("payload_base64")).is_none(), "{entry}");
    assert!(store.entries(&["changes", "d"])[0].get("payload_len").is_none());
}
