//! Errors as RFC 9457 problems: `application/problem+json`, with a stable type for each kind.

use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Serialize;

use crate::Error;
use crate::json::{self, ErrorBody};

/// What every `type` begins with; the kind follows.
const TYPE: &str = "urn:tidelog:problem:";

/// How often it is told that requests are refused, at most.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What is told of them in this process.
static REFUSALS: Mutex<Refusals> = Mutex::new(Refusals { told: None, others: 0 });

struct Refusals {
    told: Option<Instant>,
    /// How many were not told of since.
    others: u64,
}

impl Refusals {
    /// Whether this one is to be told of: how many before it were not.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now < told + TOLD_EVERY) {
            self.others += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.others))
    }
}

/// Why a request was not served.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    body: Box<ErrorBody>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A problem as it is written.
#[derive(Debug, Serialize)]
pub struct ProblemBody<'a> {
    r#type: String,
    title: String,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    error: &'a ErrorBody,
}

impl Problem {
    /// A problem of this kind, which concerns nothing in particular.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, kind, body: Box::new(ErrorBody::new(kind, detail)), headers: Vec::new() }
    }

    /// It is not known who asks.
    pub fn unauthorized() -> Problem {
        let detail = "send `Authorization: Bearer TOKEN` with a token that is known here";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).header(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// The request itself is wrong.
    pub fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// Too much is under way at once: the client is to come back, not all at the same moment.
    pub fn busy(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(jitter(1, 5))
    }

    /// The server is about to stop.
    pub fn closing() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "closed", "the server is stopping; come back in a moment")
            .retry_after(jitter(1, 5))
    }

    /// Something of ours that must not fail did.
    pub fn internal(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "io", detail)
    }

    /// The same problem under another status.
    pub fn status(mut self, status: StatusCode) -> Problem {
        self.status = status;
        self
    }

    /// Its kind, for programs.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whether a position is no good any more: what the client holds can only be had anew.
    pub fn is_gone(&self) -> bool {
        self.status == StatusCode::GONE || self.kind == "dataset_not_found"
    }

    /// Names the dataset concerned.
    pub fn dataset(mut self, dataset: &[u8]) -> Problem {
        self.body = Box::new(self.body.dataset(dataset));
        self
    }

    /// Names the entity concerned.
    pub fn entity(mut self, entity: &[u8]) -> Problem {
        self.body = Box::new(self.body.entity(entity));
        self
    }

    /// Names the consumer concerned.
    pub fn consumer(mut self, consumer: &str) -> Problem {
        self.body = Box::new(self.body.consumer(consumer));
        self
    }

    /// Sets a header. One whose value cannot be sent is left out.
    pub fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Problem {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.retain(|(other, _)| *other != name);
            self.headers.push((name, value));
        }
        self
    }

    /// Says when to come back.
    pub fn retry_after(self, after: Duration) -> Problem {
        self.header(header::RETRY_AFTER, after.as_secs().max(1).to_string())
    }

    /// Where to begin again (a `Link` of the relation `restart`), for a position that has gone stale.
    pub fn restart_at(self, uri: &str) -> Problem {
        match self.status {
            StatusCode::GONE => self.header(header::LINK, format!("<{uri}>; rel=\"restart\"")),
            _ => self,
        }
    }

    /// The problem as a value, to be part of a larger answer.
    pub fn body(&self) -> ProblemBody<'_> {
        ProblemBody {
            r#type: format!("{TYPE}{}", self.kind),
            title: self.kind.replace('_', " "),
            status: self.status.as_u16(),
            detail: self.body.text(),
            error: &self.body,
        }
    }
}

/// A time to come back after, in seconds from `least` to `most`: clients that were refused together must not return
/// together.
pub fn jitter(least: u64, most: u64) -> Duration {
    let random = getrandom::u64().unwrap_or_default();
    Duration::from_secs(least + random % (most - least + 1))
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::Invalid { .. } => StatusCode::BAD_REQUEST,
        Error::DatasetNotFound { .. } | Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::Stale(_) | Error::Evicted { .. } => StatusCode::GONE,
        Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::IdempotencyMismatch { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::NoSpace { .. } => StatusCode::INSUFFICIENT_STORAGE,
        Error::Busy { .. } | Error::Poisoned { .. } | Error::SealFailed { .. } | Error::Closed => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let status = status(&error);
        let problem = Problem { status, kind: error.kind(), body: Box::new(json::error(&error)), headers: Vec::new() };
        match status {
            // A whole crowd may have gone stale at once.
            StatusCode::GONE => problem.retry_after(jitter(1, 10)),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => problem.retry_after(jitter(1, 5)),
            _ => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (kind, detail) = (self.kind, self.body.text());
        match self.status {
            // A server that is overloaded, or its disk full, refuses thousands of requests a second.
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => {
                if let Some(others) = REFUSALS.lock().due(Instant::now()) {
                    tracing::warn!(kind, detail, others, "requests are refused");
                }
            }
            status if status.is_server_error() => tracing::warn!(kind, detail, "request failed"),
            _ => {}
        }
        // It holds texts and numbers only.
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_of_now_and_then_with_how_many_there_were() {
        let mut refusals = Refusals { told: None, others: 0 };
        let now = Instant::now();
        assert_eq!(refusals.due(now), Some(0));
        for ms in [0, 1, 9_999] {
            assert_eq!(refusals.due(now + Duration::from_millis(ms)), None);
        }
        assert_eq!(refusals.due(now + TOLD_EVERY), Some(3));
        assert_eq!(refusals.due(now + TOLD_EVERY), None);
    }
}
