//! What changed in many datasets: one budget, one moment, one answer.

use std::sync::Arc;

use axum::http::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{ChangesBody, ViewName, limits, position, until};
use super::schemas::many;
use crate::json::{self, DatasetBody};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{AtMost, Given, dataset_of};
use crate::server::follow::is_whole;
use crate::server::held::Held;
use crate::server::problem::{Problem, ProblemBody};
use crate::server::reading;
use crate::server::wait::{watched, woken};
use crate::{Cursor, DatasetChanges, Engine, Error, Limits, ManyPage, Page, SyncKey, Watch};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(sync))
}

/// Most datasets of a request: as many as the engine reads in one call.
const MAX_DATASETS: usize = 65_536;
/// Most datasets of one wait: each is watched, and that takes memory for as long as it lasts.
const MAX_WAITED_FOR: usize = 4096;
/// About what a dataset takes here besides its name, in bytes.
const PLACE_BYTES: usize = 192;
/// What a part takes in an answer at least besides its name, and about what it does with a page's place in its dataset.
const LEAST_PART_BYTES: usize = 40;
const PART_BYTES: usize = 300;

/// Which datasets, and from where
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SyncRequest {
    #[schema(value_type = Vec<SyncFrom>, max_items = 65_536)]
    datasets: AtMost<SyncFrom, MAX_DATASETS>,
    /// At most this many entries in all
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// At most this many bytes of entities and payloads in all
    #[schema(minimum = 0)]
    bytes: Option<usize>,
    view: Option<ViewName>,
    /// false: leave payloads out
    payloads: Option<bool>,
    /// Wait up to this many seconds if nothing is due
    #[schema(minimum = 0)]
    wait: Option<f64>,
    /// At which of the datasets to begin: the last answer's `first`
    first: Option<usize>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SyncFrom {
    #[schema(min_length = 1, max_length = 512)]
    dataset: Option<String>,
    dataset_base64: Option<String>,
    /// A cursor, a key, `start`, `oldest` or `head`
    since: Option<String>,
}

#[derive(Debug, Serialize)]
struct SyncBody<'a> {
    datasets: Vec<Part<'a>>,
    more: bool,
    first: usize,
}

/// One dataset's part of an answer.
#[derive(Debug, Serialize)]
pub struct Part<'a> {
    #[serde(flatten)]
    dataset: DatasetBody<'a>,
    status: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    page: Option<ChangesBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemBody<'a>>,
}

impl<'a> Part<'a> {
    /// A page of a dataset, or that it was not reached.
    pub fn of(dataset: &'a [u8], status: &'static str, page: Option<ChangesBody<'a>>) -> Part<'a> {
        Part { dataset: json::dataset(dataset), status, page, problem: None }
    }

    /// Why there is none.
    pub fn failed(dataset: &'a [u8], problem: &'a Problem) -> Part<'a> {
        Part { dataset: json::dataset(dataset), status: "failed", page: None, problem: Some(problem.body()) }
    }
}

/// A dataset asked for: from where, or why it cannot be read.
struct Place {
    dataset: Vec<u8>,
    from: Result<Cursor, Problem>,
    /// Up to where it was read.
    position: SyncKey,
}

/// A request: what it reads, and how far it has come while it waits.
struct Round {
    places: Vec<Place>,
    first: usize,
    limits: Limits,
    format: Format,
}

/// The answer, if there is one to be given now.
type Read = Option<Result<Vec<u8>, Problem>>;

/// What a dataset's part says.
enum Told {
    Page(Page),
    NotReached,
    Failed(Problem),
}

/// What changed in many datasets, each since its own cursor
///
/// All of them as of one moment, and together within one budget.
#[utoipa::path(
    post,
    path = "/v1/sync",
    tag = "changes",
    request_body = SyncRequest,
    responses(
        (status = 200, description = "A part for each dataset, in the order asked for", body = many::SyncBody),
        (status = 403, description = "The token's scope does not reach one of the datasets"),
        (status = 429, description = "This client holds too many waits and streams"),
    )
)]
async fn sync(
    app: Shared,
    access: Access,
    format: Format,
    Given(asked, mut held): Given<SyncRequest>,
) -> Result<Answer, Problem> {
    let limits = limits(&app, asked.limit, asked.bytes, asked.view, asked.payloads)?;
    let until = until(&app, asked.wait)?;
    let datasets = asked.datasets.0;
    if until.is_some() && datasets.len() > MAX_WAITED_FOR {
        return Err(Problem::invalid(format!("at most {MAX_WAITED_FOR} datasets can be waited for at once")));
    }
    held.more(&app, datasets.len() * PLACE_BYTES)?;
    let mut held = Some(held);
    let mut places = Vec::with_capacity(datasets.len());
    for SyncFrom { dataset, dataset_base64, since } in datasets {
        let dataset = dataset_of(dataset, dataset_base64.as_deref())?;
        access.check(Scope::Read, &dataset)?;
        places.push(Place { dataset, from: position(since.as_deref(), None), position: SyncKey::ZERO });
    }
    let is_full = |place: &Place| place.from.as_ref().is_ok_and(is_whole);
    let mut full = if places.iter().any(is_full) { Some(app.gates.full_sync()?) } else { None };
    let parts = parts_bytes(places.iter().map(|place| &place.dataset[..]), app.gates.most_page_bytes())?;
    let bytes = parts + limits.max_bytes();
    let round = Round { places, first: asked.first.unwrap_or(0), limits, format };
    let round = Arc::new(Mutex::new(round));
    let mut waiter = None;
    loop {
        let last = until.is_none_or(|until| Instant::now() >= until) || app.closing.begun();
        let reads = Arc::clone(&round);
        let work = move |engine: &Engine| reads.lock().read(engine, last);
        let (read, mut leave) = reading::read(&app, bytes, work, weigh).await?;
        if let Some(bytes) = read? {
            leave.full_sync = full;
            return Ok(Answer::of(format.content_type(), bytes?.into()).hold(leave));
        }
        // While it waits it holds neither, and nothing that others need for their bodies.
        drop((leave, full.take()));
        if waiter.is_none() {
            let mut waits = Held::for_waits();
            waits.more(&app, round.lock().watched_bytes())?;
            waiter = Some((app.gates.waiter(&access.client)?, waits));
            held.take();
        }
        if let Some(until) = until {
            let watch = round.lock().watch(&app.engine)?;
            // Whatever ends the wait, it is looked at once more; then `last` is true, or there is something.
            woken(&app, watch, until).await;
            let access = app.tokens.renewed(&access)?;
            round.lock().places.iter().try_for_each(|place| access.check(Scope::Read, &place.dataset))?;
        }
    }
}

