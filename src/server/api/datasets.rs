//! Datasets: what there is, what each holds, how much of its past is kept.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{list_limit, page_bytes};
use super::schemas;
use crate::json::{self, DatasetBody, ListPage};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Asked, Given, Names, Object, one_of, public};
use crate::server::problem::Problem;
use crate::server::reading;
use crate::{Cap, DatasetStat, Engine, Error, Keep, NamePage, Retention};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(stat, patch, delete))
}

/// About what a dataset takes in an answer besides its name, in bytes.
const ROW_BYTES: usize = 24;
/// All names of the server's own stand before this, or are this.
const OWN: [u8; 513] = {
    let mut last = [0xff; 513];
    last[0] = 0;
    last
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Whose names begin with this
    prefix: Option<String>,
    /// Whose names begin with this, in base64
    prefix_base64: Option<String>,
    /// Behind this name
    after: Option<String>,
    /// Behind this name, in base64
    after_base64: Option<String>,
    /// At most this many [default: 1000]
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct DatasetsBody<'a> {
    datasets: Vec<DatasetBody<'a>>,
    #[serde(flatten)]
    page: ListPage,
}

/// The datasets that the client may read, in the byte order of their names
#[utoipa::path(
    get,
    path = "/v1/datasets",
    tag = "datasets",
    params(Which),
    responses((status = 200, description = "Their names", body = schemas::DatasetsBody))
)]
async fn list(app: Shared, access: Access, Asked(which): Asked<Which>, format: Format) -> Result<Answer, Problem> {
    let limit = list_limit(which.limit)?;
    let prefix = one_of("prefix", which.prefix, which.prefix_base64.as_deref())?.unwrap_or_default();
    public(&prefix)?;
    let after = one_of("after", which.after, which.after_base64.as_deref())?.unwrap_or_default();
    let after = after.max(OWN.to_vec());
    let prefixes = access.readable(&prefix);
    let read = move |engine: &Engine| names(engine, &prefixes, &after, limit);
    let weigh = |page: &NamePage| page.names.iter().map(|name| ROW_BYTES + reading::name_bytes(name)).sum();
    let (page, leave) = reading::read(&app, page_bytes(&app, None), read, weigh).await?;
    let NamePage { names, more } = page?;
    let page = match names.last() {
        Some(last) if more => ListPage::after(last),
        _ => ListPage::end(more),
    };
    let datasets = names.iter().map(|name| json::dataset(name)).collect();
    Answer::page(format, &DatasetsBody { datasets, page }, leave)
}

/// Names below any of these prefixes, which stand in byte order and not within each other.
fn names(engine: &Engine, prefixes: &[Vec<u8>], after: &[u8], limit: usize) -> crate::Result<NamePage> {
    let mut all = NamePage { names: Vec::new(), more: false };
    for prefix in prefixes {
        let some = engine.datasets(prefix, Some(after), limit - all.names.len())?;
        all.more = some.more;
        all.names.extend(some.names);
        if all.more {
            break;
        }
    }
    Ok(all)
}

/// What a dataset holds
#[utoipa::path(
    get,
    path = "/v1/datasets/{d}",
    tag = "datasets",
    params(("d" = String, Path, description = "The dataset")),
    responses((status = 200, description = "Its figures", body = schemas::DatasetStat))
)]
async fn stat(app: Shared, access: Access, Names([dataset]): Names<1>, format: Format) -> Result<Answer, Problem> {
    public(&dataset)?;
    access.check(Scope::Read, &dataset)?;
    let name = dataset.clone();
    let stat = app.run(move |engine| engine.stat(name)).await?;
    Answer::new(format, &json::dataset_stat(&dataset, &stat))
}

/// What is to change
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(deserialize_with = "object")]
    retention: RetentionGiven,
}

/// What of a retention is to change; the rest stays
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetentionGiven {
    #[serde(default, deserialize_with = "given")]
    keep: Option<KeepName>,
    #[serde(default, deserialize_with = "object_given")]
    history: Option<CapGiven>,
    #[serde(default, deserialize_with = "object_given")]
    tombstones: Option<CapGiven>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum KeepName {
    /// The newest entry of every entity that exists
    Live,
    /// What the caps allow, newest or not
    Window,
}

/// What of a cap is to change; null is no limit
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CapGiven {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    entries: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    bytes: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    age_ms: Option<Option<u64>>,
}

/// A field that stands there is meant, null included.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

fn object_given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    object(deserializer).map(Some)
}

