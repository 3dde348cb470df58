use super::{Store, put, texts};

#[test]
fn datasets_are_listed_in_order() {
    let store = Store::of(&["mail/b", "mail/a", "notes", "mails"].map(|dataset| put(dataset, "e", "1")).concat());
    assert_eq!(texts(&store.entries(&["datasets"]), "dataset"), ["mail/a", "mail/b", "mails", "notes"]);
    assert_eq!(texts(&store.entries(&["datasets", "mail/"]), "dataset"), ["mail/a", "mail/b"]);
    assert_eq!(store.run(&["datasets", "n"]).ok().out, "notes\n");
    assert_eq!(store.run(&["datasets", "x"]).ok().out, "");
}

#[test]
fn more_datasets_than_are_asked_for_at_once() {
    let store = Store::of(&(0..1500).map(|i| put(&format!("{i:04}"), "e", "1")).collect::<String>());
    assert_eq!(store.entries(&["datasets"]).len(), 1500);
}
