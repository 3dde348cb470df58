//! The store and the server as a whole: as JSON for people's tools, as text for Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schemas;
use crate::json::{self, CompactionBody, StoreStatBody};
use crate::server::answer::{Answer, Format};
use crate::server::app::{App, Shared};
use crate::server::auth::Access;
use crate::server::problem::Problem;
use crate::{Metrics, StoreStat};

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(store)).routes(routes!(metrics))
}

/// What Prometheus calls a figure that only grows, and one that comes and goes.
const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// One figure: its sort, its name, what it says, its value.
type Figure = (&'static str, &'static str, &'static str, u64);

/// The engine's figures, once: as a struct for JSON, and as rows for Prometheus.
macro_rules! figures {
    ($($sort:ident $name:ident $help:literal)*) => {
        /// The engine's counters since it was opened, and gauges of the moment
        #[derive(Debug, Serialize, ToSchema)]
        pub struct MetricsBody {
            $(#[doc = $help] $name: u64,)*
            /// The last compaction
            #[schema(value_type = schemas::CompactionBody)]
            last_compaction: CompactionBody,
        }

        impl From<&Metrics> for MetricsBody {
            fn from(metrics: &Metrics) -> MetricsBody {
                MetricsBody {
                    $($name: metrics.$name,)*
                    last_compaction: json::compaction(&metrics.last_compaction),
                }
            }
        }

        fn figures(metrics: &Metrics) -> Vec<Figure> {
            vec![$(($sort, stringify!($name), $help, metrics.$name),)*]
        }
    };
}

figures! {
    COUNTER commits "Commits written"
    COUNTER entries "Entries written"
    COUNTER log_bytes "Bytes written to the log"
    COUNTER syncs "Syncs of the log"
    COUNTER conflicts "Batches refused by an expectation"
    COUNTER pages "Pages read"
    COUNTER entries_read "Entries delivered"
    COUNTER stalls "Times a commit waited for a seal"
    COUNTER stall_ms "Milliseconds that commits waited for seals"
    COUNTER seals "Tails sealed"
    COUNTER seal_failures "Seals that failed; each is tried again"
    GAUGE last_seal_ms "Milliseconds that the last seal took"
    GAUGE tail_bytes "Bytes held by the tails"
    GAUGE tails_pending "Tails that wait for their seal"
    GAUGE cache_bytes "Bytes held by the chunk cache"
    COUNTER cache_hits "Chunk cache hits"
    COUNTER cache_misses "Chunk cache misses"
    GAUGE queued "Commits that wait to be written"
    GAUGE watchers "Watchers registered"
    GAUGE store_memory_bytes "Bytes that the index store holds in memory"
    COUNTER compaction_dropped "Entries dropped by compactions"
    GAUGE grace_held_bytes "Bytes by which the grace for readers holds back retention, over its caps"
}

/// What the server counts of itself
#[derive(Debug, Serialize, ToSchema)]
struct ServerBody {
    /// Connections open now
    connections: u64,
    /// Waits and streams held now
    waits: u64,
    /// Requests answered
    requests: u64,
    /// Requests answered with 4xx
    refused: u64,
    /// Requests answered with 5xx
    failed: u64,
}

impl ServerBody {
    fn of(app: &App) -> ServerBody {
        let answers = answers(app);
        ServerBody {
            connections: app.counters.connections.load(Ordering::Relaxed),
            waits: app.gates.waiting() as u64,
            requests: answers.iter().sum(),
            refused: answers[4],
            failed: answers[5],
        }
    }
}

fn answers(app: &App) -> [u64; 6] {
    std::array::from_fn(|class| app.counters.answers[class].load(Ordering::Relaxed))
}

#[derive(Debug, Serialize, ToSchema)]
struct StoreBody {
    #[schema(value_type = schemas::StoreStat)]
    stat: StoreStatBody,
    metrics: MetricsBody,
    server: ServerBody,
}

/// What the store holds, and what it and the server have done
#[utoipa::path(
    get,
    path = "/v1/store",
    tag = "server",
    responses((status = 200, description = "Figures", body = StoreBody))
)]
async fn store(app: Shared, access: Access, format: Format) -> Result<Answer, Problem> {
    access.check_reads_all()?;
    let (stat, metrics) = app.run(|engine| Ok((engine.store_stat()?, engine.metrics()))).await?;
    let body =
        StoreBody { stat: json::store_stat(&stat), metrics: MetricsBody::from(&metrics), server: ServerBody::of(&app) };
    Answer::new(format, &body)
}

