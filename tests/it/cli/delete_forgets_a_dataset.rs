use super::{Store, put, texts};

#[test]
fn a_deleted_dataset_is_gone_and_the_others_stay() {
    let store = Store::of(&(put("gone", "a", "1") + &put("kept", "b", "2")));
    assert_eq!(store.json(&["delete", "gone"])[0]["delete"]["dataset"], "gone");
    assert_eq!(texts(&store.entries(&["datasets"]), "dataset"), ["kept"]);
    for args in [&["changes", "gone"][..], &["delete", "gone"], &["stat", "gone"], &["entities", "gone"]] {
        assert_eq!(store.error(7, args)["kind"], "dataset_not_found", "{args:?}");
    }
    assert_eq!(store.entries(&["changes", "kept"]).len(), 1);
}
