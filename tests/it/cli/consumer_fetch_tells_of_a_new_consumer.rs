use super::{Store, put};

#[test]
fn people_are_told_once() {
    let store = Store::of(&(put("d", "a", "1") + &put("c", "a", "1") + &put("e", "a", "1")));
    let fetch = |name: &str, dataset: &str| store.run(&["consumer", "fetch", name, dataset]).ok().err;
    // Others of the same name, or of the same dataset, are no reason to keep silent.
    assert!(fetch("mailer", "c").contains("registered consumer 'mailer' of dataset 'c'"));
    assert!(fetch("mailer", "e").contains("registered consumer 'mailer' of dataset 'e'"));
    assert!(fetch("indexer", "d").contains("registered consumer 'indexer' of dataset 'd'"));
    assert!(fetch("mailer", "d").contains("registered consumer 'mailer' of dataset 'd'"));
    assert_eq!(fetch("mailer", "d"), "");
}

#[test]
fn programs_are_not() {
    let store = Store::of(&put("d", "a", "1"));
    assert_eq!(store.run(&["consumer", "fetch", "mailer", "d", "--json"]).ok().err, "");
}
