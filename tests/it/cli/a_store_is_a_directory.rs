use super::{Store, put};

#[test]
fn a_file_in_its_place_is_bad_input_and_stays() {
    let store = Store::new();
    std::fs::write(store.data(), "mine").expect("it can be written");
    for args in [&["stat"][..], &["changes", "d"], &["verify"], &["restore", "/nowhere"]] {
        let error = store.error(2, args);
        assert_eq!(error["kind"], "invalid", "{args:?}");
        let message = error["message"].as_str().expect("it is text");
        assert!(message.contains("is not a directory") && message.contains("--data"), "{args:?}: {message}");
    }
    assert_eq!(store.import(&put("d", "a", "1")).error(2)["kind"], "invalid");
    assert_eq!(std::fs::read(store.data()).expect("it can be read"), b"mine");
}
