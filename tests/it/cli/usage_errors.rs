use super::{Store, put};

#[test]
fn wrong_usage_ends_with_2_and_changes_nothing() {
    let store = Store::of(&put("d", "a", "1"));
    for args in [
        &[][..],
        &["frobnicate"],
        &["changes"],
        &["changes", "d", "--limit", "0"],
        &["changes", "d", "--limit", "x"],
        &["changes", "d", "--view", "some"],
        &["stat", "--memory", "lots"],
        &["stat", "--memory", "1K"],
        &["import"],
        &["import", "-", "--keys", "random"],
        &["consumer", "ack", "c", "d"],
    ] {
        let error = store.error(2, args);
        assert_eq!(error["kind"], "invalid", "{args:?}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()));
        let people = store.run(args);
        assert_eq!((people.code, people.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(!people.err.is_empty());
    }
}

#[test]
fn a_wrong_number_is_told_in_plain_words() {
    let store = Store::new();
    for (args, said) in [
        (&["changes", "d", "--limit", "0"][..], "at least 1"),
        (&["recent", "d", "--limit", "x"], "a whole number"),
        (&["changes", "d", "--since-time", "abc"], "in milliseconds since 1970"),
    ] {
        let error = store.error(2, args);
        let message = error["message"].as_str().expect("it is text");
        assert!(message.contains(args[2]) && message.contains(said), "{args:?}: {message}");
    }
}

#[test]
fn an_empty_name_is_bad_input() {
    let store = Store::of(&put("d", "a", "1"));
    for args in [&["changes", ""][..], &["get", "d", ""], &["retention", "set", "", "--keep", "live"]] {
        let ran = store.run(&[args, &["--json"]].concat());
        assert!([Some(2), Some(7)].contains(&ran.code), "{args:?}: {ran:?}");
    }
    let long = "x".repeat(2000);
    assert_eq!(store.error(2, &["retention", "set", &long, "--keep", "live"])["kind"], "invalid");
}

#[test]
fn help_and_version_are_no_errors() {
    let store = Store::new();
    assert!(store.run(&["--help"]).ok().out.contains("Exit codes: 0 fine"));
    assert!(store.run(&["--version"]).ok().out.starts_with("tidelog "));
}
