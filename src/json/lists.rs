//! Writing rows of lists: datasets, entities, consumers.

use serde::Serialize;

use super::text::{decimal, text_or_base64};
use crate::{Consumer, EntityRow, SyncKey};

/// A dataset's name.
#[derive(Debug, Serialize)]
pub struct DatasetBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
}

/// A dataset of a list.
pub fn dataset(name: &[u8]) -> DatasetBody<'_> {
    let (dataset, dataset_base64) = text_or_base64(name);
    DatasetBody { dataset, dataset_base64 }
}

/// A live entity and the key of its newest entry.
#[derive(Debug, Serialize)]
pub struct EntityBody<'a> {
    #[serde(flatten)]
    dataset: DatasetBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_base64: Option<String>,
    key: String,
}

/// An entity of a list.
pub fn entity<'a>(dataset: &'a [u8], row: &'a EntityRow) -> EntityBody<'a> {
    let (entity, entity_base64) = text_or_base64(&row.entity);
    EntityBody { dataset: self::dataset(dataset), entity, entity_base64, key: decimal(row.key) }
}

/// A live entity and its tag: the key of its newest entry.
#[derive(Debug, Serialize)]
pub struct TagBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_base64: Option<String>,
    tag: String,
}

/// An entity's tag.
pub fn tag(row: &EntityRow) -> TagBody<'_> {
    let (entity, entity_base64) = text_or_base64(&row.entity);
    TagBody { entity, entity_base64, tag: decimal(row.key) }
}

/// A durable consumer and the position it acknowledged.
#[derive(Debug, Serialize)]
pub struct ConsumerBody<'a> {
    consumer: &'a str,
    #[serde(flatten)]
    dataset: DatasetBody<'a>,
    key: String,
    evicted: bool,
}

/// A consumer of a list.
pub fn consumer(consumer: &Consumer) -> ConsumerBody<'_> {
    ConsumerBody {
        consumer: &consumer.name,
        dataset: dataset(&consumer.dataset),
        key: decimal(consumer.position),
        evicted: consumer.evicted,
    }
}

/// A consumer's name and dataset.
#[derive(Debug, Serialize)]
pub struct ConsumerName<'a> {
    consumer: &'a str,
    #[serde(flatten)]
    dataset: DatasetBody<'a>,
}

/// The consumer `name` of `dataset`.
pub fn consumer_name<'a>(name: &'a str, dataset: &'a [u8]) -> ConsumerName<'a> {
    ConsumerName { consumer: name, dataset: self::dataset(dataset) }
}

/// The position of a consumer after an acknowledgement.
#[derive(Debug, Serialize)]
pub struct AckBody<'a> {
    #[serde(flatten)]
    consumer: ConsumerName<'a>,
    key: String,
}

/// The consumer `name` of `dataset` has acknowledged all up to `position`.
pub fn ack<'a>(name: &'a str, dataset: &'a [u8], position: SyncKey) -> AckBody<'a> {
    AckBody { consumer: consumer_name(name, dataset), key: decimal(position) }
}
