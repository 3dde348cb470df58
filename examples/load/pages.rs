//! Pages of 50 entries, beside Redis's XRANGE COUNT 50.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::http::Connection;
use crate::redis;
use crate::servers::Server;
use crate::{Outcome, Plan, payload};

pub const CONNECTIONS: u64 = 32;
pub const ENTRIES: u64 = 20_000;

pub async fn run(plan: &Plan) -> Outcome {
    let server = Server::tidelog(&plan.serve)?;
    fill(&server, ENTRIES).await?;
    for (format, accept) in [("JSON", ""), ("CBOR", "accept: application/cbor\r\n")] {
        let address: Arc<str> = server.address.as_str().into();
        let (until, mut clients) = (Instant::now() + plan.time(), JoinSet::new());
        for client in 0..CONNECTIONS {
            let address = address.clone();
            clients.spawn(async move {
                let mut connection = Connection::new(&address).await?;
                let (mut pages, mut n) = (0_u64, client);
                while Instant::now() < until {
                    n = (n * 6_364_136 + 1_442_695) % (ENTRIES - 50);
                    let path = format!("/v1/datasets/d/changes?since={}&limit=50", n + 1);
                    let (head, _) = connection.call("GET", &path, accept, b"").await?;
                    if head.status != 200 {
                        return Err(format!("a page was answered {}", head.status).into());
                    }
                    pages += 1;
                }
                Outcome::Ok(pages)
            });
        }
        let pages = sum(&mut clients).await?;
        let rate = pages as f64 / plan.time().as_secs_f64();
        println!("pages     {format}, 50 entries of 256 bytes, {CONNECTIONS} connections: {rate:.0} pages/s");
    }
    match Server::redis()? {
        None => println!("pages     no redis-server is installed: nothing to compare with"),
        Some(redis) => {
            let rate = redis::pages(&redis.address, CONNECTIONS, ENTRIES, plan.time()).await?;
            println!("pages     Redis XRANGE COUNT 50, {CONNECTIONS} connections: {rate:.0} pages/s");
        }
    }
    Ok(())
}

/// Writes the entries that are read.
pub async fn fill(server: &Server, entries: u64) -> Outcome {
    let mut first = Connection::new(&server.address).await?;
    for from in (0..entries).step_by(100) {
        let changes: Vec<String> = (from..from + 100)
            .map(|n| format!(r#"{{"dataset":"d","op":"put","entity":"e{n}","payload":{}}}"#, payload(n)))
            .collect();
        let body = format!(r#"{{"changes":[{}]}}"#, changes.join(","));
        first.call("POST", "/v1/commits", "content-type: application/json\r\n", body.as_bytes()).await?;
    }
    Ok(())
}

/// What all of them did.
pub async fn sum(clients: &mut JoinSet<Outcome<u64>>) -> Outcome<u64> {
    let mut all = 0;
    while let Some(done) = clients.join_next().await {
        all += done??;
    }
    Ok(all)
}
