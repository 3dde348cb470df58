//! Writing entries and pages.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::text::{Base64, Decimal, decimal, payload_json, text_or_base64};
use crate::{EntryRef, Op, Page, SyncKey};

/// One entry, written straight from where it lies. In a format for people its payload is JSON or base64, in one for
/// machines alone (CBOR) it is bytes.
#[derive(Debug)]
pub struct EntryBody<'a> {
    dataset: &'a [u8],
    entry: EntryRef<'a>,
}

/// An entry of `dataset`.
pub fn entry<'a>(dataset: &'a [u8], entry: impl Into<EntryRef<'a>>) -> EntryBody<'a> {
    EntryBody { dataset, entry: entry.into() }
}

impl Serialize for EntryBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = self.entry;
        let readable = serializer.is_human_readable();
        // A delete alone has no payload and no length of one. Seven fields are always there.
        let fields = 7 + usize::from(entry.op != Op::Delete) + usize::from(entry.origin.is_some());
        let mut out = serializer.serialize_struct("Entry", fields)?;
        name(&mut out, "dataset", "dataset_base64", self.dataset)?;
        out.serialize_field("key", &Decimal(entry.key))?;
        out.serialize_field("op", entry.op.name())?;
        name(&mut out, "entity", "entity_base64", entry.entity)?;
        out.serialize_field("new", &entry.new)?;
        match entry.payload {
            _ if entry.op == Op::Delete => {}
            Some(payload) if !readable => out.serialize_field("payload", &Raw(payload))?,
            Some(payload) => match payload_json(payload) {
                Some(json) => out.serialize_field("payload", json)?,
                None => out.serialize_field("payload_base64", &Base64(payload))?,
            },
            None => out.serialize_field("payload_len", &(entry.payload_len as u64))?,
        }
        out.serialize_field("time", &entry.time_ms)?;
        if let Some(origin) = entry.origin {
            name(&mut out, "origin", "origin_base64", origin)?;
        }
        out.serialize_field("last", &entry.last)?;
        out.end()
    }
}

/// A name as text if it is text, else as base64.
fn name<S: SerializeStruct>(
    out: &mut S,
    text: &'static str,
    base64: &'static str,
    bytes: &[u8],
) -> Result<(), S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(name) => out.serialize_field(text, name),
        Err(_) => out.serialize_field(base64, &Base64(bytes)),
    }
}

/// Bytes as bytes. By itself serde writes a list of numbers.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// What is known at the end of a page: `{"page":{..}}`.
#[derive(Debug, Serialize)]
pub struct PageBody {
    page: PageFields,
}

#[derive(Debug, Serialize)]
struct PageFields {
    next: String,
    key: String,
    more: bool,
    head: String,
    pending: PendingFields,
    headroom: String,
}

#[derive(Debug, Serialize)]
struct PendingFields {
    entries: u64,
    bytes: u64,
}

/// The end of a page of changes.
pub fn page(page: &Page) -> PageBody {
    PageBody {
        page: PageFields {
            next: page.next.to_string(),
            key: decimal(page.position),
            more: page.more,
            head: decimal(page.head),
            pending: PendingFields { entries: page.pending.entries, bytes: page.pending.bytes },
            headroom: page.headroom.to_string(),
        },
    }
}

/// The end of a list that is no delta: `{"page":{"more":..}}`, with where to go on if there is more.
#[derive(Debug, Serialize)]
pub struct ListPage {
    page: ListFields,
}

#[derive(Debug, Default, Serialize)]
struct ListFields {
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

impl ListPage {
    /// The list ended, or (`more`) was cut where it cannot be gone on with.
    pub fn end(more: bool) -> ListPage {
        ListPage { page: ListFields { more, ..ListFields::default() } }
    }

    /// The list goes on after this name.
    pub fn after(name: &[u8]) -> ListPage {
        let (after, after_base64) = text_or_base64(name);
        let after = after.map(str::to_owned);
        ListPage { page: ListFields { more: true, after, after_base64, before: None } }
    }

    /// The list goes on before this key.
    pub fn before(key: SyncKey) -> ListPage {
        ListPage { page: ListFields { more: true, before: Some(decimal(key)), ..ListFields::default() } }
    }
}
