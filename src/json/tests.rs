use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::types::ChangeOp;
use crate::{Batch, Entry, Error, Expect, Op, Retention, Stale, StaleReason, SyncKey};

fn batch(text: &str) -> Batch {
    commit(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refused(text: &str) -> String {
    match commit(text) {
        Err(Error::Invalid { what }) => what,
        other => panic!("{text} gave {other:?}"),
    }
}

fn an_entry(op: Op, payload: Option<&[u8]>) -> Entry {
    Entry {
        key: SyncKey::new(1 << 60),
        op,
        entity: Bytes::from_static(b"e"),
        payload_len: payload.map_or(0, <[u8]>::len),
        payload: payload.map(Bytes::copy_from_slice),
        time_ms: 1_700_000_000_000,
        origin: None,
        new: true,
        last: false,
    }
}

fn written(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).expect("it serialises")
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
fn an_entry_has_the_fields_of_the_contract() {
    let mut entry = an_entry(Op::Create, Some(br#"{"b":  1}"#));
    entry.origin = Some(Bytes::from_static(b"phone"));
    assert_eq!(
        written(super::entry(b"d", &entry)),
        concat!(
            r#"{"dataset":"d","key":"1152921504606846976","op":"create","entity":"e","new":true,"#,
            r#""payload":{"b":  1},"time":1700000000000,"origin":"phone","last":false}"#
        )
    );
}

#[test]
fn a_payload_is_printed_verbatim_only_if_it_is_one_line_of_json() {
    for (payload, printed) in [
        (&b"[1, 2]"[..], r#""payload":[1, 2]"#),
        (b"null", r#""payload":null"#),
        (b"", r#""payload_base64":"""#),
        (b" 1", r#""payload_base64":"IDE=""#),
        (b"1 ", r#""payload_base64":"MSA=""#),
        (b"[1,\n2]", r#""payload_base64":"WzEsCjJd""#),
        (b"[1,\r2]", r#""payload_base64":"WzEsDTJd""#),
        (b"1 2", r#""payload_base64":"MSAy""#),
        (b"text", r#""payload_base64":"dGV4dA==""#),
        (b"\"\xff\"", r#""payload_base64":"Iv8i""#),
        (b"01", r#""payload_base64":"MDE=""#),
    ] {
        let line = written(super::entry(b"d", &an_entry(Op::Update, Some(payload))));
        assert!(line.contains(&format!("\"new\":true,{printed},\"time\"")), "{line}");
    }
}

#[test]
fn what_is_left_out_is_not_there() {
    let delete = written(super::entry(b"d", &an_entry(Op::Delete, None)));
    assert!(!delete.contains("payload") && !delete.contains("null") && !delete.contains("origin"), "{delete}");
    let mut bare = an_entry(Op::Update, None);
    bare.payload_len = 42;
    let bare = written(super::entry(b"d", &bare));
    assert!(bare.contains(r#""payload_len":42"#) && !bare.contains("payload\""), "{bare}");
}

#[test]
fn names_that_are_not_text_are_base64() {
    let mut entry = an_entry(Op::Delete, None);
    entry.entity = Bytes::from_static(&[0xff]);
    entry.origin = Some(Bytes::from_static(&[0xfe]));
    let value: Value = serde_json::from_str(&written(super::entry(&[0xfd], &entry))).expect("it is JSON");
    let (dataset, entity, origin) = (&value["dataset_base64"], &value["entity_base64"], &value["origin_base64"]);
    assert_eq!([dataset, entity, origin], ["/Q==", "/w==", "/g=="]);
    assert!(value.get("dataset").or(value.get("entity")).or(value.get("origin")).is_none());
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

#[test]
fn a_list_says_where_to_go_on() {
    assert_eq!(written(ListPage::end(false)), r#"{"page":{"more":false}}"#);
    assert_eq!(written(ListPage::after(b"e")), r#"{"page":{"more":true,"after":"e"}}"#);
    assert_eq!(written(ListPage::after(&[0xff])), r#"{"page":{"more":true,"after_base64":"/w=="}}"#);
    assert_eq!(written(ListPage::before(SyncKey::new(9))), r#"{"page":{"more":true,"before":"9"}}"#);
}

#[test]
fn a_cap_that_does_not_apply_is_null() {
    let value: Value = serde_json::from_str(&written(retention(&Retention::default()))).expect("it is JSON");
    assert_eq!(
        value,
        json!({
            "keep": "live",
            "history": {"entries": 100_000, "bytes": null, "age_ms": null},
            "tombstones": {"entries": null, "bytes": null, "age_ms": 2_592_000_000_u64},
        })
    );
}

/// One error of each kind but `interrupted`, which is the command line's own.
fn errors() -> Vec<Error> {
    let text = || "x".to_owned();
    let stale = |reason| Error::Stale(Stale { reason, dataset: b"d".to_vec(), position: 3, floor: 5 });
    vec![
        Error::Invalid { what: text() },
        stale(StaleReason::Trimmed),
        stale(StaleReason::HistoryTrimmed),
        stale(StaleReason::OtherLineage),
        stale(StaleReason::Recreated),
        stale(StaleReason::Future),
        stale(StaleReason::Malformed),
        Error::Evicted { consumer: text(), floor: 5 },
        Error::Conflict { dataset: b"d".to_vec(), entity: b"\xff".to_vec(), current: Some(7) },
        Error::IdempotencyMismatch { id: b"i".to_vec(), first: 7 },
        Error::Damaged { file: "f".into(), offset: Some(4096), what: text() },
        Error::Locked { dir: "f".into() },
        Error::DatasetNotFound { dataset: b"d".to_vec() },
        Error::NotFound { what: text() },
        Error::OutcomeUnknown { cause: text() },
        Error::Poisoned { cause: text() },
        Error::NoSpace { what: text() },
        Error::Busy { what: text() },
        Error::SealFailed { cause: text() },
        Error::FormatTooNew { file: "f".into(), found: 2, supported: 1 },
        Error::Closed,
        Error::Io { what: text(), source: std::io::Error::other("y") },
        Error::Store { what: text(), cause: text() },
    ]
}

#[test]
fn every_kind_stands_in_the_table_with_its_exit_code() {
    let of_errors: Vec<_> = errors().iter().map(|e| (e.kind(), exit_code(e))).collect();
    assert_eq!(KINDS[..KINDS.len() - 1], of_errors);
    assert_eq!(KINDS.last(), Some(&("interrupted", 1)));
}

#[test]
fn the_document_lists_every_kind_with_its_exit_code() {
    let document = include_str!("../../docs/json.md");
    let table = document.split_once("| kind | exit code | meaning |").expect("the table exists").1;
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).collect();
    for ((kind, code), row) in KINDS.iter().zip(&rows) {
        assert!(row.starts_with(&format!("| `{kind}` | {code} | ")), "{kind} {code} expected, found {row}");
    }
    assert_eq!(rows.len(), KINDS.len());
}

#[test]
fn an_error_names_what_it_concerns() {
    let find = |kind: &str| errors().into_iter().find(|e| e.kind() == kind).expect("the kind exists");
    let body = |kind: &str| serde_json::to_value(error(&find(kind))).expect("it serialises");
    let conflict = body("conflict");
    assert_eq!(conflict["kind"], "conflict");
    assert_eq!(
        (&conflict["dataset"], &conflict["entity_base64"], &conflict["key"]),
        (&"d".into(), &"/w==".into(), &"7".into())
    );
    let trimmed = body("stale_trimmed");
    assert_eq!((&trimmed["dataset"], &trimmed["key"], &trimmed["floor"]), (&"d".into(), &"3".into(), &"5".into()));
    let damaged = body("damaged");
    assert_eq!((&damaged["file"], &damaged["offset"]), (&"f".into(), &4096.into()));
    assert_eq!(body("locked")["file"], "f");
    assert_eq!(body("evicted")["floor"], "5");
    assert_eq!(body("closed").as_object().map(|fields| fields.len()), Some(2));
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..8), "\\PC{0,8}".prop_map(String::into_bytes)]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..16),
        r#"[ \[\]{}",:0-9eE.+\\u\n-]{0,12}"#.prop_map(String::into_bytes),
        "[1-9][0-9]{0,40}".prop_map(String::into_bytes),
    ]
}

proptest! {
    /// What is exported reads back as the same changes, byte for byte, however odd the names and payloads.
    #[test]
    fn exported_entries_read_back(
        dataset in name(),
        origin in proptest::option::of(name()),
        rows in proptest::collection::vec((name(), payload(), 1u8..4), 1..5),
    ) {
        let entries: Vec<Entry> = rows
            .iter()
            .map(|(entity, payload, op)| {
                let op = Op::from_byte(*op).expect("it is an op");
                let mut entry = an_entry(op, (op != Op::Delete).then_some(&payload[..]));
                entry.entity = Bytes::from(entity.clone());
                entry.origin = origin.clone().map(Bytes::from);
                entry
            })
            .collect();
        for exported in [Exported::State, Exported::Log] {
            let line = written(export(&dataset, &entries, exported));
            prop_assert!(!line.contains(['\n', '\r']));
            let batch = commit(&line).expect("it reads back");
            prop_assert_eq!(batch.origin.as_deref(), origin.as_deref());
            prop_assert_eq!(batch.len(), entries.len());
            for (change, entry) in batch.changes.iter().zip(&entries) {
                let op = match (exported, entry.op) {
                    (_, Op::Delete) => ChangeOp::Delete,
                    (Exported::Log, Op::Update) => ChangeOp::Update,
                    _ => ChangeOp::Create,
                };
                prop_assert_eq!(change.op, op);
                prop_assert_eq!((&change.dataset[..], &change.entity), (&dataset[..], &entry.entity));
                prop_assert_eq!(&change.payload[..], entry.payload.as_deref().unwrap_or_default());
            }
        }
    }

    /// An entry prints as one line of JSON with the payload's exact bytes.
    #[test]
    fn printed_entries_hold_their_payload(dataset in name(), payload in payload()) {
        let entry = an_entry(Op::Update, Some(&payload));
        let line = written(super::entry(&dataset, &entry));
        prop_assert!(!line.contains(['\n', '\r']));
        let value: Value = serde_json::from_str(&line).or_else(|_| {
            // A number beyond a double's range is JSON, and printed, but not a `Value`.
            serde_json::from_str(&line.replace(std::str::from_utf8(&payload).expect("it was text"), "0"))
        }).expect("it is JSON");
        match value.get("payload_base64") {
            Some(text) => prop_assert_eq!(decode_base64("x", text.as_str().expect("text")).expect("it decodes"), payload),
            None => prop_assert!(line.contains(std::str::from_utf8(&payload).expect("it was text"))),
        }
    }

    /// Whatever the text, reading it ends with a batch or with an `invalid`, never otherwise.
    #[test]
    fn hostile_text_is_refused_not_fatal(text in r#"[\[\]{}",:a-z0-9_\\ -]{0,60}"#) {
        if let Err(e) = commit(&text) {
            prop_assert_eq!(e.kind(), "invalid");
        }
    }

    /// Whatever is cut from or put into a good line, it is read or refused.
    #[test]
    fn damaged_lines_are_refused_not_fatal(at in 0usize..120, len in 0usize..20, put in "\\PC{0,4}") {
        let good = r#"{"changes":[{"dataset":"d","op":"put","entity":"e","payload":{"a":[1,2]},"expect":"12"}],"id":"i"}"#;
        let (at, end) = (at.min(good.len()), (at + len).min(good.len()));
        let text = format!("{}{put}{}", &good[..at], &good[end..]);
        if let Err(e) = commit(&text) {
            prop_assert_eq!(e.kind(), "invalid");
        }
    }

    #[test]
    fn base64_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(decode_base64("x", &encode_base64(&bytes)).expect("it decodes"), bytes);
    }
}
