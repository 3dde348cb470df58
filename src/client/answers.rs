//! Answers that several calls have in common.

use serde::Deserialize;
use ureq::http::HeaderValue;

use super::error::{Error, Result};
use super::transport::Answer;
use super::wire::Digits;
use crate::{Commit, SyncKey};

#[derive(Deserialize)]
struct CommitWire {
    first: Digits,
    last: Digits,
    time: u64,
    repeated: bool,
    #[serde(default)]
    created: u32,
}

pub(super) fn commit(answer: &Answer) -> Result<Commit> {
    let CommitWire { first, last, time, repeated, created } = answer.json()?;
    Ok(Commit { first: SyncKey::new(first.0), last: SyncKey::new(last.0), time_ms: time, repeated, created })
}

/// The key of an entity's `ETag`.
pub(super) fn etag(answer: &Answer) -> Result<SyncKey> {
    let tag = answer.text("etag").and_then(|tag| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    tag.map(SyncKey::new).ok_or_else(|| Error::unexpected("an entity without its ETag"))
}

/// A key as an `ETag`.
pub(super) fn tag(key: SyncKey) -> Result<HeaderValue> {
    HeaderValue::try_from(format!("\"{key}\"")).map_err(|_| Error::refused("a key is digits"))
}
