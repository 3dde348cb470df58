//! Durable consumers: store and forward to a processor that comes and goes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{Awaited, ChangesBody, ViewName, awaited, limits, list_limit, page_bytes, restart, until};
use super::schemas;
use crate::json::{self, ConsumerBody, KeyGiven, ListPage};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Asked, Given, Names, dataset_of};
use crate::server::problem::Problem;
use crate::server::reading;
use crate::{Consumer, Engine};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(fetch)).routes(routes!(ack)).routes(routes!(list)).routes(routes!(remove))
}

/// How many consumers are read in one go.
const STEP: usize = 1000;
/// What a consumer takes in the list besides names, in bytes.
const ROW_BYTES: usize = 80;

/// What a consumer fetches
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Fetch {
    /// The dataset
    #[schema(min_length = 1, max_length = 512)]
    dataset: Option<String>,
    /// The dataset, in base64
    dataset_base64: Option<String>,
    /// At most this many entries [default: 1000]
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// At most this many bytes of entities and payloads
    #[schema(minimum = 0)]
    bytes: Option<usize>,
    /// `latest` or `every`; a dataset that keeps a window has only the latter
    view: Option<ViewName>,
    /// Wait up to this many seconds if nothing is due
    #[schema(minimum = 0)]
    wait: Option<f64>,
}

/// The next page behind what was acknowledged; what is not acknowledged comes again
#[utoipa::path(
    post,
    path = "/v1/consumers/{c}/fetch",
    tag = "consumers",
    params(("c" = String, Path, description = "The consumer", min_length = 1, max_length = 255)),
    request_body = Fetch,
    responses(
        (status = 200, description = "A page, empty if nothing is due", body = schemas::ChangesBody),
        (status = 410, description = "The `consumer` fell too far behind in the `dataset`: up to the `floor`, what it has not seen is gone; the `Link` of relation `restart` leads to everything"),
        (status = 429, description = "The client holds too many waits already"),
        (status = 507, description = "The disk is full; nothing was written")
    )
)]
async fn fetch(
    app: Shared,
    access: Access,
    Names([consumer]): Names<1>,
    format: Format,
    Given(fetch, held): Given<Fetch>,
) -> Result<Answer, Problem> {
    let (consumer, dataset) = (named(consumer)?, dataset_of(fetch.dataset, fetch.dataset_base64.as_deref())?);
    access.check(Scope::Write, &dataset)?;
    let limits = limits(&app, fetch.limit, fetch.bytes, fetch.view, None)?;
    let until = until(&app, fetch.wait)?;
    let page = Awaited { dataset: &dataset, scope: Scope::Write, bytes: limits.max_bytes(), until, from_start: false };
    // The names are of bounded length, or the first look refuses them.
    drop(held);
    let name = dataset.clone();
    let read = move |engine: &Engine| engine.consumer_fetch(&consumer, &name, limits);
    let (page, leave) = awaited(&app, &access, page, |_| None, read)
        .await
        .map_err(|problem| problem.restart_at(&restart(&dataset, "changes", fetch.view, None)))?;
    Answer::page(format, &ChangesBody::new(&dataset, &page), leave)
}

/// Up to where a consumer is done
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ack {
    /// The dataset
    #[schema(min_length = 1, max_length = 512)]
    dataset: Option<String>,
    /// The dataset, in base64
    dataset_base64: Option<String>,
    /// All up to this key is done
    #[schema(value_type = String, pattern = "^[0-9]+$")]
    key: KeyGiven,
}

/// Acknowledge all up to a key
#[utoipa::path(
    post,
    path = "/v1/consumers/{c}/ack",
    tag = "consumers",
    params(("c" = String, Path, description = "The consumer", min_length = 1, max_length = 255)),
    request_body = Ack,
    responses(
        (status = 200, description = "The consumer's position: the greater of the two", body = schemas::AckBody),
        (status = 410, description = "The store has not given out this key"),
        (status = 507, description = "The disk is full; nothing was written")
    )
)]
async fn ack(
    app: Shared,
    access: Access,
    Names([consumer]): Names<1>,
    format: Format,
    Given(ack, _held): Given<Ack>,
) -> Result<Answer, Problem> {
    let (consumer, dataset) = (named(consumer)?, dataset_of(ack.dataset, ack.dataset_base64.as_deref())?);
    access.check(Scope::Write, &dataset)?;
    let (name, of) = (consumer.clone(), dataset.clone());
    let acked = app.run(move |engine| engine.consumer_ack(&name, of, ack.key.0)).await;
    let position = acked.map_err(|problem| problem.restart_at(&restart(&dataset, "changes", None, None)))?;
    Answer::new(format, &json::ack(&consumer, &dataset, position))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Some {
    /// At most this many [default: 1000]
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// Those behind this place: an earlier page's `after`
    after: Option<String>,
}

#[derive(Debug, Serialize)]
struct ConsumersBody<'a> {
    consumers: Vec<ConsumerBody<'a>>,
    #[serde(flatten)]
    page: ListPage,
}

