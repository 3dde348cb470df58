use bytes::Bytes;
use serde_json::{Value, json};

use super::{an_entry, written};
use crate::json::*;
use crate::{Error, Op, Retention, Stale, StaleReason, SyncKey};

#[test]
fn an_entry_has_the_fields_of_the_contract() {
    let mut entry = an_entry(Op::Create, Some(br#"{"b":  1}"#));
    entry.origin = Some(Bytes::from_static(b"phone"));
    assert_eq!(
        written(crate::json::entry(b"d", &entry)),
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
        let line = written(entry(b"d", &an_entry(Op::Update, Some(payload))));
        assert!(line.contains(&format!("\"new\":true,{printed},\"time\"")), "{line}");
    }
}

#[test]
fn what_is_left_out_is_not_there() {
    let delete = written(entry(b"d", &an_entry(Op::Delete, None)));
    assert!(!delete.contains("payload") && !delete.contains("null") && !delete.contains("origin"), "{delete}");
    let mut bare = an_entry(Op::Update, None);
    bare.payload_len = 42;
    let bare = written(entry(b"d", &bare));
    assert!(bare.contains(r#""payload_len":42"#) && !bare.contains("payload\""), "{bare}");
}

#[test]
fn names_that_are_not_text_are_base64() {
    let mut entry = an_entry(Op::Delete, None);
    entry.entity = Bytes::from_static(&[0xff]);
    entry.origin = Some(Bytes::from_static(&[0xfe]));
    let value: Value = serde_json::from_str(&written(crate::json::entry(&[0xfd], &entry))).expect("it is JSON");
    let (dataset, entity, origin) = (&value["dataset_base64"], &value["entity_base64"], &value["origin_base64"]);
    assert_eq!([dataset, entity, origin], ["/Q==", "/w==", "/g=="]);
    assert!(value.get("dataset").or(value.get("entity")).or(value.get("origin")).is_none());
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
        Error::Evicted { consumer: text(), dataset: b"d".to_vec(), floor: 5 },
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
    let document = include_str!("../../../docs/json.md");
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
    let evicted = body("evicted");
    assert_eq!((&evicted["consumer"], &evicted["dataset"], &evicted["floor"]), (&"x".into(), &"d".into(), &"5".into()));
    assert_eq!(body("closed").as_object().map(|fields| fields.len()), Some(2));
}
