//! What changes in one dataset, as it changes: Server-Sent Events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{ChangesBody, ViewName, limits, position, restart};
use crate::Page;
use crate::server::answer::Format;
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Asked, Names, header_text, public};
use crate::server::follow::{Follow, Written};
use crate::server::gates::{Patience, WaiterPlace};
use crate::server::problem::Problem;
use crate::server::wait::{Woken, changed};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(events))
}

/// What a stream of changes may ask for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Following {
    /// A cursor, a key, `start`, `oldest` or `head`
    since: Option<String>,
    /// Since this time instead, in Unix milliseconds
    since_time: Option<u64>,
    /// At most this many entries in an event
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// At most this many bytes of entities and payloads in an event
    #[param(minimum = 0)]
    bytes: Option<usize>,
    /// `latest` or `every`
    view: Option<ViewName>,
    /// false: leave payloads out
    payloads: Option<bool>,
}

/// A stream between two events: it holds no page.
struct Events {
    app: Arc<App>,
    access: Access,
    follow: Follow,
    /// Whether there is something to read at once.
    due: bool,
    /// Its last event was sent.
    over: bool,
    beat: Instant,
    _place: WaiterPlace,
}

/// What changes in a dataset, as it changes
///
/// Each event `changes` is a page as `changes` gives it, with the cursor to go on from as its id.
#[utoipa::path(
    get,
    path = "/v1/datasets/{d}/events",
    tag = "streams",
    params(
        ("d" = String, Path, description = "The dataset"),
        Following,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event received")
    ),
    responses(
        (status = 200, description = "A stream of events", content_type = "text/event-stream"),
        (status = 403, description = "The token's scope does not reach"),
        (status = 404, description = "The dataset that the cursor is of does not exist"),
        (status = 410, description = "The cursor is too old"),
        (status = 429, description = "This client holds too many waits and streams"),
    )
)]
async fn events(
    app: Shared,
    access: Access,
    Names([dataset]): Names<1>,
    Asked(from): Asked<Following>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    public(&dataset)?;
    access.check(Scope::Read, &dataset)?;
    let limits = limits(&app, from.limit, from.bytes, from.view, from.payloads)?;
    let last = header_text(&headers, HeaderName::from_static("last-event-id"))?.filter(|id| !id.is_empty());
    let cursor = match &last {
        Some(id) => position(Some(id), None),
        None => position(from.since.as_deref(), from.since_time),
    };
    let path = restart(&dataset, "events", from.view, cursor.as_ref().ok().copied());
    let restart = |problem: Problem| problem.restart_at(&path);
    let mut follow = Follow::new(dataset, cursor.map_err(restart)?, limits);
    let place = app.gates.waiter(&access.client)?;
    let full = if follow.is_from_start() { Some(app.gates.full_sync()?) } else { None };
    let first = follow.read(&app, Patience::Some, event).await.map_err(restart)?;
    let (due, beat) = (first.more, Instant::now() + app.config.heartbeat);
    let state = Events { app: app.0, access, follow, due, over: false, beat, _place: place };
    let first = stream::iter([Ok::<_, Infallible>(first.into_bytes(full))]);
    let body = Body::from_stream(stream::StreamExt::chain(first, stream::unfold(state, next)));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A proxy that gathers the answer before it passes it on would hold events back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, body).into_response())
}

/// What is sent next, when there is something.
async fn next(mut state: Events) -> Option<(Result<Bytes, Infallible>, Events)> {
    while !state.over && !state.app.closing.begun() {
        // Whoever is let in no more, or not here, is told nothing more.
        state.access = state.app.tokens.renewed(&state.access).ok()?;
        state.access.check(Scope::Read, state.follow.dataset()).ok()?;
        if state.due {
            let sent = match Box::pin(state.follow.read(&state.app, Patience::Endless, event)).await {
                Ok(page) => state.page(page),
                Err(problem) => state.end(&problem),
            };
            match sent {
                Some(bytes) => return Some((Ok(bytes), state)),
                None => continue,
            }
        }
        let watched = [(state.follow.dataset(), state.follow.position())];
        match changed(&state.app, &watched, state.beat).await {
            Ok(Woken::Changed) => state.due = true,
            Ok(Woken::TimedOut) => {
                state.beat = Instant::now() + state.app.config.heartbeat;
                return Some((Ok(Bytes::from_static(b":\n\n")), state));
            }
            Ok(Woken::Closing) | Err(_) => return None,
        }
    }
    None
}

impl Events {
    fn page(&mut self, page: Written) -> Option<Bytes> {
        self.due = page.more;
        self.beat = Instant::now() + self.app.config.heartbeat;
        (!page.is_empty || page.more).then(|| page.into_bytes(None))
    }

    /// What is said at the end: why the position is no good any more. Of anything else the client learns when it comes
    /// back.
    fn end(&mut self, problem: &Problem) -> Option<Bytes> {
        self.over = true;
        match problem.is_gone() {
            true => Format::Json.encode(&problem.body(), 256).ok().map(|data| framed("stale", None, &data).into()),
            false => None,
        }
    }
}

/// A page as an event.
fn event(dataset: &[u8], page: &Page) -> Result<Vec<u8>, Problem> {
    let data = Format::Json.encode(&ChangesBody::new(dataset, page), 256)?;
    Ok(framed("changes", Some(&page.next.to_string()), &data))
}

/// An event. JSON of ours is one line.
fn framed(event: &str, id: Option<&str>, data: &[u8]) -> Vec<u8> {
    let id = id.map_or(String::new(), |id| format!("id: {id}\n"));
    let head = format!("event: {event}\n{id}data: ");
    [head.as_bytes(), data, b"\n\n"].concat()
}
