//! Commits: several changes, in several datasets, all of them or none.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schemas::CommitGiven;
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Asked, body, from_cbor, header_text, public};
use crate::server::problem::Problem;
use crate::{Batch, Commit, Durability, Engine, json};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(commit))
}

/// The header with a commit's idempotency id.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How a commit is made.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct How {
    /// When it is answered: once it is on disk (`synced`, the default), or at once (`buffered`)
    #[param(inline)]
    durability: Option<DurabilityName>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DurabilityName {
    Synced,
    Buffered,
}

impl From<DurabilityName> for Durability {
    fn from(name: DurabilityName) -> Durability {
        match name {
            DurabilityName::Synced => Durability::Synced,
            DurabilityName::Buffered => Durability::Buffered,
        }
    }
}

/// What a commit was given.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommitBody {
    /// The key of its first change
    #[schema(pattern = "^[0-9]+$")]
    first: String,
    /// The key of its last change
    #[schema(pattern = "^[0-9]+$")]
    last: String,
    /// Its time in Unix milliseconds
    time: u64,
    /// Whether it was there already, by its idempotency id
    repeated: bool,
    /// How many changes were recorded as creates; 0 of a repeat, of which that is not remembered
    created: u32,
}

impl From<Commit> for CommitBody {
    fn from(commit: Commit) -> CommitBody {
        CommitBody {
            first: commit.first.to_string(),
            last: commit.last.to_string(),
            time: commit.time_ms,
            repeated: commit.repeated,
            created: commit.created,
        }
    }
}

/// Lets a batch through if every dataset in it may be written to.
///
/// # Errors
///
/// `invalid` for a dataset of the server's own, `forbidden`.
pub fn check(access: &Access, batch: &Batch) -> Result<(), Problem> {
    let mut before: &[u8] = &[];
    for dataset in json::datasets(batch) {
        if dataset != before {
            public(dataset)?;
            access.check(Scope::Write, dataset)?;
            before = dataset;
        }
    }
    Ok(())
}

/// About what a change takes in memory besides what is written of it.
pub const CHANGE_BYTES: usize = 192;

/// Most changes that are handed in on the spot.
const IN_PLACE: usize = 64;

/// Whether so many changes are handed in on the spot: looking up what many of them replace may read the disk for a while,
/// and while the index store is opened anew every one would wait for that.
pub fn is_quick(engine: &Engine, changes: usize) -> bool {
    changes <= IN_PLACE && engine.is_at_hand().is_ok_and(|at_hand| at_hand)
}

/// Hands a batch in and waits for its outcome; no thread is held meanwhile.
///
/// # Errors
///
/// Those of [`App::run`]; those of [`Engine::append`](crate::Engine::append) stand inside.
pub async fn submit(app: &App, batch: Batch, durability: Durability) -> Result<crate::Result<Commit>, Problem> {
    let submitted = match is_quick(&app.engine, batch.len()) {
        true => app.engine.submit(batch, durability),
        false => app.run(move |engine| Ok(engine.submit(batch, durability))).await?,
    };
    Ok(match submitted {
        Ok(receipt) => receipt.await,
        Err(refused) => Err(refused),
    })
}

/// The idempotency id that a header names.
///
/// # Errors
///
/// `invalid`.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    header_text(headers, IDEMPOTENCY_KEY)
}

/// Make changes in one or several datasets: all of them are committed, or none
#[utoipa::path(
    post,
    path = "/v1/commits",
    tag = "writing",
    params(
        How,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "A repeat with the same content is not written again; the same as the field `id`"),
    ),
    request_body = CommitGiven,
    responses(
        (status = 200, description = "It is committed", body = CommitBody),
        (status = 409, description = "An `expect` did not hold; nothing was written"),
        (status = 422, description = "The id was used for other content; nothing was written"),
        (status = 507, description = "The disk is full; nothing was written"),
    )
)]
async fn commit(
    app: Shared,
    access: Access,
    Asked(how): Asked<How>,
    format: Format,
    request: Request,
) -> Result<Answer, Problem> {
    let id = idempotency_key(request.headers())?;
    let given = Format::of_content(request.headers())?;
    let mut body = body(request, &app).await?;
    let mut batch = match given {
        Format::Cbor => from_cbor::<json::CommitGiven>(&body.bytes)?.0,
        Format::Json => {
            let text = std::str::from_utf8(&body.bytes).map_err(|_| Problem::invalid("the body is not UTF-8"))?;
            json::commit(text)?
        }
    };
    body.held.more(&app, batch.len() * CHANGE_BYTES)?;
    if let Some(id) = id {
        if json::idempotency_id(&batch).is_some_and(|known| known != id.as_bytes()) {
            return Err(Problem::invalid("the header Idempotency-Key and the field `id` differ"));
        }
        batch.idempotency_id(id);
    }
    check(&access, &batch)?;
    let durability = how.durability.map_or(Durability::Synced, Durability::from);
    let commit = submit(&app, batch, durability).await??;
    Answer::new(format, &CommitBody::from(commit))
}
