use super::{Store, delete, put};

#[test]
fn get_prints_the_newest_entry() {
    let store = Store::of(&(put("d", "a", "1") + &put("d", "a", "{\"x\": 2}")));
    let ran = store.run(&["get", "d", "a", "--json"]).ok();
    assert!(ran.out.contains(r#""payload":{"x": 2},"#), "{}", ran.out);
    assert_eq!((&ran.values()[0]["op"], &ran.values()[0]["dataset"]), (&"update".into(), &"d".into()));
    let people = store.run(&["get", "d", "a"]).ok();
    assert!(people.out.contains("payload  {\"x\": 2}\n"), "{}", people.out);
}

#[test]
fn what_is_not_there_is_not_found() {
    let store = Store::of(&(put("d", "a", "1") + &delete("d", "a")));
    for entity in ["a", "never"] {
        let error = store.error(7, &["get", "d", entity]);
        let fields = (&error["kind"], &error["dataset"], &error["entity"]);
        assert_eq!(fields, (&"not_found".into(), &"d".into(), &entity.into()));
    }
    let error = store.error(7, &["get", "nowhere", "a"]);
    assert_eq!((&error["kind"], &error["dataset"]), (&"dataset_not_found".into(), &"nowhere".into()));
}
