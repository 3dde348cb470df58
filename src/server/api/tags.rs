//! Tags in the order of their entities: what a client without a key compares with its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{list_limit, page_bytes};
use super::schemas;
use crate::json::{self, ListPage, TagBody};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Asked, Names, one_of, public};
use crate::server::problem::Problem;
use crate::server::reading;
use crate::{Engine, EntityRow};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(tags))
}

/// About what a tag takes in an answer besides the entity's name, in bytes.
const TAG_BYTES: usize = 48;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Behind {
    /// Behind this entity
    after: Option<String>,
    /// Behind this entity, in base64
    after_base64: Option<String>,
    /// At most this many [default: 1000]
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct TagsBody<'a> {
    tags: Vec<TagBody<'a>>,
    #[serde(flatten)]
    page: ListPage,
}

/// The entities of a dataset in the order of their names, each with its tag
#[utoipa::path(
    get,
    path = "/v1/datasets/{d}/tags",
    tag = "entities",
    params(("d" = String, Path, description = "The dataset"), Behind),
    responses((status = 200, description = "Tags; a tag is the text of the entity's `ETag`", body = schemas::TagsBody))
)]
async fn tags(
    app: Shared,
    access: Access,
    Names([dataset]): Names<1>,
    Asked(behind): Asked<Behind>,
    format: Format,
) -> Result<Answer, Problem> {
    public(&dataset)?;
    access.check(Scope::Read, &dataset)?;
    let limit = list_limit(behind.limit)?;
    let after = one_of("after", behind.after, behind.after_base64.as_deref())?;
    // One more than asked for tells whether there is more.
    let read = move |engine: &Engine| engine.entities(&dataset, after.as_deref(), limit + 1);
    let weigh = |rows: &Vec<EntityRow>| rows.iter().map(|row| TAG_BYTES + reading::name_bytes(&row.entity)).sum();
    let (rows, leave) = reading::read(&app, page_bytes(&app, None), read, weigh).await?;
    let mut rows = rows?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let page = match rows.last() {
        Some(last) if more => ListPage::after(&last.entity),
        _ => ListPage::end(false),
    };
    Answer::page(format, &TagsBody { tags: rows.iter().map(json::tag).collect(), page }, leave)
}
