//! Reading: commits and keys. Every text here may be hostile; what it costs is bounded by its length.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::text::decode_base64;
use super::values::{Base64Text, ChangeOp, Expectation, Payload, parse_key};
use crate::{Batch, Error, Result, SyncKey};

/// The commit that one JSON text describes: `{"changes":[..],"id":..,"origin":..}`, or a single change.
///
/// Limits on names, payloads and the commit as a whole are the engine's to check.
///
/// # Errors
///
/// [`Error::Invalid`], saying what is wrong and at which column.
pub fn commit(text: &str) -> Result<Batch> {
    let line: Object<Line<'_>> = serde_json::from_str(text).map_err(|e| invalid(explain(&e)))?;
    line.0.into_batch()
}

/// The commit that a value of any format describes. Where the format is not for people (CBOR), `payload` is a byte
/// string, and there is no `payload_base64`.
#[derive(Debug)]
pub struct CommitGiven(pub Batch);

impl<'de> Deserialize<'de> for CommitGiven {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CommitGiven, D::Error> {
        let line = Object::<Line<'de>>::deserialize(deserializer)?;
        line.0.into_batch().map(CommitGiven).map_err(de::Error::custom)
    }
}

/// The datasets that a batch changes, in its order; one may come again.
pub fn datasets(batch: &Batch) -> impl Iterator<Item = &[u8]> {
    batch.changes.iter().map(|change| &change.dataset[..])
}

/// The idempotency id of a batch.
pub fn idempotency_id(batch: &Batch) -> Option<&[u8]> {
    batch.idempotency_id.as_deref()
}

/// Whether the outcome of a batch depends on what was committed before it: it expects something, or may be a repeat.
pub fn is_conditional(batch: &Batch) -> bool {
    batch.idempotency_id.is_some() || batch.changes.iter().any(|change| change.expect.is_some())
}

/// A sync-key: decimal digits.
///
/// # Errors
///
/// [`Error::Invalid`].
pub fn key(text: &str) -> Result<SyncKey> {
    parse_key(text)
        .ok_or_else(|| invalid(format!("'{text}' is not a key: write decimal digits, at most 18446744073709551615")))
}

fn invalid(what: impl Into<String>) -> Error {
    Error::Invalid { what: what.into() }
}

/// The message of serde_json with the place as a column of the text: it is one line, so naming the line misleads.
fn explain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let kind = if error.is_syntax() || error.is_eof() { "this is no JSON: " } else { "" };
    match message.strip_suffix(&place) {
        Some(what) if error.line() > 1 => {
            format!("{kind}{what} (line {} of it, column {})", error.line(), error.column())
        }
        Some(what) => format!("{kind}{what} (column {})", error.column()),
        None => format!("{kind}{message}"),
    }
}

/// A struct written as an object. By itself serde takes a list of its fields' values too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Map<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a commit or a change (an object)")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Map(PhantomData))
    }
}

/// Everything that may stand at the top: a commit's fields, and those of a single change.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(default, deserialize_with = "given")]
    changes: Option<Changes>,
    #[serde(default, deserialize_with = "named::id")]
    id: Option<String>,
    #[serde(default, deserialize_with = "named::origin")]
    origin: Option<String>,
    #[serde(default, deserialize_with = "named::origin_base64")]
    origin_base64: Option<String>,
    #[serde(default, deserialize_with = "named::dataset")]
    dataset: Option<String>,
    #[serde(default, deserialize_with = "named::dataset_base64")]
    dataset_base64: Option<String>,
    #[serde(default, deserialize_with = "named::op")]
    op: Option<ChangeOp>,
    #[serde(default, deserialize_with = "named::entity")]
    entity: Option<String>,
    #[serde(default, deserialize_with = "named::entity_base64")]
    entity_base64: Option<String>,
    #[serde(borrow, default, deserialize_with = "named::payload")]
    payload: Option<Payload<'a>>,
    #[serde(default, deserialize_with = "named::payload_base64")]
    payload_base64: Option<Base64Text>,
    #[serde(default, deserialize_with = "named::expect")]
    expect: Option<Expectation>,
}

impl Line<'_> {
    fn into_batch(self) -> Result<Batch> {
        let change = ChangeText {
            dataset: self.dataset,
            dataset_base64: self.dataset_base64,
            op: self.op,
            entity: self.entity,
            entity_base64: self.entity_base64,
            payload: self.payload,
            payload_base64: self.payload_base64,
            expect: self.expect,
        };
        let mut batch = match self.changes {
            Some(_) if !change.is_empty() => {
                return Err(invalid("a commit's changes stand inside `changes`, not beside it"));
            }
            Some(changes) => changes.0,
            None if self.id.is_some() || self.origin.is_some() || self.origin_base64.is_some() => {
                return Err(invalid(
                    "`id` and `origin` belong to a commit: write {\"changes\":[..],\"id\":..,\"origin\":..}",
                ));
            }
            None => {
                let mut batch = Batch::new();
                change.add_to(&mut batch, &mut Bytes::new())?;
                batch
            }
        };
        if let Some(id) = self.id {
            batch.idempotency_id(id);
        }
        if let Some(origin) = one_of("origin", self.origin, self.origin_base64)? {
            batch.origin(origin);
        }
        Ok(batch)
    }
}

