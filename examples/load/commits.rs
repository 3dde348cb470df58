//! Durable commits of one entry over HTTP, each connection waiting for each; beside another server's appends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::http::Connection;
use crate::servers::Server;
use crate::{Outcome, Plan, payload, percentile};

pub const CONNECTIONS: &[u64] = &[64, 256];
const DATASETS: u64 = 100;

pub async fn run(plan: &Plan) -> Outcome {
    for connections in CONNECTIONS {
        let server = Server::tidelog(&plan.serve)?;
        let put = |client: u64, n: u64| ("PUT", format!("/v1/datasets/d{}/entities/e{}", client % DATASETS, n % 1000));
        report("tidelog", &server, *connections, plan.time(), put).await?;
        drop(server);
        if let Some(binary) = &plan.streams {
            let server = Server::streams(binary)?;
            make_streams(&server).await?;
            let post = |client: u64, _| ("POST", format!("/v1/stream/d{}", client % DATASETS));
            report("durable-streams", &server, *connections, plan.time(), post).await?;
        }
    }
    Ok(())
}

/// Makes the streams that are appended to.
pub async fn make_streams(server: &Server) -> Outcome {
    let mut first = Connection::new(&server.address).await?;
    for stream in 0..DATASETS {
        let (head, _) = first
            .call("PUT", &format!("/v1/stream/d{stream}"), "content-type: application/octet-stream\r\n", b"")
            .await?;
        if head.status >= 300 {
            return Err(format!("making a stream was answered {}", head.status).into());
        }
    }
    Ok(())
}

async fn report(
    what: &str,
    server: &Server,
    connections: u64,
    time: Duration,
    request: impl Fn(u64, u64) -> (&'static str, String) + Copy + Send + 'static,
) -> Outcome {
    let (until, mut clients) = (Instant::now() + time, JoinSet::new());
    let address: Arc<str> = server.address.as_str().into();
    for client in 0..connections {
        let address = address.clone();
        clients.spawn(async move {
            let mut connection = Connection::new(&address).await?;
            let mut times = Vec::new();
            for n in 0.. {
                let began = Instant::now();
                if began > until {
                    break;
                }
                let (method, path) = request(client, n);
                let headers = "content-type: application/octet-stream\r\n";
                let (head, _) = connection.call(method, &path, headers, payload(n).as_bytes()).await?;
                if !(200..300).contains(&head.status) {
                    return Err(format!("a commit was answered {}", head.status).into());
                }
                times.push(began.elapsed());
            }
            Outcome::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = clients.join_next().await {
        times.extend(done??);
    }
    times.sort_unstable();
    println!(
        "commits   {what:<15} 256 bytes, {connections} connections: {:.0} commits/s, p50 {:.2?} p99 {:.2?}",
        times.len() as f64 / time.as_secs_f64(),
        percentile(&times, 0.50),
        percentile(&times, 0.99),
    );
    Ok(())
}
