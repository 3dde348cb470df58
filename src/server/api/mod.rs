//! The routes of docs/http.md, one file for each group of them.

// What utoipa's macros write spells out paths in full.
#![allow(unused_qualifications)]

mod assets;
mod changes;
mod commits;
mod consumers;
mod datasets;
mod document;
mod entities;
mod entries;
mod events;
mod groups;
mod health;
mod schemas;
mod socket;
mod store;
mod sync;
mod tags;
mod tickets;
mod timelines;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::{Router, middleware};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::app::App;
use super::guard;
use super::problem::Problem;

/// All routes, twice: most requests need nothing of what a browser's page or a compressed body does, and each layer costs
/// a request about as much as reading its head.
#[derive(Debug, Clone)]
pub struct Routes {
    plain: Router,
    layered: Router,
    /// Whether pages of other origins may call: then every answer tells caches so.
    cors: bool,
}

impl Routes {
    /// The routes of this server.
    pub fn new(app: &Arc<App>) -> Routes {
        let plain = routes().with_state(Arc::clone(app));
        let layered = plain.clone().layer(
            ServiceBuilder::new()
                .layer(cors(app))
                .layer(middleware::from_fn_with_state(Arc::clone(app), guard::layer))
                .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(Untagged))),
        );
        Routes { plain, layered, cors: !app.config.cors_origins.is_empty() }
    }

    /// Answers a request.
    pub async fn answer(&self, app: &App, mut request: Request) -> Response {
        const LAYERED: [HeaderName; 2] = [header::ORIGIN, header::ACCEPT_ENCODING];
        let headers = request.headers();
        let answered = match self.cors || LAYERED.iter().any(|name| headers.contains_key(name)) {
            true => {
                allow_identity(request.headers_mut());
                self.layered.clone().oneshot(request).await
            }
            false => guard::guard(app, request, |request| self.plain.clone().oneshot(request)).await,
        };
        answered.unwrap_or_else(|never| match never {})
    }
}

fn routes() -> Router<Arc<App>> {
    let (router, document) = OpenApiRouter::with_openapi(document::Document::openapi())
        .merge(changes::routes())
        .merge(events::routes())
        .merge(groups::routes())
        .merge(commits::routes())
        .merge(entities::routes())
        .merge(entries::routes())
        .merge(tags::routes())
        .merge(timelines::routes())
        .merge(datasets::routes())
        .merge(consumers::routes())
        .merge(store::routes())
        .merge(health::routes())
        .merge(socket::routes())
        .merge(sync::routes())
        .merge(tickets::routes())
        .split_for_parts();
    let document = axum::body::Bytes::from(document::complete(&document));
    let json = [(header::CONTENT_TYPE, "application/json")];
    router
        .route("/v1/openapi.json", axum::routing::get(async move || (json, document.clone())))
        .merge(assets::routes())
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
        })
}

/// Who takes an answer only compressed is sent it as it is where it cannot be. The layer would make a 406 of the answer to what
/// was done already.
fn allow_identity(headers: &mut HeaderMap) {
    let forbids = |coding: &&str| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().to_ascii_lowercase();
        let is_zero = weight.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        is_zero && (name.trim() == "*" || name.trim().eq_ignore_ascii_case("identity"))
    };
    let texts = || headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<&str> = texts().flat_map(|text| text.split(',')).collect();
    if codings.iter().any(forbids) {
        let rest: Vec<&str> = codings.into_iter().filter(|coding| !forbids(coding)).collect();
        match HeaderValue::from_str(&rest.join(",")) {
            Ok(rest) => drop(headers.insert(header::ACCEPT_ENCODING, rest)),
            Err(_) => drop(headers.remove(header::ACCEPT_ENCODING)),
        }
    }
}

/// A strong tag is of the bytes as they are: such an answer is not compressed.
#[derive(Debug, Clone, Copy)]
struct Untagged;

impl Predicate for Untagged {
    fn should_compress<B: http_body::Body>(&self, response: &axum::http::Response<B>) -> bool {
        !response.headers().contains_key(header::ETAG)
    }
}

/// Which pages of other origins may call.
fn cors(app: &App) -> CorsLayer {
    let origins = app.config.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::ACCEPT,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("tidelog-origin"),
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::RETRY_AFTER,
            HeaderName::from_static("tidelog-time"),
            HeaderName::from_static("tidelog-origin"),
        ])
        .max_age(std::time::Duration::from_secs(3600))
}
