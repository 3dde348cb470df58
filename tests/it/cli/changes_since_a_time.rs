use std::thread::sleep;
use std::time::Duration;

use super::{Store, put, texts};

#[test]
fn a_time_is_a_place_to_begin() {
    let store = Store::of(&put("d", "before", "1"));
    sleep(Duration::from_millis(20));
    store.import(&put("d", "after", "1")).ok();
    let times: Vec<_> = store.entries(&["changes", "d"]).iter().map(|entry| entry["time"].to_string()).collect();
    assert_eq!(texts(&store.entries(&["changes", "d", "--since-time", &times[1]]), "entity"), ["after"]);
    assert_eq!(store.entries(&["changes", "d", "--since-time", &times[0]]).len(), 2);
    assert_eq!(store.error(2, &["changes", "d", "--since-time", "0", "--since", "0"])["kind"], "invalid");
}
