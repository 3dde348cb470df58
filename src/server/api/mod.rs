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

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::{Router, middleware};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::app::App;
use super::guard;
use super::problem::Problem;

/// All routes, with what stands before them.
pub fn router(app: &Arc<App>) -> Router {
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
        .layer(
            ServiceBuilder::new()
                .layer(cors(app))
                .layer(CatchPanicLayer::custom(|_| {
                    axum::response::IntoResponse::into_response(Problem::internal("the server failed at this request"))
                }))
                .layer(middleware::from_fn_with_state(Arc::clone(app), guard::guard))
                .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(Untagged)))
                // What it does not know is refused by who reads the body.
                .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true)),
        )
        .with_state(Arc::clone(app))
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
