//! Tickets for sockets.

use std::sync::Arc;

use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::Access;
use crate::server::problem::Problem;
use crate::server::tickets::GOOD_FOR;

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(tickets))
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct TicketBody {
    /// What to open `/v1/socket?ticket=` with
    ticket: String,
    /// For how long, in seconds
    expires_in: u64,
}

/// A ticket for a socket, good once
///
/// It carries what the token of this request may do.
#[utoipa::path(
    post,
    path = "/v1/tickets",
    tag = "streams",
    responses(
        (status = 200, description = "The ticket", body = TicketBody),
        (status = 429, description = "This client holds too many tickets"),
        (status = 503, description = "Too many tickets are out")
    )
)]
async fn tickets(app: Shared, access: Access, format: Format) -> Result<Answer, Problem> {
    let ticket = app.tickets.give(access)?;
    Answer::new(format, &TicketBody { ticket, expires_in: GOOD_FOR.as_secs() })
}
