//! What stands before every route: who asks, from where, and how long it took.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::app::App;
use super::gates::Client;
use super::listen::Peer;
use super::problem::Problem;

/// The longest path and query, in bytes.
const MAX_URI_BYTES: usize = 16 << 10;
/// What anybody may ask for: whether the server is there, and the page that asks for a token.
const OPEN: &[&str] = &["/", "/healthz", "/readyz", "/v1/docs", "/v1/openapi.json", "/v1/socket"];
const OPEN_BELOW: &str = "/assets/";

/// The guard as a layer.
pub async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let next = async |request| Ok::<_, Infallible>(next.run(request).await);
    guard(&app, request, next).await.unwrap_or_else(|never| match never {})
}

/// Lets a request through to `next`, with what it may do, or answers why not. A panic becomes an answer too.
///
/// # Errors
///
/// Those of `next`.
pub async fn guard<E>(
    app: &App,
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Result<Response, E>,
) -> Result<Response, E> {
    let began = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let answering = AssertUnwindSafe(async {
        match admit(app, &mut request) {
            Ok(()) => next(request).await,
            Err(problem) => Ok(problem.into_response()),
        }
    });
    let response = match answering.catch_unwind().await {
        Ok(answered) => answered?,
        Err(_) => Problem::internal("the server failed at this request").into_response(),
    };
    let (status, micros) = (response.status().as_u16(), began.elapsed().as_micros() as u64);
    app.counters.answered(status, micros);
    tracing::debug!(%method, path = uri.path(), status, micros, "answered");
    Ok(response)
}

fn admit(app: &App, request: &mut Request) -> Result<(), Problem> {
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, str::len) > MAX_URI_BYTES {
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", "send less in the path and the query"));
    }
    if !app.tokens.restrict() {
        check_origin(app, request.headers(), uri)?;
    }
    let address = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.address.ip());
    let access = app.tokens.access(request.headers(), Client::Address(address));
    match access {
        Ok(access) => {
            request.extensions_mut().insert(access);
        }
        // A browser asks first whether it may send the header.
        Err(_) if is_open(uri.path()) || request.method() == Method::OPTIONS => {}
        Err(problem) => return Err(problem),
    }
    Ok(())
}

fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || path.starts_with(OPEN_BELOW)
}

/// Without tokens the loopback address is all that keeps others out. A page on another site could still have this
/// machine's browser call it, directly or under a name that leads here, so both names are looked at.
fn check_origin(app: &App, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).or(uri.authority().map(|a| a.as_str()));
    if !host.is_some_and(is_loopback) {
        return Err(misdirected("this server answers to localhost, 127.0.0.1 and [::1] only, unless it has tokens"));
    }
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let local = origin.split_once("://").is_some_and(|(_, host)| is_loopback(host));
        if !local && !app.config.cors_origins.iter().any(|allowed| allowed == origin) {
            return Err(misdirected("pages of this origin may not call this server; allow it with cors-origin"));
        }
    }
    Ok(())
}

fn misdirected(detail: &str) -> Problem {
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail)
}

/// Whether a host, with or without a port, is this machine by a name that nobody else can give out.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;

    use super::super::config::Settings;
    use super::*;
    use crate::{Engine, Options};

    #[tokio::test]
    async fn a_panic_is_an_answer_that_is_counted() {
        async fn fails() -> &'static str {
            panic!("as planted")
        }
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), Options::default()).unwrap();
        let config = Settings::default().resolve().unwrap();
        let app = Arc::new(App::new(engine, config).unwrap());
        let router: axum::Router =
            axum::Router::new().route("/", get(fails)).layer(axum::middleware::from_fn_with_state(app.clone(), layer));
        let request = Request::get("/").header(header::HOST, "localhost").body(Body::empty()).unwrap();
        let answered = tower::ServiceExt::oneshot(router, request).await.unwrap();
        assert_eq!(answered.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(app.counters.answers[5].load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LOCALHOST:7171", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:7171"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org", "127.0.0.1.example.org:80", "10.0.0.1", "[::2]:1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
