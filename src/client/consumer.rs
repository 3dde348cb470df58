//! Durable consumers: store and forward to a processor that comes and goes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::http::Method;

use super::error::Result;
use super::many::Budget;
use super::path::{Query, path};
use super::transport::{Call, Client};
use super::wire::{Digits, PageWire, needed, text_or_base64};
use crate::{Consumer, Limits, Page, SyncKey};

/// One page of consumers, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerPage {
    /// The consumers.
    pub consumers: Vec<Consumer>,
    /// Where the next page begins; none if this is the last one.
    pub after: Option<String>,
}

impl Client {
    /// The next page behind what the consumer acknowledged; what was fetched and not acknowledged comes again. If nothing
    /// is due, waits for it for so long. The first fetch makes the consumer, and what comes after it is kept for it.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`](super::Error::Stale) with the kind `evicted` if it fell too far behind: read the dataset from the
    /// start and acknowledge the position reached. [`Error::NotFound`](super::Error::NotFound) if there is no such
    /// dataset.
    pub fn fetch(&self, consumer: &str, dataset: impl AsRef<[u8]>, limits: Limits, wait: Duration) -> Result<Page> {
        let (dataset, dataset_base64) = text_or_base64(dataset.as_ref());
        let body = FetchBody { dataset, dataset_base64, budget: Budget::of_size(limits, wait) };
        let path = path(&[b"consumers", consumer.as_bytes(), b"fetch"])?;
        self.call(&Call::post(path, &body)?.wait(wait))?.json::<PageWire<'_>>()?.page()
    }

    /// All up to this key is done. Returns the consumer's position, which never goes back.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](super::Error::NotFound) if there is no such dataset.
    pub fn ack(&self, consumer: &str, dataset: impl AsRef<[u8]>, key: SyncKey) -> Result<SyncKey> {
        let (dataset, dataset_base64) = text_or_base64(dataset.as_ref());
        let body = AckBody { dataset, dataset_base64, key: key.to_string() };
        let call = Call::post(path(&[b"consumers", consumer.as_bytes(), b"ack"])?, &body)?;
        Ok(SyncKey::new(self.call(&call)?.json::<AckWire>()?.key.0))
    }

    /// The consumers of datasets that the client may read, in the order of their names, `limit` of them: the first ones,
    /// or those behind an earlier page's `after`.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub fn consumers(&self, after: Option<&str>, limit: usize) -> Result<ConsumerPage> {
        let query = Query::of(path(&[b"consumers"])?).add("limit", limit.to_string()).maybe("after", after);
        let answer = self.call(&Call::get(query.text()))?;
        let wire: ConsumersWire = answer.json()?;
        let consumers: Result<Vec<_>> = wire.consumers.into_iter().map(ConsumerWire::consumer).collect();
        Ok(ConsumerPage { consumers: consumers?, after: wire.page.after })
    }

    /// Forgets a consumer, and keeps nothing for it. False if there was none.
    ///
    /// # Errors
    ///
    /// Those of any call. It is not tried again if its answer is lost, or it could forget a consumer that has begun since.
    pub fn forget_consumer(&self, consumer: &str, dataset: impl AsRef<[u8]>) -> Result<bool> {
        let query = Query::of(path(&[b"consumers", consumer.as_bytes()])?);
        let query = match text_or_base64(dataset.as_ref()) {
            (Some(dataset), _) => query.add("dataset", dataset),
            (None, base64) => query.maybe("dataset_base64", base64),
        };
        self.found(&Call::new(Method::DELETE, query.text()).once())
    }
}

#[derive(Serialize)]
struct FetchBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    #[serde(flatten)]
    budget: Budget,
}

#[derive(Serialize)]
struct AckBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    key: String,
}

#[derive(Deserialize)]
struct AckWire {
    key: Digits,
}

#[derive(Deserialize)]
struct ConsumersWire {
    consumers: Vec<ConsumerWire>,
    page: PlaceWire,
}

#[derive(Deserialize)]
struct PlaceWire {
    after: Option<String>,
}

#[derive(Deserialize)]
struct ConsumerWire {
    consumer: String,
    dataset: Option<String>,
    dataset_base64: Option<String>,
    key: Digits,
    evicted: bool,
}

impl ConsumerWire {
    fn consumer(self) -> Result<Consumer> {
        Ok(Consumer {
            name: self.consumer,
            dataset: needed("dataset", self.dataset, self.dataset_base64)?.to_vec(),
            position: SyncKey::new(self.key.0),
            evicted: self.evicted,
        })
    }
}
