use super::{Store, put};

#[test]
fn what_retention_does_not_keep_goes_once_readers_had_their_time() {
    let store = Store::of(&(0..20).map(|i| put("d", "a", &i.to_string())).collect::<String>());
    store.run(&["retention", "set", "d", "--history-entries", "3"]).ok();
    let report = store.json(&["compact", "d"])[0]["compact"].take();
    let dropped = report["superseded_dropped"].as_u64().expect("it is a number");
    let stat = store.json(&["stat", "d"])[0]["stat"].take();
    // All of it is younger than the grace given to readers (15 minutes), so it may still be held back; what was
    // dropped and what is there always add up.
    assert_eq!(stat["superseded"].as_u64().map(|kept| kept + dropped), Some(19), "{report} {stat}");
    assert_eq!(stat["retention"]["history"]["entries"], 3);
    assert_eq!(store.entries(&["changes", "d"])[0]["payload"], 19);
}
