//! What changed in one dataset: a page, at once or as soon as there is something.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schemas;
use crate::json::{self, EntryBody, PageBody};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Asked, Names, path_of, public};
use crate::server::follow::is_whole;
use crate::server::gates::Patience;
use crate::server::problem::Problem;
use crate::server::reading::{self, Leave};
use crate::server::wait::changed;
use crate::{Cursor, Engine, Error, Limits, Page, SyncKey, View};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(changes))
}

/// What a read of changes may ask for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Since {
    /// A cursor, a key, `start`, `oldest` or `head`
    pub since: Option<String>,
    /// Since this time instead, in Unix milliseconds
    pub since_time: Option<u64>,
    /// At most this many entries
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: Option<usize>,
    /// At most this many bytes of entities and payloads
    #[param(minimum = 0)]
    pub bytes: Option<usize>,
    /// `latest` or `every`
    #[param(inline)]
    pub view: Option<ViewName>,
    /// false: leave payloads out
    pub payloads: Option<bool>,
    /// Wait up to this many seconds if nothing is due
    #[param(minimum = 0)]
    pub wait: Option<f64>,
}

/// Which entries are delivered.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ViewName {
    /// What leads to the present state.
    Latest,
    /// Every recorded entry.
    Every,
}

/// Most entries in a page.
pub const MAX_PAGE_ENTRIES: usize = 10_000;

/// The cursor that a text names.
///
/// # Errors
///
/// `stale_malformed` (410) for what is none.
pub fn cursor(text: Option<&str>) -> Result<Cursor, Problem> {
    Ok(match text {
        None | Some("start") => Cursor::START,
        Some("oldest") => Cursor::oldest(),
        Some("head") => Cursor::head(),
        Some(text) => text.parse().map_err(|error: Error| Problem::from(error))?,
    })
}

/// The cursor that a text or a time names.
///
/// # Errors
///
/// As [`cursor`], and `invalid` for both.
pub fn position(since: Option<&str>, since_time: Option<u64>) -> Result<Cursor, Problem> {
    match (since_time, since) {
        (Some(_), Some(_)) => Err(Problem::invalid("`since` and `since_time` exclude each other")),
        (Some(time), None) => Ok(Cursor::since_time(time)),
        (None, text) => cursor(text),
    }
}

/// The limits of a page within those of the server.
///
/// # Errors
///
/// `invalid`.
pub fn limits(
    app: &App,
    entries: Option<usize>,
    bytes: Option<usize>,
    view: Option<ViewName>,
    payloads: Option<bool>,
) -> Result<Limits, Problem> {
    let entries = list_limit(entries)?;
    let view = match view {
        Some(ViewName::Every) => View::Every,
        Some(ViewName::Latest) | None => View::Latest,
    };
    let limits = Limits::entries(entries).bytes(page_bytes(app, bytes)).view(view);
    Ok(if payloads.unwrap_or(true) { limits } else { limits.without_payloads() })
}

/// How many entries or rows are answered.
///
/// # Errors
///
/// `invalid`.
pub fn list_limit(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(1000) {
        limit @ 1..=MAX_PAGE_ENTRIES => Ok(limit),
        _ => Err(Problem::invalid(format!("`limit` is not within 1 to {MAX_PAGE_ENTRIES}"))),
    }
}

/// The bytes that a page may hold.
pub fn page_bytes(app: &App, bytes: Option<usize>) -> usize {
    bytes.unwrap_or(app.config.page_bytes).min(app.config.page_bytes)
}

/// Until when to wait; none for not at all.
///
/// # Errors
///
/// `invalid` for what is no time.
pub fn until(app: &App, wait: Option<f64>) -> Result<Option<Instant>, Problem> {
    match wait {
        None => Ok(None),
        Some(wait) if wait.is_finite() && wait >= 0.0 => {
            let most = app.config.max_wait.as_secs_f64();
            Ok(Some(Instant::now() + Duration::from_secs_f64(wait.min(most))))
        }
        Some(_) => Err(Problem::invalid("`wait` is a number of seconds")),
    }
}

/// A page as it is answered.
#[derive(Debug, Serialize)]
pub struct ChangesBody<'a> {
    /// The entries.
    pub entries: Vec<EntryBody<'a>>,
    #[serde(flatten)]
    page: PageBody,
}

impl<'a> ChangesBody<'a> {
    /// A page of `dataset`.
    pub fn new(dataset: &'a [u8], page: &'a Page) -> ChangesBody<'a> {
        ChangesBody {
            entries: page.entries.iter().map(|entry| json::entry(dataset, entry)).collect(),
            page: json::page(page),
        }
    }
}

/// Where a reader of a dataset begins again whose position cannot be served. Every entry that is still there is read from
/// the oldest: the start itself may be gone, as it is for whoever was `refused` there. `route` is the one below the
/// dataset that is asked.
pub fn restart(dataset: &[u8], route: &str, view: Option<ViewName>, refused: Option<Cursor>) -> String {
    let since = match view {
        Some(ViewName::Every) => "oldest&view=every",
        Some(ViewName::Latest) | None if refused == Some(Cursor::START) => "oldest",
        Some(ViewName::Latest) | None => "start",
    };
    path_of(dataset, &format!("/{route}?since={since}"))
}

