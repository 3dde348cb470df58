//! A first sync of one large dataset: by pages of `changes`, and over the WebSocket.

use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::http::Connection;
use crate::pages::fill;
use crate::servers::Server;
use crate::{Outcome, Plan};

const ENTRIES: u64 = 200_000;
/// How often it is done each way, in turns.
const ROUNDS: usize = 3;

pub async fn run(plan: &Plan) -> Outcome {
    let server = Server::tidelog(&plan.serve)?;
    fill(&server, ENTRIES).await?;
    // What is sealed is read from the index, as most of a large dataset is.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    for _ in 0..ROUNDS {
        for limit in [1000, 10_000] {
            let began = Instant::now();
            let pages = by_pages(&server, limit).await?;
            told(&format!("`changes`, {pages} pages of {limit}"), began);
        }
        let began = Instant::now();
        let messages = by_socket(&server).await?;
        told(&format!("WebSocket, {messages} messages"), began);
    }
    Ok(())
}

fn told(way: &str, began: Instant) {
    let rate = ENTRIES as f64 / began.elapsed().as_secs_f64();
    println!("sync      {ENTRIES} entries of 256 bytes, one client, {way}: {rate:.0} entries/s");
}

/// Reads to the end: how many pages that took.
async fn by_pages(server: &Server, limit: u64) -> Outcome<u64> {
    let mut connection = Connection::new(&server.address).await?;
    let (mut since, mut pages, mut entries) = ("start".to_owned(), 0, 0);
    loop {
        let path = format!("/v1/datasets/d/changes?since={since}&limit={limit}");
        let (_, body) = connection.call("GET", &path, "", b"").await?;
        let page: Value = serde_json::from_slice(&body)?;
        (pages, entries) = (pages + 1, entries + count(&page));
        since = page["page"]["next"].as_str().ok_or("a page has a cursor")?.to_owned();
        if page["page"]["more"] == false {
            return whole(entries, pages);
        }
    }
}

/// The same over a socket: how many messages.
async fn by_socket(server: &Server) -> Outcome<u64> {
    let (mut socket, _) = connect_async(format!("ws://{}/v1/socket", server.address)).await?;
    socket.send(Message::text(r#"{"subscribe":{"dataset":"d","since":"start"}}"#)).await?;
    let (mut messages, mut entries) = (0, 0);
    loop {
        let Message::Text(text) = socket.next().await.ok_or("the socket ended")?? else { continue };
        let said: Value = serde_json::from_str(&text)?;
        let page = &said["changes"];
        (messages, entries) = (messages + 1, entries + count(page));
        if page["page"]["more"] == false {
            return whole(entries, messages);
        }
    }
}

fn count(page: &Value) -> u64 {
    page["entries"].as_array().map_or(0, |entries| entries.len() as u64)
}

fn whole(entries: u64, parts: u64) -> Outcome<u64> {
    if entries == ENTRIES { Ok(parts) } else { Err(format!("{entries} entries came, not {ENTRIES}").into()) }
}
