use super::{Store, key, put, run};

#[test]
fn timestamp_keys_are_chosen_when_the_store_is_made_and_print_exactly() {
    let store = Store::new();
    run(store.command(&["import", "-", "--keys", "timestamp"]), &put("d", "a", "1")).ok();
    run(store.command(&["import", "-"]), &put("d", "b", "2")).ok();
    for entry in store.entries(&["changes", "d"]) {
        let time = entry["time"].as_u64().expect("it is a number");
        assert!(key(&entry["key"]) > 1 << 53, "{entry}");
        assert!(key(&entry["key"]) >> 20 >= time, "{entry}");
    }
}
