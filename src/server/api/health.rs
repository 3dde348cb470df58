//! Whether the server is well.

use std::sync::Arc;

use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::server::app::{App, Shared};
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, description = "It does")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the store takes reads and writes.
#[utoipa::path(get, path = "/readyz", tag = "server", responses(
    (status = 200, description = "It does"),
    (status = 503, description = "It is stopping, takes no writes since one failed, or finds no room on its disk")
))]
async fn readyz(app: Shared) -> Result<&'static str, Problem> {
    if app.closing.begun() {
        return Err(Problem::closing());
    }
    let ready = app.run(|engine| engine.check_writable().and(engine.store_stat())).await;
    // Whoever asks this wants to know just that, whatever is the matter.
    ready.map_err(|problem| problem.status(StatusCode::SERVICE_UNAVAILABLE))?;
    Ok("ok\n")
}
