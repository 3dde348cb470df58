//! Many datasets in one answer.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::path::{Asked, path};
use super::problem::{Problem, ProblemWire};
use super::transport::{Call, Client};
use super::wire::{EntryWire, PageEndWire, needed, page, text_or_base64};
use crate::{Cursor, Limits, Page};

/// What the server says of one of several datasets.
#[derive(Debug)]
pub enum Part {
    /// A page of it.
    Page(Page),
    /// Groups only: the position had gone stale. Forget what is held of this dataset, then apply the page, which begins
    /// at the start.
    Reset(Page),
    /// The budget was spent before this dataset was reached: ask again with the same cursor.
    NotReached,
    /// This dataset cannot be served (stale, not there); the others are not touched by it.
    Failed(Problem),
}

/// One of several datasets.
#[derive(Debug)]
#[non_exhaustive]
pub struct PartOf {
    /// Its name.
    pub dataset: Bytes,
    /// What the server says of it.
    pub part: Part,
}

/// The answer of [`Client::sync`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SyncPage {
    /// One for each dataset asked for, in that order.
    pub datasets: Vec<PartOf>,
    /// Whether any dataset has more or was not reached.
    pub more: bool,
    /// The request's index at which the next call should begin, so that none starves.
    pub first: usize,
}

impl Client {
    /// What changed in many datasets, each since its cursor, in one answer and as of one moment. The limits are for all of
    /// them together; `first` says where to begin (0, then [`SyncPage::first`]). If nothing is due anywhere, waits for it
    /// for so long.
    ///
    /// # Errors
    ///
    /// Those of any call. A dataset that cannot be served is [`Part::Failed`], and no error.
    pub fn sync(
        &self,
        datasets: &[(impl AsRef<[u8]>, Cursor)],
        first: usize,
        limits: Limits,
        wait: Duration,
    ) -> Result<SyncPage> {
        let datasets = datasets.iter().map(|(dataset, cursor)| {
            let (dataset, dataset_base64) = text_or_base64(dataset.as_ref());
            SinceBody { dataset, dataset_base64, since: cursor.to_string() }
        });
        let budget = Budget::of(limits, wait);
        let body = SyncBody { datasets: datasets.collect(), first, budget };
        let answer = self.call(&Call::post(path(&[b"sync"])?, &body)?.wait(wait))?;
        let wire: SyncWire<'_> = answer.json()?;
        Ok(SyncPage { datasets: parts(wire.datasets)?, more: wire.more, first: wire.first })
    }
}

#[derive(Serialize)]
struct SyncBody<'a> {
    datasets: Vec<SinceBody<'a>>,
    first: usize,
    #[serde(flatten)]
    budget: Budget,
}

#[derive(Serialize)]
struct SinceBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_base64: Option<String>,
    since: String,
}

/// Limits and a wait as fields of a request.
#[derive(Serialize)]
pub(super) struct Budget {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payloads: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<f64>,
}

impl Budget {
    pub fn of(limits: Limits, wait: Duration) -> Budget {
        let Asked { limit, bytes, view, payloads } = Asked::of(limits);
        Budget { limit, bytes, view, payloads, wait: (!wait.is_zero()).then_some(wait.as_secs_f64()) }
    }

    /// The same where every read is of the latest view and with payloads.
    pub fn of_size(limits: Limits, wait: Duration) -> Budget {
        Budget { view: None, payloads: None, ..Budget::of(limits, wait) }
    }
}

#[derive(Deserialize)]
struct SyncWire<'a> {
    #[serde(borrow)]
    datasets: Vec<PartWire<'a>>,
    more: bool,
    first: usize,
}

#[derive(Deserialize)]
pub(super) struct PartWire<'a> {
    dataset: Option<String>,
    dataset_base64: Option<String>,
    status: String,
    #[serde(borrow)]
    entries: Option<Vec<EntryWire<'a>>>,
    page: Option<PageEndWire>,
    problem: Option<ProblemWire>,
}

pub(super) fn parts(wire: Vec<PartWire<'_>>) -> Result<Vec<PartOf>> {
    wire.into_iter().map(PartWire::part).collect()
}

impl PartWire<'_> {
    fn part(self) -> Result<PartOf> {
        let dataset = needed("dataset", self.dataset, self.dataset_base64)?;
        let part = match (self.status.as_str(), self.entries, self.page, self.problem) {
            ("page", Some(entries), Some(end), _) => Part::Page(page(entries, end)?),
            ("reset", Some(entries), Some(end), _) => Part::Reset(page(entries, end)?),
            ("not_reached", ..) => Part::NotReached,
            ("failed", _, _, Some(problem)) => Part::Failed(problem.into()),
            (status, ..) => {
                return Err(Error::unexpected(format!("a dataset with status `{status}` and not its fields")));
            }
        };
        Ok(PartOf { dataset, part })
    }
}