impl RetentionGiven {
    fn change(&self, retention: &mut Retention) {
        match self.keep {
            Some(KeepName::Live) => retention.keep = Keep::Live,
            Some(KeepName::Window) => retention.keep = Keep::Window,
            None => {}
        }
        for (given, cap) in [(self.history, &mut retention.history), (self.tombstones, &mut retention.tombstones)] {
            let given = given.unwrap_or_default();
            *cap = Cap {
                entries: given.entries.unwrap_or(cap.entries),
                bytes: given.bytes.unwrap_or(cap.bytes),
                age_ms: given.age_ms.unwrap_or(cap.age_ms),
            };
        }
    }
}

/// Two changes of different parts must not undo each other.
static CHANGING: Mutex<()> = Mutex::new(());

fn set_retention(engine: &Engine, dataset: &[u8], given: &RetentionGiven) -> crate::Result<DatasetStat> {
    let changing = CHANGING.lock();
    let mut retention = match engine.retention(dataset) {
        Err(Error::DatasetNotFound { .. }) => Retention::default(),
        known => known?,
    };
    given.change(&mut retention);
    engine.set_retention(dataset, retention)?;
    drop(changing);
    engine.stat(dataset)
}

/// Set how much of a dataset's past is kept; one that does not exist is created, empty
#[utoipa::path(
    patch,
    path = "/v1/datasets/{d}",
    tag = "datasets",
    params(("d" = String, Path, description = "The dataset")),
    request_body = Patch,
    responses(
        (status = 200, description = "Its figures", body = schemas::DatasetStat),
        (status = 507, description = "The disk is full; nothing was written")
    )
)]
async fn patch(
    app: Shared,
    access: Access,
    Names([dataset]): Names<1>,
    format: Format,
    Given(patch, _held): Given<Patch>,
) -> Result<Answer, Problem> {
    public(&dataset)?;
    access.check(Scope::Admin, &dataset)?;
    let name = dataset.clone();
    let stat = app.run(move |engine| set_retention(engine, &name, &patch.retention)).await?;
    Answer::new(format, &json::dataset_stat(&dataset, &stat))
}

#[derive(Debug, Serialize, ToSchema)]
struct Deleted {
    deleted: bool,
}

/// Delete a dataset with all it holds
#[utoipa::path(
    delete,
    path = "/v1/datasets/{d}",
    tag = "datasets",
    params(("d" = String, Path, description = "The dataset")),
    responses(
        (status = 200, description = "It is gone", body = Deleted),
        (status = 507, description = "The disk is full; nothing was written")
    )
)]
async fn delete(app: Shared, access: Access, Names([dataset]): Names<1>, format: Format) -> Result<Answer, Problem> {
    public(&dataset)?;
    access.check(Scope::Admin, &dataset)?;
    app.run(move |engine| engine.delete_dataset(dataset)).await?;
    Answer::new(format, &Deleted { deleted: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays_and_null_is_no_limit() {
        let mut retention = Retention::default();
        let given: RetentionGiven =
            serde_json::from_str(r#"{"keep":"window","history":{"entries":null,"bytes":7}}"#).unwrap();
        given.change(&mut retention);
        assert_eq!(retention.keep, Keep::Window);
        assert_eq!(retention.history, Cap { entries: None, bytes: Some(7), age_ms: None });
        assert_eq!(retention.tombstones, Retention::default().tombstones);
    }

    #[test]
    fn what_is_not_a_retention_is_refused() {
        for text in [
            r#"{"keep":"all"}"#,
            r#"{"keep":null}"#,
            r#"{"history":null}"#,
            r#"{"history":[7]}"#,
            r#"{"history":{"entries":-1}}"#,
            r#"{"history":{"entries":"7"}}"#,
            r#"{"history":{"lines":7}}"#,
            r#"{"past":{}}"#,
        ] {
            assert!(serde_json::from_str::<RetentionGiven>(text).is_err(), "{text}");
        }
    }
}
