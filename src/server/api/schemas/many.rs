//! Of many datasets at once.

use super::{EntryBody, NameGiven, PageBody, Problem};
use serde::Serialize;
use utoipa::ToSchema;

/// What changed in many datasets
#[derive(Serialize, ToSchema)]
pub struct SyncBody {
    /// In the order asked for
    datasets: Vec<Part>,
    /// Whether any of them has more or was not reached
    more: bool,
    /// What to send as `first` next time
    first: usize,
}

/// What changed in a group
#[derive(Serialize, ToSchema)]
pub struct GroupSyncBody {
    /// Those for which there is something to say
    datasets: Vec<Part>,
    /// Whether to ask again at once
    more: bool,
    /// What to send with the next request, once this answer is applied
    #[schema(pattern = "^a[A-Za-z0-9_-]+$")]
    ack: String,
}

/// What changed in one of many datasets
#[derive(Serialize, ToSchema)]
pub struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    /// `page`; `reset`: the same, but forget first what you hold of it; `not_reached`: ask again; `failed`: see `problem`
    #[schema(pattern = "^(page|reset|not_reached|failed)$")]
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<EntryBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PageBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// A group
#[derive(Serialize, ToSchema)]
pub struct GroupBody {
    /// In byte order
    #[schema(value_type = Vec<NameGiven>)]
    datasets: Vec<String>,
}
