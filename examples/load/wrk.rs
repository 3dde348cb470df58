//! The rows of `commits` and `pages` once more, by wrk: a client that others use too, and a lighter one.

use std::io::{ErrorKind, Write};
use std::process::Command;
use std::time::Duration;

use crate::servers::Server;
use crate::{Outcome, Plan, commits, pages};

pub async fn run(plan: &Plan) -> Outcome {
    // Told which version it is, it fails; what matters is that it is there.
    if let Err(error) = Command::new("wrk").arg("--version").output() {
        return match error.kind() {
            ErrorKind::NotFound => {
                println!("wrk       SKIPPED: wrk is not installed (Debian: apt-get install wrk)");
                Ok(())
            }
            _ => Err(error.into()),
        };
    }
    for connections in commits::CONNECTIONS {
        let server = Server::tidelog(&plan.serve)?;
        wrk(plan, &server, "tidelog", "put", *connections)?;
        drop(server);
        if let Some(binary) = &plan.streams {
            let server = Server::streams(binary)?;
            commits::make_streams(&server).await?;
            wrk(plan, &server, "durable-streams", "append", *connections)?;
        }
    }
    let server = Server::tidelog(&plan.serve)?;
    pages::fill(&server, pages::ENTRIES).await?;
    wrk(plan, &server, "tidelog", "pages", pages::CONNECTIONS)
}

fn wrk(plan: &Plan, server: &Server, what: &str, kind: &str, connections: u64) -> Outcome {
    let mut script = tempfile::Builder::new().suffix(".lua").tempfile()?;
    script.write_all(include_bytes!("wrk.lua"))?;
    let seconds = plan.time().as_secs();
    let output = Command::new("wrk")
        .args(["-t2", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
        .arg(script.path())
        .args([&format!("http://{}", server.address), "--", kind])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<u64> = text.lines().last().unwrap_or("").split(' ').flat_map(str::parse).collect();
    let [rate, p50, p99, 0] = figures[..] else { return Err(format!("wrk said: {text}").into()) };
    let (p50, p99) = (Duration::from_micros(p50), Duration::from_micros(p99));
    println!("wrk       {what:<15} {kind}, {connections} connections: {rate}/s, p50 {p50:.2?} p99 {p99:.2?}");
    Ok(())
}
