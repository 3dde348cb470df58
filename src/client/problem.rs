use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::wire::{Digits, name};
use crate::SyncKey;

/// What the server says is wrong (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Problem {
    /// What sort it is, for programs: `conflict`, `stale_trimmed`, ... A later version may say others.
    pub kind: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong and what to do, for people.
    pub detail: String,
    /// The dataset concerned.
    pub dataset: Option<Bytes>,
    /// The entity concerned.
    pub entity: Option<Bytes>,
    /// `conflict`: the entity's newest key, none if it does not exist. `stale_*`: the position asked from.
    pub key: Option<SyncKey>,
    /// `stale_*`, `evicted`: up to this key, what is needed is gone.
    pub floor: Option<SyncKey>,
    /// The consumer concerned.
    pub consumer: Option<String>,
    /// When to ask again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    pub(super) fn invalid(detail: impl Into<String>) -> Problem {
        Problem { kind: "invalid".into(), status: 400, detail: detail.into(), ..Problem::default() }
    }

    /// The problem that an answer's body describes; what is no problem+json (a proxy's page) is told by its status.
    pub(super) fn read(status: u16, body: &[u8], retry_after: Option<Duration>) -> Problem {
        let mut problem = match serde_json::from_slice::<ProblemWire>(body) {
            Ok(wire) => Problem::from(wire),
            Err(_) => Problem { detail: format!("the answer has status {status}"), ..Problem::default() },
        };
        problem.status = status;
        problem.retry_after = retry_after;
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// A problem as it is written. Names that are no base64 are left out: the problem itself is worth more than they.
#[derive(Debug, Deserialize)]
pub(super) struct ProblemWire {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    detail: String,
    dataset: Option<String>,
    dataset_base64: Option<String>,
    entity: Option<String>,
    entity_base64: Option<String>,
    key: Option<Digits>,
    floor: Option<Digits>,
    consumer: Option<String>,
}

impl From<ProblemWire> for Problem {
    fn from(wire: ProblemWire) -> Problem {
        Problem {
            kind: wire.kind,
            status: wire.status,
            detail: wire.detail,
            dataset: name("dataset", wire.dataset, wire.dataset_base64).ok().flatten(),
            entity: name("entity", wire.entity, wire.entity_base64).ok().flatten(),
            key: wire.key.map(|key| SyncKey::new(key.0)),
            floor: wire.floor.map(|floor| SyncKey::new(floor.0)),
            consumer: wire.consumer,
            retry_after: None,
        }
    }
}
