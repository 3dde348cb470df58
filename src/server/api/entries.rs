//! Entries of entities: the past of one, the present of many.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{MAX_PAGE_ENTRIES, list_limit, page_bytes};
use super::schemas;
use crate::json::{self, EntryBody, ListPage, NameGiven};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Asked, AtMost, Given, Names, public};
use crate::server::problem::Problem;
use crate::server::reading;
use crate::{Cursor, Entry, Limits};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(get_many))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Past {
    /// At most this many entries, the newest of them [default: 1000]
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct HistoryBody<'a> {
    entries: Vec<EntryBody<'a>>,
    #[serde(flatten)]
    page: ListPage,
}

/// An entity's entries that are still there, oldest first
#[utoipa::path(
    get,
    path = "/v1/datasets/{d}/entities/{e}/history",
    tag = "entities",
    params(
        ("d" = String, Path, description = "The dataset"),
        ("e" = String, Path, description = "The entity"),
        Past
    ),
    responses((status = 200, description = "The newest of them; `more`: older ones were left out", body = schemas::HistoryBody))
)]
async fn history(
    app: Shared,
    access: Access,
    Names([dataset, entity]): Names<2>,
    Asked(past): Asked<Past>,
    format: Format,
) -> Result<Answer, Problem> {
    public(&dataset)?;
    access.check(Scope::Read, &dataset)?;
    let bytes = page_bytes(&app, None);
    let limits = Limits::entries(list_limit(past.limit)?).bytes(bytes);
    let (name, id) = (dataset.clone(), entity.clone());
    let read = move |engine: &crate::Engine| engine.history_within(&name, &id, limits);
    let weigh = |(found, _): &(Vec<Entry>, bool)| reading::weigh(&dataset, found);
    let (found, leave) = reading::read(&app, bytes, read, weigh).await?;
    let (found, more) = found?;
    if found.is_empty() {
        return Err(Problem::not_found("there is no such entity").dataset(&dataset).entity(&entity));
    }
    let entries = found.iter().map(|entry| json::entry(&dataset, entry)).collect();
    Answer::page(format, &HistoryBody { entries, page: ListPage::end(more) }, leave)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    entities: AtMost<NameGiven, MAX_PAGE_ENTRIES>,
}

#[derive(Debug, Serialize)]
struct EntitiesBody<'a> {
    entries: Vec<Option<EntryBody<'a>>>,
    next: String,
}

/// The newest entries of many entities, all as of one moment, and the cursor of that moment
#[utoipa::path(
    post,
    path = "/v1/datasets/{d}/get",
    tag = "entities",
    params(("d" = String, Path, description = "The dataset")),
    request_body = schemas::GetGiven,
    responses((status = 200, description = "In the order of the request; null for those that do not exist", body = schemas::EntitiesBody))
)]
async fn get_many(
    app: Shared,
    access: Access,
    Names([dataset]): Names<1>,
    format: Format,
    Given(wanted, _held): Given<Wanted>,
) -> Result<Answer, Problem> {
    public(&dataset)?;
    access.check(Scope::Read, &dataset)?;
    let bytes = page_bytes(&app, None);
    let (name, entities) = (dataset.clone(), Arc::new(wanted.entities.0));
    let read = move |engine: &crate::Engine| {
        let entities: Vec<&[u8]> = entities.iter().map(|entity| &entity.0[..]).collect();
        engine.get_many_within(&name, &entities, bytes)
    };
    let weigh = |(found, _): &(Vec<Option<Entry>>, Cursor)| reading::weigh(&dataset, found.iter().flatten());
    let (found, leave) = reading::read(&app, bytes, read, weigh).await?;
    let (found, next) = found?;
    let entries = found.iter().map(|entry| entry.as_ref().map(|entry| json::entry(&dataset, entry))).collect();
    Answer::page(format, &EntitiesBody { entries, next: next.to_string() }, leave)
}
