//! What is answered: JSON or CBOR, holding what it took until it is sent.

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::gates::{self, FullSync};
use super::problem::Problem;
use super::reading::Leave;

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/cbor`.
    Cbor,
}

impl Format {
    /// In which format a request's body is.
    ///
    /// # Errors
    ///
    /// `unsupported_media_type`. None at all is JSON.
    pub fn of_content(headers: &HeaderMap) -> Result<Format, Problem> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Format::Json) };
        match value.to_str().ok().and_then(media_type) {
            Some("application/json") => Ok(Format::Json),
            Some("application/cbor") => Ok(Format::Cbor),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send application/json or application/cbor, and say which (curl: -H 'content-type: application/json')",
            )),
        }
    }

    /// In which format the client wants its answer: JSON unless CBOR is asked for and JSON is not preferred.
    ///
    /// # Errors
    ///
    /// `not_acceptable` if it wants neither.
    pub fn accepted(headers: &HeaderMap) -> Result<Format, Problem> {
        let mut json = None;
        let mut cbor = None;
        let mut asked = false;
        for value in headers.get_all(header::ACCEPT) {
            asked = true;
            for range in value.to_str().unwrap_or_default().split(',') {
                let weight = range
                    .split(';')
                    .skip(1)
                    .find_map(|p| p.trim().strip_prefix("q="))
                    .map_or(1.0, |q| q.parse().unwrap_or(0.0));
                match media_type(range) {
                    Some("application/json") => json = Some(weight),
                    Some("application/cbor") => cbor = Some(weight),
                    Some("*/*" | "application/*") => json = json.or(Some(weight)),
                    _ => {}
                }
            }
        }
        let (json, cbor): (f32, f32) = (json.unwrap_or(if asked { 0.0 } else { 1.0 }), cbor.unwrap_or(0.0));
        match (json > 0.0, cbor > 0.0) {
            (_, true) if cbor >= json => Ok(Format::Cbor),
            (true, _) => Ok(Format::Json),
            _ => Err(Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                "not_acceptable",
                "accept application/json or application/cbor",
            )),
        }
    }

    /// The value as bytes, of which there are about so many.
    ///
    /// # Errors
    ///
    /// None that a value of ours can meet.
    pub fn encode(self, value: &impl Serialize, about: usize) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::with_capacity(about);
        match self {
            Format::Json => serde_json::to_writer(&mut bytes, value).map_err(|e| Problem::internal(e.to_string()))?,
            Format::Cbor => ciborium::into_writer(value, &mut bytes).map_err(|e| Problem::internal(e.to_string()))?,
        }
        Ok(bytes)
    }

    /// The value of a `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Cbor => "application/cbor",
        }
    }
}

/// A media type without its parameters.
fn media_type(text: &str) -> Option<&str> {
    text.split(';').next().map(str::trim)
}

impl<S: Sync> FromRequestParts<S> for Format {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Format, Problem> {
        Format::accepted(&parts.headers)
    }
}

/// An answer, already written.
#[derive(Debug)]
pub struct Answer {
    content_type: &'static str,
    bytes: Bytes,
    /// Until it is sent.
    held: Option<(OwnedSemaphorePermit, Option<FullSync>)>,
}

impl Answer {
    /// The value in this format.
    ///
    /// # Errors
    ///
    /// As [`Format::encode`].
    pub fn new(format: Format, value: &impl Serialize) -> Result<Answer, Problem> {
        Ok(Answer::of(format.content_type(), format.encode(value, 256)?.into()))
    }

    /// A page in this format, read under `leave`, which is kept until the last byte is sent or the client is gone: a slow
    /// reader holds what it asked for.
    ///
    /// # Errors
    ///
    /// As [`Format::encode`].
    pub fn page(format: Format, page: &impl Serialize, leave: Leave) -> Result<Answer, Problem> {
        let bytes = format.encode(page, leave.weight)?;
        Ok(Answer::of(format.content_type(), bytes.into()).hold(leave))
    }

    /// These bytes as they are.
    pub fn of(content_type: &'static str, bytes: Bytes) -> Answer {
        Answer { content_type, bytes, held: None }
    }

    /// Keeps what of this leave the answer needs.
    pub fn hold(mut self, leave: Leave) -> Answer {
        self.held = Some((gates::fit(leave.page, self.bytes.len()), leave.full_sync));
        self
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let content_type = HeaderValue::from_static(self.content_type);
        // The bytes hold the leave, not the body: hyper lets go of a body as soon as it has its last bytes, sent or not.
        let bytes = if self.held.is_none() { self.bytes } else { Bytes::from_owner(self) };
        ([(header::CONTENT_TYPE, content_type)], Body::from(bytes)).into_response()
    }
}
