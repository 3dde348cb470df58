//! What stands on the wire (docs/json.md) and the engine's words for it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::{Error, Result};
use crate::limits::{MAX_ENTITY_BYTES, MAX_PAYLOAD_BYTES};
use crate::types::entries::Builder;
use crate::{Cursor, Entry, Op, Page, Pending, SyncKey};

/// A key or a difference of keys: decimal digits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Digits(pub u64);

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digits, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Digits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("decimal digits")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Digits, E> {
                Ok(Digits(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Digits, E> {
                text.parse().map(Digits).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Text)
    }
}

pub(super) fn decode(field: &str, text: &str) -> Result<Bytes> {
    let bytes = STANDARD.decode(text).map_err(|e| Error::unexpected(format!("`{field}_base64` is none: {e}")))?;
    Ok(bytes.into())
}

/// The bytes of a name that stands there as text, as base64, or not at all.
pub(super) fn name(field: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Bytes>> {
    match (text, base64) {
        (Some(text), _) => Ok(Some(text.into())),
        (None, Some(base64)) => decode(field, &base64).map(Some),
        (None, None) => Ok(None),
    }
}

/// The same where it must stand.
pub(super) fn needed(field: &str, text: Option<String>, base64: Option<String>) -> Result<Bytes> {
    name(field, text, base64)?.ok_or_else(|| Error::unexpected(format!("`{field}` is missing")))
}

/// Bytes as text if they are, and else as base64: one of the two is there.
pub(super) fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// A name in a list: text, or an object with its base64.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum NameBody<'a> {
    Text(&'a str),
    Base64 { base64: String },
}

impl<'a> NameBody<'a> {
    pub fn of(bytes: &'a [u8]) -> NameBody<'a> {
        match text_or_base64(bytes) {
            (Some(text), _) => NameBody::Text(text),
            (None, base64) => NameBody::Base64 { base64: base64.unwrap_or_default() },
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum NameWire {
    Text(String),
    Base64 { base64: String },
}

impl NameWire {
    pub fn bytes(self) -> Result<Bytes> {
        match self {
            NameWire::Text(text) => Ok(text.into()),
            NameWire::Base64 { base64 } => decode("name", &base64),
        }
    }
}

/// A value that is there, also if it is null. By itself serde takes null for a field left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
pub(super) struct EntryWire<'a> {
    key: Digits,
    op: String,
    entity: Option<String>,
    entity_base64: Option<String>,
    new: bool,
    #[serde(borrow, default, deserialize_with = "given")]
    payload: Option<&'a RawValue>,
    payload_base64: Option<String>,
    payload_len: Option<usize>,
    time: u64,
    origin: Option<String>,
    origin_base64: Option<String>,
    last: bool,
}

impl EntryWire<'_> {
    pub fn entry(self) -> Result<Entry> {
        let op = match self.op.as_str() {
            "create" => Op::Create,
            "update" => Op::Update,
            "delete" => Op::Delete,
            op => return Err(Error::unexpected(format!("unknown op `{op}`"))),
        };
        let payload = match (self.payload, self.payload_base64) {
            (Some(raw), _) => Some(Bytes::copy_from_slice(raw.get().as_bytes())),
            (None, Some(base64)) => Some(decode("payload", &base64)?),
            (None, None) => None,
        };
        let entity = needed("entity", self.entity, self.entity_base64)?;
        let payload_len = payload.as_ref().map_or(self.payload_len.unwrap_or(0), Bytes::len);
        let most_payload = if op == Op::Delete { 0 } else { MAX_PAYLOAD_BYTES };
        if entity.is_empty() || entity.len() > MAX_ENTITY_BYTES || payload_len > most_payload {
            let (key, entity) = (self.key.0, entity.len());
            let what = format!("the entry at key {key} has an entity of {entity} bytes and a payload of {payload_len}");
            return Err(Error::unexpected(what));
        }
        Ok(Entry {
            key: SyncKey::new(self.key.0),
            op,
            entity,
            payload_len,
            payload,
            time_ms: self.time,
            origin: name("origin", self.origin, self.origin_base64)?,
            new: self.new,
            last: self.last,
        })
    }
}

pub(super) fn entries(wire: Vec<EntryWire<'_>>) -> Result<Vec<Entry>> {
    wire.into_iter().map(EntryWire::entry).collect()
}

/// `{"entries":[..]}`.
#[derive(Deserialize)]
pub(super) struct EntriesWire<'a> {
    #[serde(borrow)]
    pub entries: Vec<EntryWire<'a>>,
}

#[derive(Deserialize)]
pub(super) struct PageEndWire {
    next: String,
    key: Digits,
    more: bool,
    head: Digits,
    pending: PendingWire,
    headroom: Digits,
}

#[derive(Deserialize)]
struct PendingWire {
    entries: u64,
    bytes: u64,
}

/// `{"entries":[..],"page":{..}}`.
#[derive(Deserialize)]
pub(super) struct PageWire<'a> {
    #[serde(borrow)]
    entries: Vec<EntryWire<'a>>,
    page: PageEndWire,
}

impl PageWire<'_> {
    pub fn page(self) -> Result<Page> {
        page(self.entries, self.page)
    }
}

pub(super) fn cursor(text: &str) -> Result<Cursor> {
    text.parse().map_err(|_| Error::unexpected(format!("'{text}' is no cursor that this version reads")))
}

pub(super) fn page(wire: Vec<EntryWire<'_>>, end: PageEndWire) -> Result<Page> {
    let mut read = Builder::new();
    entries(wire)?.iter().for_each(|entry| read.add(entry));
    Ok(Page {
        entries: read.finish(),
        next: cursor(&end.next)?,
        position: SyncKey::new(end.key.0),
        more: end.more,
        head: SyncKey::new(end.head.0),
        pending: Pending { entries: end.pending.entries, bytes: end.pending.bytes },
        headroom: end.headroom.0,
    })
}

/// The end of a list that is no delta.
#[derive(Deserialize)]
pub(super) struct ListEndWire {
    pub more: bool,
}

/// A payload as JSON, if that gives exactly these bytes again.
pub(super) fn payload_json(payload: &[u8]) -> Option<&RawValue> {
    let raw: &RawValue = serde_json::from_slice(payload).ok()?;
    (raw.get().len() == payload.len()).then_some(raw)
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &str) -> Result<Entry> {
        let text = format!("{{\"key\":\"7\",\"new\":true,\"time\":5,\"last\":true,\"later\":[1],{fields}}}");
        serde_json::from_str::<EntryWire<'_>>(&text).map_err(|e| Error::unexpected(e.to_string()))?.entry()
    }

    #[test]
    fn payloads_are_the_bytes_that_stand_there() {
        let text = entry(r#""op":"update","entity":"e","payload":{"a": 1.0, "a":2}"#).unwrap();
        assert_eq!(text.payload.as_deref(), Some(&br#"{"a": 1.0, "a":2}"#[..]));
        assert_eq!(
            entry(r#""op":"update","entity":"e","payload":null"#).unwrap().payload.as_deref(),
            Some(&b"null"[..])
        );
        let bytes = entry(r#""op":"create","entity_base64":"/w==","payload_base64":"AAE=","origin":"phone""#).unwrap();
        assert_eq!((&bytes.entity[..], bytes.payload.as_deref()), (&b"\xff"[..], Some(&b"\x00\x01"[..])));
        let left_out = entry(r#""op":"update","entity":"e","payload_len":12"#).unwrap();
        assert_eq!((left_out.payload, left_out.payload_len), (None, 12));
    }

    #[test]
    fn what_is_no_entry_is_told() {
        for fields in [r#""op":"upsert","entity":"e""#, r#""op":"delete""#, r#""op":"delete","entity_base64":"!""#] {
            assert!(matches!(entry(fields), Err(Error::Unexpected { .. })), "{fields}");
        }
    }

    #[test]
    fn only_what_comes_back_as_it_is_goes_as_json() {
        for json in ["null", "1.0", r#"{"a": [1]}"#, "\"\u{fc}\""] {
            assert_eq!(payload_json(json.as_bytes()).map(RawValue::get), Some(json));
        }
        for other in [&b""[..], b" 1", b"1 ", b"Buy milk", b"\xff", b"1 2"] {
            assert!(payload_json(other).is_none(), "{other:?}");
        }
    }
}
