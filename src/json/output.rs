//! Writing entries and pages.

use serde::Serialize;
use serde_json::value::RawValue;

use super::text::{decimal, encode_base64, payload_json, text_or_base64};
use crate::{Entry, Op, Page, SyncKey};

/// One entry.
#[derive(Debug, Serialize)]
pub struct EntryBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    key: String,
    op: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_base64: Option<String>,
    new: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_len: Option<u64>,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_base64: Option<String>,
    last: bool,
}

/// An entry of `dataset`.
pub fn entry<'a>(dataset: &'a [u8], entry: &'a Entry) -> EntryBody<'a> {
    let (dataset, dataset_base64) = text_or_base64(dataset);
    let (entity, entity_base64) = text_or_base64(&entry.entity);
    let (origin, origin_base64) = entry.origin.as_deref().map_or((None, None), text_or_base64);
    let (payload, payload_base64, payload_len) = match &entry.payload {
        Some(payload) => match payload_json(payload) {
            Some(raw) => (Some(raw), None, None),
            None => (None, Some(encode_base64(payload)), None),
        },
        None if entry.op == Op::Delete => (None, None, None),
        None => (None, None, Some(entry.payload_len as u64)),
    };
    EntryBody {
        dataset,
        dataset_base64,
        key: decimal(entry.key),
        op: entry.op.name(),
        entity,
        entity_base64,
        new: entry.new,
        payload,
        payload_base64,
        payload_len,
        time: entry.time_ms,
        origin,
        origin_base64,
        last: entry.last,
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
