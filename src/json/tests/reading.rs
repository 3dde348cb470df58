use crate::json::{commit, is_conditional, key, payload_json};
use crate::types::ChangeOp;
use crate::{Batch, Error, Expect, SyncKey};

fn batch(text: &str) -> Batch {
    commit(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refused(text: &str) -> String {
    match commit(text) {
        Err(Error::Invalid { what }) => what,
        other => panic!("{text} gave {other:?}"),
    }
}

#[test]
fn a_commit_holds_its_changes_in_order() {
    let batch = batch(
        r#"{"changes":[
            {"dataset":"d","op":"create","entity":"a","payload":{"x": 1}},
            {"dataset":"d","op":"update","entity":"b","payload_base64":"AP8=","expect":"present"},
            {"dataset":"d","op":"put","entity":"c","payload":null,"expect":7},
            {"dataset_base64":"/w==","op":"delete","entity_base64":"/g==","expect":"9007199254740993"}
        ],"id":"i","origin":"o"}"#,
    );
    let ops: Vec<_> = batch.changes.iter().map(|c| (c.op, &c.dataset[..], &c.entity[..], &c.payload[..])).collect();
    assert_eq!(
        ops,
        [
            (ChangeOp::Create, &b"d"[..], &b"a"[..], &br#"{"x": 1}"#[..]),
            (ChangeOp::Update, b"d", b"b", &[0, 0xff]),
            (ChangeOp::Put, b"d", b"c", b"null"),
            (ChangeOp::Delete, &[0xff], &[0xfe], b""),
        ]
    );
    let expected: Vec<_> = batch.changes.iter().map(|c| c.expect).collect();
    let at = |key| Some(Expect::At(SyncKey::new(key)));
    assert_eq!(expected, [None, Some(Expect::Present), at(7), at(9_007_199_254_740_993)]);
    assert_eq!(batch.idempotency_id.as_deref(), Some(&b"i"[..]));
    assert_eq!(batch.origin.as_deref(), Some(&b"o"[..]));
}

#[test]
fn a_single_change_is_a_commit_of_one() {
    let batch = batch(r#" {"dataset":"d","op":"put","entity":"e","payload": [1, 2]  } "#);
    assert_eq!((batch.len(), &batch.changes[0].payload[..]), (1, &b"[1, 2]"[..]));
    assert_eq!((batch.idempotency_id, batch.origin), (None, None));
}

#[test]
fn payloads_keep_their_source_text() {
    for text in ["1e999999", "-0.0", "123456789012345678901234567890", r#""\ud800""#, r#"{"a":1,"a":2}"#, "\"\u{e9}\""]
    {
        let batch = batch(&format!(r#"{{"dataset":"d","op":"put","entity":"e","payload":{text}}}"#));
        assert_eq!(batch.changes[0].payload, text.as_bytes());
        let payload = payload_json(text.as_bytes()).expect("it is JSON");
        assert_eq!(payload.get(), text);
    }
}

#[test]
fn a_deeply_nested_payload_costs_its_length_only() {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    let batch = batch(&format!(r#"{{"dataset":"d","op":"put","entity":"e","payload":{deep}}}"#));
    assert_eq!(batch.changes[0].payload.len(), 2_000_000);
    assert!(payload_json(deep.as_bytes()).is_some());
    assert!(payload_json(&deep.as_bytes()[1..]).is_none());
    assert!(refused(&format!(r#"{{"changes":{deep}}}"#)).contains("an object"));
}

#[test]
fn what_is_wrong_is_said() {
    let one = |fields: &str| format!(r#"{{"dataset":"d","op":"put","entity":"e",{fields}}}"#);
    for (text, said) in [
        ("", "EOF"),
        ("[]", "a commit or a change"),
        ("1", "a commit or a change"),
        ("{}", "`op` is missing"),
        (r#"{"op":"put","entity":"e","payload":1}"#, "`dataset`"),
        (r#"{"op":"put","dataset":"d","payload":1}"#, "`entity`"),
        (r#"{"op":"upsert","dataset":"d","entity":"e","payload":1}"#, "unknown op `upsert`"),
        (r#"{"op":{"put":null},"dataset":"d","entity":"e","payload":1}"#, "invalid type: map"),
        (r#"["d","put"]"#, "an object"),
        (r#"{"changes":[["d",null,"put","e",null,1]]}"#, "an object"),
        (&one(r#""payload":1,"payload_base64":"AA==""#), "exclude each other"),
        (&one(r#""payload":1,"dataset_base64":"AA==""#), "`dataset` and `dataset_base64` exclude"),
        (&one(r#""payload":1,"entity_base64":"AA==""#), "`entity` and `entity_base64` exclude"),
        (&one(r#""expect":"absent""#), "need `payload`"),
        (r#"{"dataset":"d","op":"delete","entity":"e","payload":null}"#, "a delete takes no payload"),
        (r#"{"dataset":"d","op":"delete","entity":"e","payload_base64":""}"#, "a delete takes no payload"),
        (&one(r#""payload":1,"payload":1"#), "duplicate field `payload`"),
        (&one(r#""payload":1,"entity":"f""#), "duplicate field `entity`"),
        (&one(r#""payload":1,"colour":1"#), "unknown field `colour`"),
        (&one(r#""payload":1,"id":"i""#), "`id` and `origin` belong to a commit"),
        (&one(r#""payload":1,"changes":[]"#), "inside `changes`"),
        (&one(r#""payload":01"#), "column"),
        (&one(r#""payload":1} {"#), "trailing characters"),
        (&one(r#""payload_base64":"AA""#), "`payload_base64` is not standard base64"),
        (&one(r#""payload_base64":"A=""#), "`payload_base64` is not standard base64"),
        (&one(r#""payload_base64":"AB==""#), "`payload_base64` is not standard base64"),
        (&one(r#""payload_base64":"AA==\n""#), "`payload_base64` is not standard base64"),
        (&one(r#""payload_base64":"_w==""#), "`payload_base64` is not standard base64"),
        (&one(r#""payload_base64":null"#), "null"),
        (&one(r#""payload":1,"expect":null"#), "null"),
        (&one(r#""payload":1,"expect":-1"#), "a key"),
        (&one(r#""payload":1,"expect":1.5"#), "a key"),
        (&one(r#""payload":1,"expect":18446744073709551616"#), "a key"),
        (&one(r#""payload":1,"expect":"18446744073709551616""#), "a key"),
        (&one(r#""payload":1,"expect":"+1""#), "a key"),
        (&one(r#""payload":1,"expect":"""#), "a key"),
        (&one(r#""payload":1,"expect":"Absent""#), "a key"),
        (&one("\"payload\":\"\u{1}\""), "control character"),
        (r#"{"dataset":"\ud800","op":"put","entity":"e","payload":1}"#, "hex escape"),
        (r#"{"changes":[],"changes":[]}"#, "duplicate field `changes`"),
        (r#"{"changes":{}}"#, "a list of changes"),
        (r#"{"changes":null}"#, "a list of changes"),
        (r#"{"changes":[{"dataset":"d","op":"put","entity":"e","payload":1},{"op":"put"}]}"#, "change 2: `dataset`"),
        (r#"{"changes":[],"origin":"o","origin_base64":"AA=="}"#, "`origin` and `origin_base64` exclude"),
    ] {
        let what = refused(text);
        assert!(what.contains(said), "{text} said: {what}");
        assert!(!what.contains("at line"), "{text} said: {what}");
    }
}

#[test]
fn an_empty_list_is_left_to_the_engine() {
    assert!(batch(r#"{"changes":[]}"#).is_empty());
}

#[test]
fn more_changes_than_a_commit_holds_are_refused() {
    let one = r#"{"dataset":"d","op":"delete","entity":"e"},"#;
    let text = format!(r#"{{"changes":[{}{}]}}"#, one.repeat(crate::limits::MAX_COMMIT_CHANGES), &one[..one.len() - 1]);
    assert!(refused(&text).contains("at most 1048576 changes"));
}

#[test]
fn keys_are_decimal_digits() {
    assert_eq!(key("0").ok(), Some(SyncKey::ZERO));
    assert_eq!(key("18446744073709551615").ok(), Some(SyncKey::new(u64::MAX)));
    for text in ["", "+1", "-1", " 1", "1 ", "1e3", "0x1", "18446744073709551616", "\u{0661}", "c1"] {
        assert!(matches!(key(text), Err(Error::Invalid { .. })), "{text}");
    }
}

#[test]
fn a_batch_that_depends_on_others_is_conditional() {
    for (text, conditional) in [
        (r#"{"dataset":"d","op":"delete","entity":"e"}"#, false),
        (r#"{"dataset":"d","op":"delete","entity":"e","expect":"present"}"#, true),
        (r#"{"changes":[{"dataset":"d","op":"delete","entity":"e"}],"id":"i"}"#, true),
        (r#"{"changes":[{"dataset":"d","op":"delete","entity":"e"}],"origin":"o"}"#, false),
    ] {
        assert_eq!(is_conditional(&batch(text)), conditional, "{text}");
    }
}
