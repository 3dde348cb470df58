//! Writing commits: what [`commit`](super::commit) reads back.

use serde::Serialize;
use serde_json::value::RawValue;

use super::text::{encode_base64, payload_json, text_or_base64};
use crate::{Entry, Op};

/// A commit, as `import` takes it.
#[derive(Debug, Serialize)]
pub struct CommitBody<'a> {
    changes: Vec<ChangeBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_base64: Option<String>,
}

#[derive(Debug, Serialize)]
struct ChangeBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    op: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Which op an exported entry becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported {
    /// The live state: what is there is created.
    State,
    /// The log itself: every entry with the op it has.
    Log,
}

/// A commit of these entries of `dataset`, with the origin of the first: give entries of one origin, with payloads.
pub fn export<'a>(dataset: &'a [u8], entries: &'a [Entry], exported: Exported) -> CommitBody<'a> {
    let origin = entries.first().and_then(|entry| entry.origin.as_deref());
    let (origin, origin_base64) = origin.map_or((None, None), text_or_base64);
    CommitBody {
        changes: entries.iter().map(|entry| change(dataset, entry, exported)).collect(),
        origin,
        origin_base64,
    }
}

fn change<'a>(dataset: &'a [u8], entry: &'a Entry, exported: Exported) -> ChangeBody<'a> {
    let (dataset, dataset_base64) = text_or_base64(dataset);
    let (entity, entity_base64) = text_or_base64(&entry.entity);
    let op = match (exported, entry.op) {
        (Exported::State, Op::Create | Op::Update) => Op::Create,
        (_, op) => op,
    };
    let payload = if op == Op::Delete { None } else { Some(entry.payload.as_deref().unwrap_or_default()) };
    let raw = payload.and_then(payload_json);
    let payload_base64 = if raw.is_some() { None } else { payload.map(encode_base64) };
    ChangeBody { dataset, dataset_base64, op: op.name(), entity, entity_base64, payload: raw, payload_base64 }
}
