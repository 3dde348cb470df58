use super::{Store, put};

#[test]
fn a_bad_line_stops_with_its_number_and_what_came_before() {
    for (bad, said) in [
        ("{\"dataset\":\"d\"}", "`op` is missing"),
        ("nonsense", "expected"),
        ("{\"changes\":[]}", ""),
        (r#"{"dataset":"d","op":"put","entity":5,"payload":1}"#, "`entity`: invalid type: integer `5`"),
        (r#"{"changes":[{"dataset":null,"op":"put","entity":"e","payload":1}]}"#, "`dataset`: invalid type: null"),
        (r#"{"dataset":"","op":"put","entity":"e","payload":1}"#, ""),
        (r#"{"dataset":"d","op":"put","entity":"","payload":1}"#, ""),
        (r#"{"dataset":"d","op":"put","entity":"e","payload":1,"payload":1}"#, "duplicate field"),
    ] {
        let store = Store::new();
        let ran = store.import(&format!("{}\n{}{bad}\n{}", put("d", "a", "1"), put("d", "b", "2"), put("d", "c", "3")));
        let error = ran.error(2);
        assert_eq!((&error["kind"], &error["line"]), (&"invalid".into(), &4.into()), "{bad}: {error}");
        let message = error["message"].as_str().expect("it is text");
        assert!(message.starts_with("line 4: ") && message.contains(said), "{bad}: {message}");
        let committed = &error["committed"];
        assert_eq!((&committed["commits"], &committed["entries"]), (&2.into(), &2.into()), "{bad}: {error}");
        assert!(committed["first"].is_string() && committed["last"].is_string(), "{error}");
        let there = store.entries(&["changes", "d"]);
        assert_eq!(super::texts(&there, "entity"), ["a", "b"], "{bad}");
    }
}

#[test]
fn people_are_told_as_well() {
    let store = Store::new();
    let ran = super::run(store.command(&["import", "-"]), &format!("{}{{}}\n", put("d", "a", "1")));
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(
        ran.err.starts_with("error: line 2: ") && ran.err.contains("committed before it: 1 commit, 1 entry, keys ")
    );
}

#[test]
fn a_source_that_cannot_be_read_is_bad_input_and_makes_no_store() {
    let store = Store::new();
    for source in ["missing.jsonl", "/"] {
        assert_eq!(store.error(2, &["import", source])["kind"], "invalid");
    }
    assert!(!store.data().exists());
}
