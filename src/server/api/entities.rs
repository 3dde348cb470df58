//! One entity: its payload as a resource of its own, with its key for a tag.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::commits::{CommitBody, idempotency_key, submit};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Names, body, header_text, public};
use crate::server::problem::Problem;
use crate::server::reading;
use crate::server::tags::{known, tag, wanted};
use crate::{Batch, Commit, Durability, Entry, Error, Expect, Limits, Op, SyncKey, json};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get, put, delete))
}

const ORIGIN: HeaderName = HeaderName::from_static("tidelog-origin");
const TIME: HeaderName = HeaderName::from_static("tidelog-time");
/// What an entity is expected to take; one that takes more is read twice.
const ENTITY_BYTES: usize = 16 << 10;

/// An entity's payload, as it was stored
#[utoipa::path(
    get,
    path = "/v1/datasets/{d}/entities/{e}",
    tag = "entities",
    params(
        ("d" = String, Path, description = "The dataset"),
        ("e" = String, Path, description = "The entity"),
        ("If-None-Match" = Option<String>, Header, description = "Tags that the client knows, or `*`"),
    ),
    responses(
        (status = 200, description = "The payload", content(
            (serde_json::Value = "application/json"),
            (String = "application/octet-stream"),
        ), headers(
            ("ETag" = String, description = "The entity's key, in quotes"),
            ("Tidelog-Time" = String, description = "When it was committed, in Unix milliseconds"),
            ("Tidelog-Origin" = String, description = "The client or device that made the change, if it was named"),
        )),
        (status = 304, description = "The client knows it; the headers of 200"),
    )
)]
async fn get(
    app: Shared,
    access: Access,
    Names([dataset, entity]): Names<2>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    public(&dataset)?;
    access.check(Scope::Read, &dataset)?;
    let known = known(header_text(&headers, header::IF_NONE_MATCH)?.as_deref())?;
    let (name, id) = (dataset.clone(), entity.clone());
    let read = move |engine: &crate::Engine| engine.get(&name, &id);
    let weigh = |found: &Option<Entry>| reading::weigh(&[], found);
    let (found, leave) = reading::read(&app, ENTITY_BYTES, read, weigh).await?;
    let Some(entry) = found? else {
        return Err(Problem::not_found("there is no such entity").dataset(&dataset).entity(&entity));
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, tag(entry.key));
    headers.insert(TIME, entry.time_ms.into());
    // Caches are to ask before they hand it out.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // An origin with control characters cannot be sent.
    if let Some(origin) = entry.origin.as_deref().and_then(|origin| HeaderValue::from_bytes(origin).ok()) {
        headers.insert(ORIGIN, origin);
    }
    if known.has(entry.key) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let payload = entry.payload.unwrap_or_default();
    let content_type =
        if json::payload_json(&payload).is_some() { "application/json" } else { "application/octet-stream" };
    Ok((headers, Answer::of(content_type, payload).hold(leave)).into_response())
}

/// Give an entity a payload: the body, byte for byte
#[utoipa::path(
    put,
    path = "/v1/datasets/{d}/entities/{e}",
    tag = "entities",
    params(
        ("d" = String, Path, description = "The dataset"),
        ("e" = String, Path, description = "The entity"),
        ("If-Match" = Option<String>, Header, description = "The tag that it must have, or `*`: it must exist"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: it must not exist"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "A repeat with the same content is not written again"),
        ("Tidelog-Origin" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "The client or device that makes the change"),
    ),
    request_body(content((String = "application/octet-stream"), (serde_json::Value = "application/json"))),
    responses(
        (status = 200, description = "It has the payload", body = CommitBody,
            headers(("ETag" = String, description = "The entity's new key, in quotes"))),
        (status = 201, description = "It has the payload, and did not exist before", body = CommitBody,
            headers(("ETag" = String, description = "The entity's new key, in quotes"))),
        (status = 412, description = "A condition does not hold; the present tag is in `ETag`"),
        (status = 422, description = "The id was used for other content; nothing was written"),
        (status = 507, description = "The disk is full; nothing was written"),
    )
)]
async fn put(
    app: Shared,
    access: Access,
    Names([dataset, entity]): Names<2>,
    format: Format,
    request: Request,
) -> Result<Response, Problem> {
    public(&dataset)?;
    access.check(Scope::Write, &dataset)?;
    let change = Change::of(request.headers(), dataset, entity)?;
    let body = body(request, &app).await?;
    let mut batch = Batch::new();
    batch.put(change.dataset.clone(), change.entity.clone(), body.bytes);
    let commit = change.commit(&app, batch).await?;
    let status = if is_new(&app, &change, &commit).await { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(header::ETAG, tag(commit.last))], Answer::new(format, &CommitBody::from(commit))?).into_response())
}

