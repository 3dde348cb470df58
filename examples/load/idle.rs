//! What 10,000 idle waiters cost.

use std::time::Duration;

use crate::http::Connection;
use crate::servers::Server;
use crate::{Outcome, Plan};

const WAITERS: usize = 10_000;
const DATASETS: usize = 100;

pub async fn run(plan: &Plan) -> Outcome {
    for (what, path) in [("long-polls", "changes?since=head&wait=60"), ("event streams", "events?since=head")] {
        let server = Server::tidelog(&plan.serve)?;
        let mut first = Connection::new(&server.address).await?;
        for dataset in 0..DATASETS {
            first.call("PUT", &format!("/v1/datasets/d{dataset}/entities/e"), "", b"{}").await?;
        }
        let before = server.resident()?;
        let mut waiting = Vec::new();
        for waiter in 0..WAITERS {
            let mut connection = Connection::new(&server.address).await?;
            let path = format!("/v1/datasets/d{}/{path}", waiter % DATASETS);
            waiting.push(tokio::spawn(async move { connection.call("GET", &path, "", b"").await.map(drop) }));
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let after = server.resident()?;
        let ended = waiting.iter().filter(|waiter| waiter.is_finished()).count();
        println!(
            "idle      {WAITERS} {what}: {:.1} MB resident, {:.1} before, {:.1} kB each; {ended} not waiting",
            after as f64 / 1e6,
            before as f64 / 1e6,
            after.saturating_sub(before) as f64 / 1e3 / WAITERS as f64,
        );
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }
    Ok(())
}
