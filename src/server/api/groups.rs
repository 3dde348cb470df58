//! Groups: lists of datasets that a device reads as one, from the position that the server remembers for it.

mod ack;
mod asked;
mod codec;
mod key;
mod members;
mod position;
mod sync;

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schemas::{NameGiven, many};
use super::sync::parts_bytes;
use crate::json::{self, encode_base64};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{AtMost, Given, Names, header_text};
use crate::server::problem::Problem;
use crate::server::reading;
use crate::server::tags::{self, tag};
use crate::{Durability, Engine, Error, Expect};
use members::{MAX_MEMBERS, Members};

/// How often a change is tried again that another one came before.
const TRIES: usize = 16;
/// What a member takes in a list besides its name, in bytes.
const MEMBER_BYTES: usize = 16;
/// What is read of a list before it is known how long it is, in bytes as it is answered.
const LIST_BYTES: usize = 1 << 20;

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get_group, put_group)).routes(routes!(sync::sync_group))
}

/// A group as it is given
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupRequest {
    /// Names of datasets, each as text or as `{"base64":".."}`
    #[schema(value_type = Vec<NameGiven>, max_items = 4096)]
    datasets: AtMost<json::NameGiven, MAX_MEMBERS>,
}

#[derive(Debug, Serialize)]
struct GroupBody<'a> {
    datasets: Vec<NameBody<'a>>,
}

/// A name in a list.
#[derive(Debug)]
struct NameBody<'a>(&'a [u8]);

impl Serialize for NameBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &encode_base64(self.0))?;
                map.end()
            }
        }
    }
}

/// The datasets of a group
#[utoipa::path(
    get,
    path = "/v1/groups/{g}",
    tag = "groups",
    params(
        ("g" = String, Path, description = "The group"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the list that is known")
    ),
    responses(
        (status = 200, description = "The list, with its `ETag`", body = many::GroupBody,
            headers(("ETag" = String, description = "The list's tag, in quotes"))),
        (status = 304, description = "It is the list that is known", headers(("ETag" = String, description = "The list's tag, in quotes"))),
        (status = 403, description = "The token's scope does not reach every member"),
        (status = 404, description = "There is no such group"),
    )
)]
async fn get_group(
    app: Shared,
    access: Access,
    Names([group]): Names<1>,
    headers: HeaderMap,
    format: Format,
) -> Result<Response, Problem> {
    members::check_name(&group)?;
    let known = header_text(&headers, header::IF_NONE_MATCH)?;
    let read = move |engine: &Engine| Members::load(engine, &group);
    let weigh = |found: &Option<Members>| found.as_ref().map_or(0, |found| list_bytes(found.datasets()));
    let (found, leave) = reading::read(&app, LIST_BYTES, read, weigh).await?;
    let found = found?.ok_or_else(no_group)?;
    found.check(&access, Scope::Read)?;
    let tag = [(header::ETAG, tag(found.tag))];
    if tags::known(known.as_deref())?.has(found.tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    let datasets = found.datasets().map(NameBody).collect();
    Ok((tag, Answer::page(format, &GroupBody { datasets }, leave)?).into_response())
}

/// Makes a group of these datasets
///
/// They need not exist yet.
#[utoipa::path(
    put,
    path = "/v1/groups/{g}",
    tag = "groups",
    params(
        ("g" = String, Path, description = "The group"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the list that is to be replaced"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: there must be no such group")
    ),
    request_body = GroupRequest,
    responses(
        (status = 200, description = "The list, with its `ETag`", body = many::GroupBody,
            headers(("ETag" = String, description = "The list's tag, in quotes"))),
        (status = 201, description = "The same; there was no such group before", body = many::GroupBody,
            headers(("ETag" = String, description = "The list's tag, in quotes"))),
        (status = 403, description = "The token's scope does not reach every member"),
        (status = 412, description = "The list is another one by now"),
        (status = 507, description = "The disk is full")
    )
)]
async fn put_group(
    app: Shared,
    access: Access,
    Names([group]): Names<1>,
    headers: HeaderMap,
    format: Format,
    Given(given, _held): Given<GroupRequest>,
) -> Result<Response, Problem> {
    members::check_name(&group)?;
    let if_match = header_text(&headers, header::IF_MATCH)?;
    let if_none_match = header_text(&headers, header::IF_NONE_MATCH)?;
    let expected = tags::wanted(if_match.as_deref(), if_none_match.as_deref())?;
    let names = Arc::new(members::listed(given.datasets.0.into_iter().map(|name| name.0))?);
    members::check_listed(&names, &access)?;
    // What could not be read must not be made.
    parts_bytes(names.iter().map(Vec::as_slice), app.gates.most_page_bytes())?;
    // Before anything is done, since what is done is to be told.
    let leave = reading::leave(&app, list_bytes(names.iter().map(Vec::as_slice))).await?;
    for _ in 0..TRIES {
        let (group, wanted, access) = (group.clone(), Arc::clone(&names), access.clone());
        let (found, receipt) = app
            .run(move |engine| {
                let found = Members::load(engine, &group)?;
                if let Err(refused) = may_change(found.as_ref(), &access, expected) {
                    return Ok(Err(refused));
                }
                let batch = members::change(&group, found.as_ref(), &wanted);
                let receipt = batch.map(|batch| engine.submit(batch, Durability::Synced)).transpose()?;
                Ok(Ok((found.map(|found| found.tag), receipt)))
            })
            .await??;
        let (status, key) = match (receipt, found) {
            (None, Some(key)) => (StatusCode::OK, key),
            (None, None) => continue,
            (Some(receipt), found) => match receipt.await {
                Ok(commit) if found.is_some() => (StatusCode::OK, commit.last),
                Ok(commit) => (StatusCode::CREATED, commit.last),
                // Somebody was faster: look again.
                Err(Error::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            },
        };
        let datasets = names.iter().map(|name| NameBody(name)).collect();
        let answer = Answer::page(format, &GroupBody { datasets }, leave)?;
        return Ok((status, [(header::ETAG, tag(key))], answer).into_response());
    }
    Err(Problem::busy("this group is being changed by many at once"))
}

/// About how many bytes a list takes in an answer.
fn list_bytes<'a>(datasets: impl Iterator<Item = &'a [u8]>) -> usize {
    datasets.map(|dataset| MEMBER_BYTES + reading::name_bytes(dataset)).sum()
}

/// Whether what was found may be changed: every member must be the client's to write, also one that is to leave. Who may
/// not is not told either whether the list is the one expected.
fn may_change(found: Option<&Members>, access: &Access, expected: Option<Expect>) -> Result<(), Problem> {
    if let Some(found) = found {
        found.check(access, Scope::Write)?;
    }
    let current = found.map(|found| found.tag);
    let holds = match expected {
        None => true,
        Some(Expect::Absent) => current.is_none(),
        Some(Expect::Present) => current.is_some(),
        Some(Expect::At(key)) => current == Some(key),
    };
    if holds {
        return Ok(());
    }
    let refused = Problem::new(StatusCode::PRECONDITION_FAILED, "conflict", "the list is another one by now");
    Err(match current {
        Some(current) => refused.header(header::ETAG, tag(current).to_str().unwrap_or_default()),
        None => refused,
    })
}

fn no_group() -> Problem {
    Problem::not_found("there is no such group; make it with PUT")
}
