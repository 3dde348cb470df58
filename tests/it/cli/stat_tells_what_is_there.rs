use super::{Store, delete, key, put};

#[test]
fn a_dataset_is_counted() {
    let lines = [put("d", "a", "12345"), put("d", "a", "1"), put("d", "b", "1"), delete("d", "b")];
    let store = Store::of(&lines.concat());
    let stat = store.json(&["stat", "d"])[0]["stat"].take();
    assert_eq!((&stat["dataset"], &stat["entries"], &stat["tombstones"]), (&"d".into(), &4.into(), &1.into()));
    assert_eq!((&stat["superseded"], &stat["bytes"]), (&2.into(), &(4 + 5 + 1 + 1).into()));
    let every = store.entries(&["changes", "d", "--view", "every"]);
    assert_eq!((&stat["head"], &stat["time"]), (&every[3]["key"], &every[3]["time"]));
    assert_eq!((key(&stat["floor"]), key(&stat["history_floor"])), (0, 0));
    assert_eq!(stat["retention"]["keep"], "live");
    assert!(store.run(&["stat", "d"]).ok().out.contains("superseded     2\n"));
}

#[test]
fn the_store_is_counted() {
    let store = Store::of(&(put("a", "x", "1") + &put("b", "x", "1")));
    let stat = store.json(&["stat"])[0]["stat"].take();
    assert_eq!(stat["datasets"], 2);
    assert!(key(&stat["visible"]) >= 2 && key(&stat["lineage"]) > 0, "{stat}");
    assert!(stat["log_bytes"].is_u64() && stat["store_bytes"].is_u64(), "{stat}");
    assert!(stat["dir"].as_str().expect("it is text").ends_with("data"));
}