/// The same figures for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses((status = 200, description = "Figures", body = String, content_type = "text/plain"))
)]
async fn metrics(app: Shared, access: Access) -> Result<impl IntoResponse, Problem> {
    access.check_reads_all()?;
    let (stat, metrics) = app.run(|engine| Ok((engine.store_stat()?, engine.metrics()))).await?;
    let micros = app.counters.micros.load(Ordering::Relaxed);
    let text = prometheus(&stat, &metrics, &ServerBody::of(&app), answers(&app), micros);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// Figures in the text format of Prometheus, version 0.0.4.
fn prometheus(stat: &StoreStat, metrics: &Metrics, server: &ServerBody, answers: [u64; 6], micros: u64) -> String {
    let mut text = String::with_capacity(8 << 10);
    let mut figures = figures(metrics);
    figures.extend([
        (GAUGE, "datasets", "Datasets", stat.datasets),
        (GAUGE, "log_live_bytes", "Bytes of live log segments on disk", stat.log_bytes),
        (GAUGE, "store_bytes", "Bytes of the index store on disk", stat.store_bytes),
        (GAUGE, "http_connections", "Connections open", server.connections),
        (GAUGE, "http_waits", "Waits and streams held", server.waits),
    ]);
    for (sort, name, help, value) in figures {
        let total = if sort == COUNTER { "_total" } else { "" };
        head(&mut text, sort, &format!("{name}{total}"), help);
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "tidelog_{name}{total} {value}");
    }
    head(&mut text, COUNTER, "http_requests_total", "Requests answered, by status");
    for (class, count) in answers.iter().enumerate().skip(1) {
        let _ = writeln!(text, "tidelog_http_requests_total{{status=\"{class}xx\"}} {count}");
    }
    head(&mut text, COUNTER, "http_request_seconds_total", "Time until answers began, waits included");
    let _ = writeln!(text, "tidelog_http_request_seconds_total {}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text
}

fn head(text: &mut String, sort: &str, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP tidelog_{name} {help}\n# TYPE tidelog_{name} {sort}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_told_once_with_help_and_sort() {
        let dir = tempfile::tempdir().unwrap();
        let engine = crate::Engine::open(dir.path().join("store"), crate::Options::default()).unwrap();
        let server = ServerBody { connections: 1, waits: 2, requests: 3, refused: 4, failed: 5 };
        let text = prometheus(&engine.store_stat().unwrap(), &engine.metrics(), &server, [0, 1, 2, 3, 4, 5], 1_500_000);
        let mut names = std::collections::BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(names.insert(name), "{line} is there twice");
            let bare = name.split('{').next().unwrap();
            assert!(text.contains(&format!("# HELP {bare} ")) && text.contains(&format!("# TYPE {bare} ")), "{line}");
            assert_eq!(bare.ends_with("_total"), text.contains(&format!("# TYPE {bare} counter")), "{line}");
        }
        assert!(text.contains("\ntidelog_http_request_seconds_total 1.500000\n"), "{text}");
        assert!(text.contains("\ntidelog_http_requests_total{status=\"4xx\"} 4\n"), "{text}");
        let json = serde_json::to_value(MetricsBody::from(&engine.metrics())).unwrap();
        assert_eq!(json.as_object().unwrap().len(), figures(&engine.metrics()).len() + 1);
    }
}
