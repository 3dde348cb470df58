//! Timelines: entries newest first, paged by their keys.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_encode;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{list_limit, page_bytes};
use super::schemas;
use crate::json::{self, EntryBody};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Asked, NAME, Names, public};
use crate::server::problem::Problem;
use crate::server::reading;
use crate::{Cursor, Engine, Entry, Limits, SyncKey, View};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(timeline))
}

/// How many entries are looked at in one go where an end is near.
const STEP: usize = 100;

/// Which part of a timeline is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Part {
    /// The newest ones above this key
    #[param(value_type = Option<String>, pattern = "^[0-9]+$")]
    since_id: Option<String>,
    /// The ones next above this key
    #[param(value_type = Option<String>, pattern = "^[0-9]+$")]
    min_id: Option<String>,
    /// Below this key
    #[param(value_type = Option<String>, pattern = "^[0-9]+$")]
    max_id: Option<String>,
    /// At most this many [default: 1000]
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct TimelineBody<'a> {
    entries: Vec<EntryBody<'a>>,
}

/// Entries newest first
///
/// `Link` leads to older ones (`next`) and to newer ones (`prev`), unless there are no entries.
#[utoipa::path(
    get,
    path = "/v1/timelines/{d}",
    tag = "changes",
    params(("d" = String, Path, description = "The dataset"), Part),
    responses(
        (status = 200, description = "Entries, newest first", body = schemas::TimelineBody, headers(
            ("Link" = String, description = "Of relations `next` (older) and `prev` (newer); none if there are no entries")
        )),
        (status = 410, description = "What is next above `min_id` is gone; the `Link` of relation `restart` leads to the newest"),
    )
)]
async fn timeline(
    app: Shared,
    access: Access,
    Names([dataset]): Names<1>,
    Asked(part): Asked<Part>,
    format: Format,
) -> Result<Response, Problem> {
    public(&dataset)?;
    access.check(Scope::Read, &dataset)?;
    let key = |text: &Option<String>| text.as_deref().map(json::key).transpose();
    let (since, min, max) = (key(&part.since_id)?, key(&part.min_id)?, key(&part.max_id)?);
    if min.is_some() && (since.is_some() || max.is_some()) {
        return Err(Problem::invalid("`min_id` excludes `since_id` and `max_id`"));
    }
    let bytes = page_bytes(&app, None);
    let limits = Limits::entries(list_limit(part.limit)?).bytes(bytes).view(View::Every);
    let limit = list_limit(part.limit)?;
    let name = dataset.clone();
    let read = move |engine: &Engine| match min {
        Some(min) => above(engine, &name, min, limits),
        None => below(engine, &name, max, since.unwrap_or_default(), (limit, bytes)),
    };
    let weigh = |found: &Vec<Entry>| reading::weigh(&dataset, found);
    let (found, leave) = reading::read(&app, bytes, read, weigh).await?;
    let path = format!("/v1/timelines/{}", percent_encode(&dataset, NAME));
    let found = found.map_err(|error| Problem::from(error).restart_at(&path))?;
    let mut headers = HeaderMap::new();
    if let Some(links) = links(&path, &part, &found) {
        headers.insert(header::LINK, links);
    }
    let entries = found.iter().map(|entry| json::entry(&dataset, entry)).collect();
    Ok((headers, Answer::page(format, &TimelineBody { entries }, leave)?).into_response())
}

/// The entries next above a key, newest first.
fn above(engine: &Engine, dataset: &[u8], min: SyncKey, limits: Limits) -> crate::Result<Vec<Entry>> {
    Ok(engine.changes(dataset, &Cursor::after(min), limits)?.entries.into_iter().rev().collect())
}

/// The newest entries below `max` and above `since`, newest first, at most so many and of so many bytes. Most who ask
/// with `since` want a few: it is read in steps then.
fn below(
    engine: &Engine,
    dataset: &[u8],
    max: Option<SyncKey>,
    since: SyncKey,
    (limit, bytes): (usize, usize),
) -> crate::Result<Vec<Entry>> {
    let (mut entries, mut below, mut left) = (Vec::new(), max, bytes);
    loop {
        let wanted = limit - entries.len();
        let step = if since == SyncKey::ZERO { wanted } else { wanted.min(STEP) };
        let some = engine.recent(dataset, below, Limits::entries(step).bytes(left))?;
        let last = some.last().map(|entry| entry.key);
        for entry in some {
            let size = entry.entity.len() + entry.payload.as_ref().map_or(0, |payload| payload.len());
            // One entry is given however large it is.
            if entry.key <= since || (size > left && !entries.is_empty()) {
                return Ok(entries);
            }
            left = left.saturating_sub(size);
            entries.push(entry);
        }
        match last {
            Some(last) if entries.len() < limit && since != SyncKey::ZERO && left > 0 => below = Some(last),
            _ => return Ok(entries),
        }
    }
}

/// Where older and newer entries are.
fn links(path: &str, part: &Part, found: &[Entry]) -> Option<HeaderValue> {
    let (newest, oldest) = (found.first()?.key, found.last()?.key);
    let limit = part.limit.map_or(String::new(), |limit| format!("&limit={limit}"));
    let since = part.since_id.as_ref().map_or(String::new(), |since| format!("&since_id={since}"));
    HeaderValue::try_from(format!(
        "<{path}?max_id={oldest}{since}{limit}>; rel=\"next\", <{path}?min_id={newest}{limit}>; rel=\"prev\""
    ))
    .ok()
}
