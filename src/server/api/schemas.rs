//! What the OpenAPI document says of values that are written by hand, or read by hand: nothing makes one of these.

#![allow(dead_code)]

pub mod many;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// `urn:tidelog:problem:KIND`
    #[schema(pattern = "^urn:tidelog:problem:[a-z_]+$")]
    r#type: String,
    title: String,
    status: u16,
    /// What is wrong and what to do; for people, and may change
    detail: String,
    /// What is wrong; for programs
    kind: String,
    /// The same as `detail`
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<String>,
    /// The entity's newest key, or the position asked for
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Up to this key, what is needed is gone
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

/// A commit, or a single change, which is a commit of one
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub enum CommitGiven {
    /// Several changes
    Commit(ManyGiven),
    /// One change
    Change(ChangeGiven),
}

/// The changes of a commit
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManyGiven {
    /// In their order
    #[schema(min_items = 1, max_items = 1_048_576)]
    changes: Vec<ChangeGiven>,
    /// The idempotency id
    #[schema(min_length = 1, max_length = 255)]
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The client or device that makes the changes
    #[schema(min_length = 1, max_length = 255)]
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_base64: Option<String>,
}

/// One change. Of each pair, give the field that ends in `_base64` where a name or a payload is not text
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeGiven {
    #[schema(min_length = 1, max_length = 512)]
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    op: OpGiven,
    #[schema(min_length = 1, max_length = 1024)]
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_base64: Option<String>,
    /// Any JSON value, kept as it is written; in CBOR a byte string. A delete has none
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    /// `absent`, `present`, or the entity's newest key
    #[schema(pattern = "^(absent|present|[0-9]+)$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<String>,
}

/// What a change does
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpGiven {
    /// It begins to exist
    Create,
    /// Its payload is replaced
    Update,
    /// Whichever of the two it is
    Put,
    /// It ceases to exist
    Delete,
}

/// An entry
#[derive(Serialize, ToSchema)]
pub struct EntryBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    #[schema(pattern = "^[0-9]+$")]
    key: String,
    /// `create`, `update` or `delete`
    #[schema(pattern = "^(create|update|delete)$")]
    op: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_base64: Option<String>,
    /// Whether the entity may be one that the client does not know
    new: bool,
    /// The payload if it is JSON on one line; in CBOR always, as a byte string
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    /// The length of a payload that was left out
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_len: Option<u64>,
    /// In Unix milliseconds
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_base64: Option<String>,
    /// Whether it is the dataset's last entry in its commit
    last: bool,
}

/// A page of changes
#[derive(Serialize, ToSchema)]
pub struct ChangesBody {
    entries: Vec<EntryBody>,
    page: PageBody,
}

/// What is known at the end of a page
#[derive(Serialize, ToSchema)]
pub struct PageBody {
    /// The cursor with which the next read goes on
    next: String,
    /// The position reached
    #[schema(pattern = "^[0-9]+$")]
    key: String,
    /// Whether there is more: ask again with `next`
    more: bool,
    /// The dataset's newest key
    #[schema(pattern = "^[0-9]+$")]
    head: String,
    pending: PendingBody,
    /// By how much the dataset's floor would have to rise for `next` to be too old
    #[schema(pattern = "^[0-9]+$")]
    headroom: String,
}

/// What is due beyond a page
#[derive(Serialize, ToSchema)]
pub struct PendingBody {
    entries: u64,
    bytes: u64,
}

/// The end of a list
#[derive(Serialize, ToSchema)]
pub struct ListPage {
    /// Whether there is more
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_base64: Option<String>,
}

/// Entries of one entity, oldest first
#[derive(Serialize, ToSchema)]
pub struct HistoryBody {
    entries: Vec<EntryBody>,
    page: ListPage,
}

/// The newest entries of entities, in the order asked for
#[derive(Serialize, ToSchema)]
pub struct EntitiesBody {
    /// An entry, or null
    entries: Vec<Option<EntryBody>>,
    /// The cursor of their moment
    next: String,
}

/// The entries of a timeline, newest first
#[derive(Serialize, ToSchema)]
pub struct TimelineBody {
    entries: Vec<EntryBody>,
}

/// A name within a list
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub enum NameGiven {
    /// Text
    Text(String),
    /// What is not text
    Bytes(BytesGiven),
}

/// Bytes as standard base64 with padding
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BytesGiven {
    base64: String,
}

/// Which entities are wanted
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GetGiven {
    #[schema(max_items = 10_000)]
    entities: Vec<NameGiven>,
}

/// Tags in the order of their entities
#[derive(Serialize, ToSchema)]
pub struct TagsBody {
    tags: Vec<TagBody>,
    page: ListPage,
}

/// An entity and the key of its newest entry
#[derive(Serialize, ToSchema)]
pub struct TagBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_base64: Option<String>,
    #[schema(pattern = "^[0-9]+$")]
    tag: String,
}

/// Datasets in byte order
#[derive(Serialize, ToSchema)]
pub struct DatasetsBody {
    datasets: Vec<DatasetBody>,
    page: ListPage,
}

/// A dataset's name
#[derive(Serialize, ToSchema)]
pub struct DatasetBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
}

/// What a dataset holds
#[derive(Serialize, ToSchema)]
pub struct DatasetStat {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    #[schema(pattern = "^[0-9]+$")]
    head: String,
    #[schema(pattern = "^[0-9]+$")]
    first: String,
    #[schema(pattern = "^[0-9]+$")]
    history_floor: String,
    #[schema(pattern = "^[0-9]+$")]
    floor: String,
    entries: u64,
    bytes: u64,
    superseded: u64,
    tombstones: u64,
    time: u64,
    retention: RetentionBody,
}

/// How much is kept
#[derive(Serialize, ToSchema)]
pub struct RetentionBody {
    #[schema(pattern = "^(live|window)$")]
    keep: String,
    history: CapBody,
    tombstones: CapBody,
}

/// A cap; null is no limit
#[derive(Serialize, ToSchema)]
pub struct CapBody {
    #[schema(required)]
    entries: Option<u64>,
    #[schema(required)]
    bytes: Option<u64>,
    #[schema(required)]
    age_ms: Option<u64>,
}

/// Durable consumers
#[derive(Serialize, ToSchema)]
pub struct ConsumersBody {
    consumers: Vec<ConsumerBody>,
    page: ListPage,
}

/// A durable consumer and the position it acknowledged
#[derive(Serialize, ToSchema)]
pub struct ConsumerBody {
    consumer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    #[schema(pattern = "^[0-9]+$")]
    key: String,
    evicted: bool,
}

/// The position of a consumer
#[derive(Serialize, ToSchema)]
pub struct AckBody {
    consumer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    #[schema(pattern = "^[0-9]+$")]
    key: String,
}

/// What the store holds
#[derive(Serialize, ToSchema)]
pub struct StoreStat {
    dir: String,
    datasets: u64,
    #[schema(pattern = "^[0-9]+$")]
    visible: String,
    #[schema(pattern = "^[0-9]+$")]
    lineage: String,
    log_bytes: u64,
    store_bytes: u64,
}

/// What a compaction did
#[derive(Serialize, ToSchema)]
pub struct CompactionBody {
    datasets: u64,
    superseded_dropped: u64,
    tombstones_dropped: u64,
    window_dropped: u64,
    held_back: u64,
    chunks_rewritten: u64,
    bytes_read: u64,
    bytes_written: u64,
    elapsed_ms: u64,
}
