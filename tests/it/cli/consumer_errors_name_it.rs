use super::{Store, put};

#[test]
fn a_key_above_what_is_visible_is_named_beside_the_last_one() {
    let store = Store::of(&put("d", "a", "1"));
    let visible = store.json(&["stat"])[0]["stat"]["visible"].as_str().expect("a key is text").to_owned();
    let error = store.error(3, &["consumer", "ack", "mailer", "d", "123456789"]);
    assert_eq!((&error["kind"], &error["key"]), (&"stale_future".into(), &"123456789".into()));
    let message = error["message"].as_str().expect("it is text");
    assert!(message.contains("key 123456789 ") && message.contains(&format!(" is {visible};")), "{message}");
    assert!(!message.contains("cursor"), "{message}");
}

#[test]
fn an_unknown_consumer_is_named_with_its_dataset() {
    let store = Store::of(&put("\u{e9}t\u{e9}", "a", "1"));
    let error = store.error(7, &["consumer", "remove", "mailer", "\u{e9}t\u{e9}"]);
    assert_eq!(
        (&error["kind"], &error["consumer"], &error["dataset"]),
        (&"not_found".into(), &"mailer".into(), &"\u{e9}t\u{e9}".into())
    );
    let message = error["message"].as_str().expect("it is text");
    assert!(message.contains("consumer 'mailer' of dataset '\u{e9}t\u{e9}'"), "{message}");
}
