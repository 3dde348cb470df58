use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::{an_entry, written};
use crate::json::{Exported, commit, decode_base64, encode_base64, export};
use crate::types::ChangeOp;
use crate::{Entry, Op};

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
        let line = written(crate::json::entry(&dataset, &entry));
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