/// The list of changes, each taken into the batch as it is read: nothing is held that was not checked.
struct Changes(Batch);

impl<'de> Deserialize<'de> for Changes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Changes, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Changes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of changes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Changes, A::Error> {
                let mut batch = Batch::new();
                let mut dataset = Bytes::new();
                while batch.len() < crate::limits::MAX_COMMIT_CHANGES {
                    let Some(change) = list.next_element::<Object<ChangeText<'de>>>()? else {
                        return Ok(Changes(batch));
                    };
                    change
                        .0
                        .add_to(&mut batch, &mut dataset)
                        .map_err(|e| de::Error::custom(format_args!("change {}: {e}", batch.len() + 1)))?;
                }
                match list.next_element::<IgnoredAny>()? {
                    None => Ok(Changes(batch)),
                    Some(_) => Err(de::Error::custom(format_args!(
                        "a commit holds at most {} changes; split it",
                        crate::limits::MAX_COMMIT_CHANGES
                    ))),
                }
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// One change as written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeText<'a> {
    #[serde(default, deserialize_with = "named::dataset")]
    dataset: Option<String>,
    #[serde(default, deserialize_with = "named::dataset_base64")]
    dataset_base64: Option<String>,
    #[serde(default, deserialize_with = "named::op")]
    op: Option<ChangeOp>,
    #[serde(default, deserialize_with = "named::entity")]
    entity: Option<String>,
    #[serde(default, deserialize_with = "named::entity_base64")]
    entity_base64: Option<String>,
    #[serde(borrow, default, deserialize_with = "named::payload")]
    payload: Option<Payload<'a>>,
    #[serde(default, deserialize_with = "named::payload_base64")]
    payload_base64: Option<Base64Text>,
    #[serde(default, deserialize_with = "named::expect")]
    expect: Option<Expectation>,
}

impl ChangeText<'_> {
    fn is_empty(&self) -> bool {
        let ChangeText { dataset, dataset_base64, op, entity, entity_base64, payload, payload_base64, expect } = self;
        dataset.is_none()
            && dataset_base64.is_none()
            && op.is_none()
            && entity.is_none()
            && entity_base64.is_none()
            && payload.is_none()
            && payload_base64.is_none()
            && expect.is_none()
    }

    /// Adds the change. `previous` is the dataset of the change before it: most commits name one again and again,
    /// and then share its bytes.
    fn add_to(self, batch: &mut Batch, previous: &mut Bytes) -> Result<()> {
        let op = self.op.ok_or_else(|| invalid("`op` is missing: create, update, put or delete"))?;
        let dataset = one_of("dataset", self.dataset, self.dataset_base64)?
            .ok_or_else(|| invalid("`dataset` (or `dataset_base64`) is missing"))?;
        let entity = one_of("entity", self.entity, self.entity_base64)?
            .ok_or_else(|| invalid("`entity` (or `entity_base64`) is missing"))?;
        let payload = match (self.payload, self.payload_base64) {
            (Some(_), Some(_)) => return Err(invalid("`payload` and `payload_base64` exclude each other")),
            (Some(Payload::Text(raw)), None) => Some(Bytes::copy_from_slice(raw.get().as_bytes())),
            (Some(Payload::Raw(bytes)), None) => Some(bytes.into()),
            (None, Some(Base64Text(text))) => Some(decode_base64("payload_base64", &text)?.into()),
            (None, None) => None,
        };
        if *previous != dataset {
            *previous = dataset.into();
        }
        let dataset = previous.clone();
        match (op, payload) {
            (ChangeOp::Create, Some(payload)) => batch.create(dataset, entity, payload),
            (ChangeOp::Update, Some(payload)) => batch.update(dataset, entity, payload),
            (ChangeOp::Put, Some(payload)) => batch.put(dataset, entity, payload),
            (ChangeOp::Delete, None) => batch.delete(dataset, entity),
            (ChangeOp::Delete, Some(_)) => return Err(invalid("a delete takes no payload")),
            (_, None) => return Err(invalid("create, update and put need `payload` or `payload_base64`")),
        };
        if let Some(Expectation(expect)) = self.expect {
            batch.expect(expect);
        }
        Ok(())
    }
}

/// The bytes of a name that may be given as text or as base64, but not as both.
fn one_of(field: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(invalid(format!("`{field}` and `{field}_base64` exclude each other"))),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => decode_base64(&format!("{field}_base64"), &base64).map(Some),
        (None, None) => Ok(None),
    }
}

/// A field that stands there has a value. Without this, null would read as a field left out; as a payload it is a
/// value like any other.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same for a field whose value does not speak for itself: an error names it. (serde_json takes the place out of the
/// message and keeps it.)
macro_rules! named {
    ($($field:ident)*) => {
        mod named {
            use super::*;
            $(pub fn $field<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
                given(from).map_err(|e| de::Error::custom(format_args!(concat!("`", stringify!($field), "`: {}"), e)))
            })*
        }
    };
}

named!(id origin origin_base64 dataset dataset_base64 op entity entity_base64 payload payload_base64 expect);