/// About how many bytes the parts of an answer take besides their entries.
///
/// # Errors
///
/// `too_large` if they take more than all answers may, whatever is in them.
pub fn parts_bytes<'a>(datasets: impl Iterator<Item = &'a [u8]>, most: usize) -> Result<usize, Problem> {
    let (mut count, mut names) = (0, 0);
    for dataset in datasets {
        count += 1;
        names += reading::name_bytes(dataset);
    }
    if count * LEAST_PART_BYTES + names > most {
        let detail = "an answer of so many datasets is larger than all answers may be (--page-memory); ask for fewer";
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
    }
    Ok(count * PART_BYTES + names)
}

fn weigh(read: &Read) -> usize {
    read.as_ref().and_then(|read| read.as_ref().ok()).map_or(0, Vec::len)
}

impl Round {
    /// Reads all of them: the answer, or none if nothing is due and it is not the last time.
    fn read(&mut self, engine: &Engine, last: bool) -> crate::Result<Read> {
        let mut asked = Vec::with_capacity(self.places.len());
        let mut request = Vec::with_capacity(self.places.len());
        for (index, place) in self.places.iter().enumerate() {
            if let Ok(from) = &place.from {
                asked.push(index);
                request.push((&place.dataset[..], *from));
            }
        }
        let first = asked.partition_point(|index| *index < self.first);
        let many = engine.changes_many(&request, first, self.limits)?;
        drop(request);
        if last || asked.len() < self.places.len() || many.more || many.datasets.iter().any(is_due) {
            let first = asked.get(many.next_index).copied().unwrap_or(0);
            return Ok(Some(self.answer(many, first)));
        }
        for (index, part) in asked.into_iter().zip(many.datasets) {
            let place = &mut self.places[index];
            // From here: `head` is another place later on. In one that does not exist yet everything is to come.
            (place.from, place.position) = match (part, &place.from) {
                (DatasetChanges::Page(page), _) => (Ok(page.next), page.position),
                (_, Ok(from)) if from.position().is_some() => (Ok(*from), SyncKey::ZERO),
                _ => (Ok(Cursor::START), SyncKey::ZERO),
            };
        }
        Ok(None)
    }

    /// A watch over all of them, from where they were read.
    fn watch(&self, engine: &Engine) -> crate::Result<Watch> {
        let watched: Vec<_> = self.places.iter().map(|place| (&place.dataset[..], place.position)).collect();
        engine.watch_held(&watched)
    }

    fn watched_bytes(&self) -> usize {
        self.places.iter().map(|place| watched(&place.dataset)).sum()
    }

    fn answer(&self, many: ManyPage, first: usize) -> Result<Vec<u8>, Problem> {
        let mut parts = many.datasets.into_iter().map(|part| match part {
            DatasetChanges::Page(page) => Told::Page(page),
            DatasetChanges::NotReached => Told::NotReached,
            DatasetChanges::Failed(error) => Told::Failed(error.into()),
        });
        let told: Vec<Option<Told>> =
            self.places.iter().map(|place| place.from.is_ok().then(|| parts.next()).flatten()).collect();
        let part = |(place, told)| part(place, told);
        let datasets = self.places.iter().zip(&told).map(part).collect();
        self.format.encode(&SyncBody { datasets, more: many.more, first }, 256)
    }
}

/// Whether an answer is due for this part. A dataset that does not exist yet may be waited for.
fn is_due(part: &DatasetChanges) -> bool {
    match part {
        DatasetChanges::Page(page) => !page.entries.is_empty(),
        DatasetChanges::NotReached => true,
        DatasetChanges::Failed(error) => !matches!(error, Error::DatasetNotFound { .. }),
    }
}

fn part<'a>(place: &'a Place, told: &'a Option<Told>) -> Part<'a> {
    match (told, &place.from) {
        (Some(Told::Page(page)), _) => Part::of(&place.dataset, "page", Some(ChangesBody::new(&place.dataset, page))),
        (Some(Told::Failed(problem)), _) | (None, Err(problem)) => Part::failed(&place.dataset, problem),
        (Some(Told::NotReached) | None, _) => Part::of(&place.dataset, "not_reached", None),
    }
}
