//! Durable commits over the WebSocket with several in flight, beside Redis's XADD with as many.

use std::sync::Arc;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinSet;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::pages::sum;
use crate::servers::Server;
use crate::{Outcome, Plan, payload, redis};

const CONNECTIONS: u64 = 64;
const IN_FLIGHT: u64 = 8;

pub async fn run(plan: &Plan) -> Outcome {
    let server = Server::tidelog(&plan.serve)?;
    let (until, mut clients) = (Instant::now() + plan.time(), JoinSet::new());
    let address: Arc<str> = server.address.as_str().into();
    for client in 0..CONNECTIONS {
        let address = address.clone();
        clients.spawn(async move {
            let (mut socket, _) = connect_async(format!("ws://{address}/v1/socket")).await?;
            let (mut sent, mut done) = (0_u64, 0_u64);
            loop {
                while sent < done + IN_FLIGHT && Instant::now() < until {
                    let (dataset, entity) = (client % 100, sent % 1000);
                    let change = format!(
                        r#"{{"dataset":"d{dataset}","op":"put","entity":"e{entity}","payload":{}}}"#,
                        payload(sent)
                    );
                    socket
                        .feed(Message::text(format!(r#"{{"commit":{{"changes":[{change}]}},"ref":{sent}}}"#)))
                        .await?;
                    sent += 1;
                }
                if done == sent {
                    return Outcome::Ok(done);
                }
                socket.flush().await?;
                match socket.next().await.ok_or("the socket ended")?? {
                    Message::Text(text) if text.contains("\"committed\"") => done += 1,
                    Message::Text(text) => return Err(format!("a commit was answered {text}").into()),
                    _ => {}
                }
            }
        });
    }
    let rate = sum(&mut clients).await? as f64 / plan.time().as_secs_f64();
    println!(
        "socket    {CONNECTIONS} sockets, {IN_FLIGHT} commits of 256 bytes in flight on each: {rate:.0} commits/s"
    );
    drop(server);
    match Server::redis()? {
        None => println!("socket    no redis-server is installed: nothing to compare with"),
        Some(server) => {
            for in_flight in [1, IN_FLIGHT] {
                let rate = redis::appends(&server.address, CONNECTIONS, in_flight, plan.time()).await?;
                println!(
                    "socket    Redis XADD, appendfsync always, {CONNECTIONS} clients, {in_flight} in flight: {rate:.0}/s"
                );
            }
        }
    }
    Ok(())
}
