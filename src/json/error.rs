//! Writing errors: each kind with the exit code that the command line gives it.

use serde::Serialize;

use super::stats::path;
use super::text::{decimal, text_or_base64};
use crate::{Error, StaleReason, SyncKey};

/// Every kind of error, with its exit code. `docs/json.md` has the same table with meanings.
pub const KINDS: &[(&str, u8)] = &[
    ("invalid", 2),
    ("stale_trimmed", 3),
    ("stale_history_trimmed", 3),
    ("stale_other_lineage", 3),
    ("stale_recreated", 3),
    ("stale_future", 3),
    ("stale_malformed", 3),
    ("evicted", 3),
    ("conflict", 4),
    ("idempotency_mismatch", 4),
    ("damaged", 5),
    ("locked", 6),
    ("dataset_not_found", 7),
    ("not_found", 7),
    ("outcome_unknown", 1),
    ("poisoned", 1),
    ("no_space", 1),
    ("busy", 1),
    ("seal_failed", 1),
    ("format_too_new", 1),
    ("closed", 1),
    ("io", 1),
    ("store", 1),
    ("interrupted", 1),
];

/// The exit code of an error.
pub fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Invalid { .. } => 2,
        Error::Stale(_) | Error::Evicted { .. } => 3,
        Error::Conflict { .. } | Error::IdempotencyMismatch { .. } => 4,
        Error::Damaged { .. } => 5,
        Error::Locked { .. } => 6,
        Error::DatasetNotFound { .. } | Error::NotFound { .. } => 7,
        Error::OutcomeUnknown { .. }
        | Error::Poisoned { .. }
        | Error::NoSpace { .. }
        | Error::Busy { .. }
        | Error::SealFailed { .. }
        | Error::FormatTooNew { .. }
        | Error::Closed
        | Error::Io { .. }
        | Error::Store { .. } => 1,
    }
}

/// What an import committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Committed {
    /// Commits written.
    pub commits: u64,
    /// Entries in them.
    pub entries: u64,
    /// Commits that were there already, by their idempotency id.
    pub repeated: u64,
    /// The first key given (or found, for a repeat).
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "decimal_key")]
    pub first: Option<SyncKey>,
    /// The last key given (or found).
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "decimal_key")]
    pub last: Option<SyncKey>,
}

fn decimal_key<S: serde::Serializer>(key: &Option<SyncKey>, serializer: S) -> Result<S::Ok, S::Error> {
    key.map(decimal).serialize(serializer)
}

/// An error, as it stands inside `{"error":{..}}`. What does not apply is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    kind: &'static str,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<Committed>,
}

impl ErrorBody {
    /// An error of this kind (one of [`KINDS`]) that concerns nothing in particular.
    pub fn new(kind: &'static str, message: impl Into<String>) -> ErrorBody {
        ErrorBody {
            kind,
            message: message.into(),
            dataset: None,
            dataset_base64: None,
            entity: None,
            entity_base64: None,
            consumer: None,
            key: None,
            floor: None,
            file: None,
            offset: None,
            line: None,
            committed: None,
        }
    }

    /// Says it in other words.
    pub fn message(mut self, message: impl Into<String>) -> ErrorBody {
        self.message = message.into();
        self
    }

    /// What is wrong and what to do, for people.
    pub fn text(&self) -> &str {
        &self.message
    }

    /// Names the dataset concerned.
    pub fn dataset(mut self, dataset: &[u8]) -> ErrorBody {
        let (text, base64) = text_or_base64(dataset);
        (self.dataset, self.dataset_base64) = (text.map(str::to_owned), base64);
        self
    }

    /// Names the entity concerned.
    pub fn entity(mut self, entity: &[u8]) -> ErrorBody {
        let (text, base64) = text_or_base64(entity);
        (self.entity, self.entity_base64) = (text.map(str::to_owned), base64);
        self
    }

    /// Names the durable consumer concerned.
    pub fn consumer(mut self, consumer: &str) -> ErrorBody {
        self.consumer = Some(consumer.to_owned());
        self
    }

    /// Names the line of an import that was refused, if one was, and what was committed before.
    pub fn import(mut self, line: Option<u64>, committed: Committed) -> ErrorBody {
        (self.line, self.committed) = (line, Some(committed));
        self
    }

    /// Names the file or directory concerned.
    pub fn file(mut self, file: &std::path::Path) -> ErrorBody {
        self.file = Some(path(file));
        self
    }
}

/// The body of an engine's error.
pub fn error(error: &Error) -> ErrorBody {
    let mut body = ErrorBody::new(error.kind(), error.to_string());
    match error {
        Error::DatasetNotFound { dataset } => return body.dataset(dataset),
        Error::Stale(stale) => {
            body.key = (stale.reason != StaleReason::Malformed).then(|| stale.position.to_string());
            body.floor = (stale.floor != 0).then(|| stale.floor.to_string());
            if !stale.dataset.is_empty() {
                return body.dataset(&stale.dataset);
            }
        }
        Error::Conflict { dataset, entity, current } => {
            body.key = current.map(|key| key.to_string());
            return body.dataset(dataset).entity(entity);
        }
        Error::IdempotencyMismatch { first, .. } => body.key = Some(first.to_string()),
        Error::Damaged { file, offset, .. } => {
            body.offset = *offset;
            return body.file(file);
        }
        Error::FormatTooNew { file, .. } => return body.file(file),
        Error::Locked { dir } => return body.file(dir),
        Error::Evicted { consumer, dataset, floor } => {
            body.floor = Some(floor.to_string());
            return body.consumer(consumer).dataset(dataset);
        }
        Error::Invalid { .. }
        | Error::NotFound { .. }
        | Error::OutcomeUnknown { .. }
        | Error::Poisoned { .. }
        | Error::NoSpace { .. }
        | Error::Busy { .. }
        | Error::SealFailed { .. }
        | Error::Closed
        | Error::Io { .. }
        | Error::Store { .. } => {}
    }
    body
}