/// The consumers of datasets that the client may read, by name and dataset
#[utoipa::path(
    get,
    path = "/v1/consumers",
    tag = "consumers",
    params(Some),
    responses((status = 200, description = "Each with its position", body = schemas::ConsumersBody))
)]
async fn list(app: Shared, access: Access, Asked(some): Asked<Some>, format: Format) -> Result<Answer, Problem> {
    let limit = list_limit(some.limit)?;
    let after = some.after.as_deref().map(of_place).transpose()?;
    let shown = move |consumer: &Consumer| consumer.dataset.first() != Some(&0) && access.reads(&consumer.dataset);
    let read = move |engine: &Engine| consumers(engine, after.clone(), limit + 1, &shown);
    let row = |row: &Consumer| ROW_BYTES + reading::name_bytes(row.name.as_bytes()) + reading::name_bytes(&row.dataset);
    let weigh = |rows: &Vec<Consumer>| rows.iter().map(row).sum();
    let (found, leave) = reading::read(&app, page_bytes(&app, None), read, weigh).await?;
    let found = found?;
    let page = match found.get(limit - 1) {
        Some(last) if found.len() > limit => ListPage::after(place(last).as_bytes()),
        _ => ListPage::end(false),
    };
    let consumers = found.iter().take(limit).map(json::consumer).collect();
    Answer::page(format, &ConsumersBody { consumers, page }, leave)
}

/// A consumer's place in the list, as text: its name behind the length of that, and its dataset.
fn place(consumer: &Consumer) -> String {
    let name = consumer.name.as_bytes();
    URL_SAFE_NO_PAD.encode([&(name.len() as u16).to_be_bytes(), name, &consumer.dataset].concat())
}

/// The place that a text names. Nobody need be there any more.
fn of_place(text: &str) -> Result<(String, Vec<u8>), Problem> {
    let read = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (len, rest) = bytes.split_first_chunk()?;
        let (name, dataset) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        Some((String::from_utf8(name.to_vec()).ok()?, dataset.to_vec()))
    };
    read(text).ok_or_else(|| Problem::invalid("`after` is no place in this list; take it from an earlier page"))
}

/// The next consumers that are to be shown.
fn consumers(
    engine: &Engine,
    mut after: Option<(String, Vec<u8>)>,
    limit: usize,
    shown: impl Fn(&Consumer) -> bool,
) -> crate::Result<Vec<Consumer>> {
    let mut found: Vec<Consumer> = Vec::new();
    loop {
        let from = after.as_ref().map(|(name, dataset)| (name.as_str(), dataset.as_slice()));
        let some = engine.consumers(from, STEP)?;
        after = some.last().map(|last| (last.name.clone(), last.dataset.clone()));
        let ended = some.len() < STEP;
        found.extend(some.into_iter().filter(&shown).take(limit - found.len()));
        if ended || found.len() >= limit {
            return Ok(found);
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Of {
    /// The dataset
    dataset: Option<String>,
    /// The dataset, in base64
    dataset_base64: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Removed {
    removed: bool,
}

/// Forget a consumer of a dataset
#[utoipa::path(
    delete,
    path = "/v1/consumers/{c}",
    tag = "consumers",
    params(("c" = String, Path, description = "The consumer", min_length = 1, max_length = 255), Of),
    responses(
        (status = 200, description = "It is forgotten", body = Removed),
        (status = 507, description = "The disk is full; nothing was written")
    )
)]
async fn remove(
    app: Shared,
    access: Access,
    Names([consumer]): Names<1>,
    Asked(asked): Asked<Of>,
    format: Format,
) -> Result<Answer, Problem> {
    let (consumer, dataset) = (named(consumer)?, dataset_of(asked.dataset, asked.dataset_base64.as_deref())?);
    access.check(Scope::Write, &dataset)?;
    let (name, of) = (consumer.clone(), dataset.clone());
    let removed = app.run(move |engine| engine.consumer_remove(&name, of)).await;
    removed.map_err(|problem| problem.dataset(&dataset).consumer(&consumer))?;
    Answer::new(format, &Removed { removed: true })
}

/// A consumer's name, which is text.
fn named(name: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(name).map_err(|_| Problem::invalid("a consumer's name is UTF-8"))
}