/// A page that may be waited for.
#[derive(Debug)]
pub struct Awaited<'a> {
    /// Of this dataset.
    pub dataset: &'a [u8],
    /// For whom may do this with it.
    pub scope: Scope,
    /// Of at most so many bytes.
    pub bytes: usize,
    /// If nothing is due, until then.
    pub until: Option<Instant>,
    /// Whether it is the first page of everything.
    pub from_start: bool,
}

/// Reads a page, at once or as soon as there is something in it: in place if `at_once` can. While it waits it holds no page,
/// and keeps nobody from reading from the start.
///
/// # Errors
///
/// Those of the gates and of the read.
pub async fn awaited(
    app: &App,
    access: &Access,
    page: Awaited<'_>,
    at_once: impl Fn(&Engine) -> Option<crate::Result<Page>>,
    read: impl Fn(&Engine) -> crate::Result<Page> + Clone + Send + 'static,
) -> Result<(Page, Leave), Problem> {
    let mut full = if page.from_start { Some(app.gates.full_sync()?) } else { None };
    let mut place = None;
    loop {
        let weigh = |found: &Page| reading::weigh(page.dataset, &found.entries);
        let (found, mut leave) =
            reading::read_soon(Patience::Some, app, page.bytes, &at_once, read.clone(), weigh).await?;
        let last = page.until.is_none_or(|until| Instant::now() >= until) || app.closing.begun();
        let position = match found {
            Ok(found) if last || found.more || !found.entries.is_empty() => {
                // Whoever waited for the first entries need not read everything at once.
                if page.from_start && full.is_none() && found.more {
                    full = Some(app.gates.full_sync()?);
                }
                leave.full_sync = full;
                return Ok((found, leave));
            }
            Ok(found) => found.position,
            Err(Error::DatasetNotFound { .. }) if !last => SyncKey::ZERO,
            Err(error) => return Err(error.into()),
        };
        drop((leave, full.take()));
        if place.is_none() {
            place = Some(app.gates.waiter(&access.client)?);
        }
        if let Some(until) = page.until {
            // Whatever ends the wait, it is looked at once more; then `last` is true, or there is something.
            changed(app, &[(page.dataset, position)], until).await?;
            app.tokens.renewed(access)?.check(page.scope, page.dataset)?;
        }
    }
}

/// Moves a wait on to where its last read found nothing.
fn went_on(read: crate::Result<Page>, from: &mut Cursor) -> crate::Result<Page> {
    match &read {
        Ok(page) if page.entries.is_empty() && !page.more => *from = page.next,
        Err(Error::DatasetNotFound { .. }) if from.position().is_none() => *from = Cursor::START,
        _ => {}
    }
    read
}

/// What changed in a dataset since a cursor
///
/// With `wait`, the answer is held until something is due or the time is over.
#[utoipa::path(
    get,
    path = "/v1/datasets/{d}/changes",
    tag = "changes",
    params(("d" = String, Path, description = "The dataset"), Since),
    responses(
        (status = 200, description = "A page, empty if nothing is due", body = schemas::ChangesBody),
        (status = 410, description = "The cursor cannot be served any more; the `Link` of relation `restart` can"),
        (status = 429, description = "The client holds too many waits already")
    )
)]
async fn changes(
    app: Shared,
    access: Access,
    Names([dataset]): Names<1>,
    Asked(since): Asked<Since>,
    format: Format,
) -> Result<Answer, Problem> {
    public(&dataset)?;
    access.check(Scope::Read, &dataset)?;
    let limits = limits(&app, since.limit, since.bytes, since.view, since.payloads)?;
    let until = until(&app, since.wait)?;
    let restart = |problem: Problem, from| problem.restart_at(&restart(&dataset, "changes", since.view, from));
    let cursor = position(since.since.as_deref(), since.since_time).map_err(|problem| restart(problem, None))?;
    let page = Awaited {
        dataset: &dataset,
        scope: Scope::Read,
        bytes: limits.max_bytes(),
        until,
        from_start: is_whole(&cursor),
    };
    let name = dataset.clone();
    // A wait goes on from where it began: `head` is another place later on. In a dataset that does not exist yet
    // everything is to come.
    let from = Arc::new(Mutex::new(cursor));
    let waited = Arc::clone(&from);
    let at_once = |engine: &Engine| {
        let mut from = from.lock();
        let read = reading::at_once(engine, &dataset, &from, limits)?;
        Some(went_on(read, &mut from))
    };
    let read = move |engine: &Engine| {
        let mut from = waited.lock();
        went_on(engine.changes(&name, &from, limits), &mut from)
    };
    let (page, leave) =
        awaited(&app, &access, page, at_once, read).await.map_err(|problem| restart(problem, Some(cursor)))?;
    Answer::page(format, &ChangesBody::new(&dataset, &page), leave)
}