/// End an entity's existence
#[utoipa::path(
    delete,
    path = "/v1/datasets/{d}/entities/{e}",
    tag = "entities",
    params(
        ("d" = String, Path, description = "The dataset"),
        ("e" = String, Path, description = "The entity"),
        ("If-Match" = Option<String>, Header, description = "The tag that it must have, or `*`"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "A repeat with the same content is not written again"),
        ("Tidelog-Origin" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "The client or device that makes the change"),
    ),
    responses(
        (status = 200, description = "It is gone", body = CommitBody),
        (status = 412, description = "`If-Match` does not hold; the present tag is in `ETag`"),
        (status = 422, description = "The id was used for other content; nothing was written"),
        (status = 507, description = "The disk is full; nothing was written"),
    )
)]
async fn delete(
    app: Shared,
    access: Access,
    Names([dataset, entity]): Names<2>,
    format: Format,
    headers: HeaderMap,
) -> Result<Answer, Problem> {
    public(&dataset)?;
    access.check(Scope::Write, &dataset)?;
    if headers.contains_key(header::IF_NONE_MATCH) {
        return Err(Problem::invalid("a delete takes If-Match, not If-None-Match"));
    }
    let mut change = Change::of(&headers, dataset, entity)?;
    let unconditional = change.expect.is_none();
    change.expect.get_or_insert(Expect::Present);
    let mut batch = Batch::new();
    batch.delete(change.dataset.clone(), change.entity.clone());
    let commit = match change.commit(&app, batch).await {
        Err(problem) if unconditional && problem.kind() == "conflict" => {
            return Err(Problem::not_found("there is no such entity").dataset(&change.dataset).entity(&change.entity));
        }
        done => done?,
    };
    Answer::new(format, &CommitBody::from(commit))
}

/// A change of one entity, as path and headers have it.
struct Change {
    dataset: Bytes,
    entity: Bytes,
    expect: Option<Expect>,
    id: Option<String>,
    origin: Option<String>,
}

impl Change {
    fn of(headers: &HeaderMap, dataset: Vec<u8>, entity: Vec<u8>) -> Result<Change, Problem> {
        let expect = wanted(
            header_text(headers, header::IF_MATCH)?.as_deref(),
            header_text(headers, header::IF_NONE_MATCH)?.as_deref(),
        )?;
        let (id, origin) = (idempotency_key(headers)?, header_text(headers, ORIGIN)?);
        Ok(Change { dataset: dataset.into(), entity: entity.into(), expect, id, origin })
    }

    /// Commits a batch of this change alone. A condition that does not hold is a 412 with the present tag.
    async fn commit(&self, app: &App, mut batch: Batch) -> Result<Commit, Problem> {
        if let Some(expect) = self.expect {
            batch.expect(expect);
        }
        if let Some(id) = &self.id {
            batch.idempotency_id(id.clone());
        }
        if let Some(origin) = &self.origin {
            batch.origin(origin.clone());
        }
        submit(app, batch, Durability::Synced).await?.map_err(|error| {
            let current = match &error {
                Error::Conflict { current, .. } => Some(*current),
                _ => None,
            };
            let problem = Problem::from(error);
            match current {
                None => problem,
                Some(current) => {
                    let problem = problem.status(StatusCode::PRECONDITION_FAILED);
                    match current {
                        Some(key) => problem.header(header::ETAG, format!("\"{key}\"")),
                        None => problem,
                    }
                }
            }
        })
    }
}

/// Whether a put began the entity's existence.
async fn is_new(app: &App, change: &Change, commit: &Commit) -> bool {
    match change.expect {
        Some(Expect::Absent) => return true,
        Some(_) => return false,
        None if !commit.repeated => return commit.created > 0,
        None => {}
    }
    // The first commit's own entry tells, unless retention has taken it.
    let (dataset, key) = (change.dataset.clone(), commit.first);
    let below = SyncKey::new(key.get().saturating_add(1));
    let limits = Limits::entries(1).without_payloads();
    let found = app.run(move |engine| engine.recent(&dataset, Some(below), limits)).await;
    found.is_ok_and(|found| found.iter().any(|entry| entry.key == key && entry.op == Op::Create))
}
