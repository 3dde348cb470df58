//! Writing. Every write carries an idempotency id, so that it may be tried again.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use ureq::http::header::{IF_MATCH, IF_NONE_MATCH};
use ureq::http::{HeaderName, HeaderValue, Method};

use super::answers;
use super::error::{Error, Result};
use super::path::{Query, path};
use super::transport::{Call, Client};
use super::wire::{encode, payload_json, text_or_base64};
use crate::types::{Change, ChangeOp};
use crate::{Batch, Commit, Durability, Expect};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const ORIGIN: HeaderName = HeaderName::from_static("tidelog-origin");

impl Client {
    /// Commits a batch, all of it or nothing, and returns once it is on the server's disk. A batch without an
    /// idempotency id gets a random one for this call.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if an expectation does not hold; [`Error::Unavailable`] if it is not known whether the batch
    /// was committed; [`Error::Refused`] for what cannot be committed, and for an idempotency id that was used for
    /// something else.
    pub fn commit(&self, batch: &Batch) -> Result<Commit> {
        self.commit_with(batch, Durability::Synced)
    }

    /// Commits a batch with this durability.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Client::commit).
    pub fn commit_with(&self, batch: &Batch, durability: Durability) -> Result<Commit> {
        let id = match &batch.idempotency_id {
            Some(id) => std::str::from_utf8(id)
                .map_err(|_| Error::refused("an idempotency id that is sent must be text"))?
                .to_owned(),
            None => random_id()?,
        };
        let origin = batch.origin.as_ref().or(self.0.origin.as_ref());
        let (origin, origin_base64) = origin.map_or((None, None), |origin| text_or_base64(origin));
        let body = CommitBody { changes: batch.changes.iter().map(change).collect(), id: &id, origin, origin_base64 };
        let query = Query::of(path(&[b"commits"])?);
        let path = match durability {
            Durability::Synced => query,
            Durability::Buffered => query.add("durability", "buffered"),
        };
        answers::commit(&self.call(&Call::post(path.text(), &body)?)?)
    }

    /// Creates or updates one entity; its key is the commit's.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Client::commit).
    pub fn put(
        &self,
        dataset: impl AsRef<[u8]>,
        entity: impl AsRef<[u8]>,
        payload: impl Into<Bytes>,
    ) -> Result<Commit> {
        self.write(dataset.as_ref(), entity.as_ref(), Some(payload.into()), None)
    }

    /// Creates or updates one entity on this condition: as read at a key, or not there yet.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the condition does not hold, with the entity's key; else those of
    /// [`commit`](Client::commit).
    pub fn put_if(
        &self,
        dataset: impl AsRef<[u8]>,
        entity: impl AsRef<[u8]>,
        payload: impl Into<Bytes>,
        expect: Expect,
    ) -> Result<Commit> {
        self.write(dataset.as_ref(), entity.as_ref(), Some(payload.into()), Some(expect))
    }

    /// Deletes one entity.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if it does not exist; else those of [`commit`](Client::commit).
    pub fn delete(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>) -> Result<Commit> {
        self.write(dataset.as_ref(), entity.as_ref(), None, None)
    }

    /// Deletes one entity on this condition.
    ///
    /// # Errors
    ///
    /// Those of [`delete`](Client::delete), and [`Error::Conflict`] if the condition does not hold.
    pub fn delete_if(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>, expect: Expect) -> Result<Commit> {
        self.write(dataset.as_ref(), entity.as_ref(), None, Some(expect))
    }

    fn write(&self, dataset: &[u8], entity: &[u8], payload: Option<Bytes>, expect: Option<Expect>) -> Result<Commit> {
        let method = if payload.is_some() { Method::PUT } else { Method::DELETE };
        let mut call = Call::new(method, path(&[b"datasets", dataset, b"entities", entity])?);
        if let Some(payload) = payload {
            call = call.bytes(payload);
        }
        call = match expect {
            None => call,
            Some(Expect::Absent) => call.header(IF_NONE_MATCH, HeaderValue::from_static("*")),
            Some(Expect::Present) => call.header(IF_MATCH, HeaderValue::from_static("*")),
            Some(Expect::At(key)) => call.header(IF_MATCH, answers::tag(key)?),
        };
        if let Some(origin) = &self.0.origin_header {
            call = call.header(ORIGIN, origin.clone());
        }
        let id = HeaderValue::try_from(random_id()?).map_err(|_| Error::refused("an id is hexadecimal"))?;
        answers::commit(&self.call(&call.header(IDEMPOTENCY_KEY, id))?)
    }
}

/// 128 random bits.
fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::refused(format!("no random id can be made: {e}")))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

#[derive(Serialize)]
struct CommitBody<'a> {
    changes: Vec<ChangeBody<'a>>,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_base64: Option<String>,
}

#[derive(Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<String>,
}

fn change(change: &Change) -> ChangeBody<'_> {
    let (dataset, dataset_base64) = text_or_base64(&change.dataset);
    let (entity, entity_base64) = text_or_base64(&change.entity);
    let op = match change.op {
        ChangeOp::Create => "create",
        ChangeOp::Update => "update",
        ChangeOp::Delete => "delete",
        ChangeOp::Put => "put",
    };
    let (payload, payload_base64) = match (change.op, payload_json(&change.payload)) {
        (ChangeOp::Delete, _) => (None, None),
        (_, Some(raw)) => (Some(raw), None),
        (_, None) => (None, Some(encode(&change.payload))),
    };
    let expect = change.expect.map(|expect| match expect {
        Expect::Absent => "absent".to_owned(),
        Expect::Present => "present".to_owned(),
        Expect::At(key) => key.to_string(),
    });
    ChangeBody { dataset, dataset_base64, op, entity, entity_base64, payload, payload_base64, expect }
}
