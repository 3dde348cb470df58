//! Clients that keep a copy of a dataset, over long-polls or a stream of events, and go on from their cursor when the
//! server was away.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::LAST;
use super::line::Line;
use crate::Outcome;
use crate::http::Head;

/// The entities of a dataset and their payloads.
pub type State = BTreeMap<String, String>;

/// A copy of a dataset, with the cursor that belongs to it.
pub struct Held {
    pub state: State,
    pub since: String,
    /// Entries applied.
    pub entries: u64,
    /// How often it had gone stale.
    pub began_again: u64,
}

/// A client at its end.
pub struct Client {
    pub dataset: usize,
    pub held: Held,
    pub broken: u64,
}

impl Held {
    pub fn nothing() -> Held {
        Held { state: State::new(), since: "start".into(), entries: 0, began_again: 0 }
    }

    /// Applies a page and its cursor; whether there is more.
    pub fn apply(&mut self, page: &[u8]) -> Outcome<bool> {
        let page: Value = serde_json::from_slice(page)?;
        for entry in page["entries"].as_array().ok_or("a page has no entries")? {
            let entity = entry["entity"].as_str().ok_or("an entry has no entity")?;
            match entry["op"] == "delete" {
                true => self.state.remove(entity),
                false => self.state.insert(entity.to_owned(), entry["payload"].to_string()),
            };
            self.entries += 1;
        }
        self.since = page["page"]["next"].as_str().ok_or("a page has no cursor")?.to_owned();
        Ok(page["page"]["more"] == true)
    }

    fn begin_again(&mut self) {
        self.state.clear();
        self.since = "start".into();
        self.began_again += 1;
    }

    fn is_complete(&self) -> bool {
        self.state.contains_key(LAST)
    }

    /// What an answer without a page says: to begin again, or nothing that is expected.
    fn refused(&mut self, head: &Head) -> Outcome {
        if head.status != 410 {
            return Err(format!("a client was answered {}", head.status).into());
        }
        self.begin_again();
        Ok(())
    }
}

/// Long-polls until it holds what is written last.
pub async fn poll(address: Arc<str>, dataset: usize) -> Outcome<Client> {
    let (mut line, mut held) = (Line::to(&address), Held::nothing());
    while !held.is_complete() {
        let path = format!("/v1/datasets/d{dataset}/changes?since={}&wait=30", held.since);
        let (head, answer) = line.call("GET", &path, "", b"").await;
        match head.status {
            200 => drop(held.apply(&answer)?),
            _ => held.refused(&head)?,
        }
    }
    Ok(Client { dataset, held, broken: line.broken })
}

/// Follows the events, as often as it takes, until it holds what is written last.
pub async fn stream(address: Arc<str>, dataset: usize) -> Outcome<Client> {
    let (mut line, mut held) = (Line::to(&address), Held::nothing());
    while !held.is_complete() {
        match open(&mut line, dataset, &held.since).await {
            Some(head) if head.status == 200 => follow(&mut line, &mut held).await?,
            Some(head) => {
                // Too many begin at once, or it has gone stale.
                if head.status != 503 {
                    held.refused(&head)?;
                }
                line.leave().await;
                continue;
            }
            None => {}
        }
        if !held.is_complete() {
            line.broke().await;
        }
    }
    Ok(Client { dataset, held, broken: line.broken })
}

/// Asks for the events behind a cursor, as a browser does that lost the connection; none if nobody is there.
async fn open(line: &mut Line, dataset: usize, since: &str) -> Option<Head> {
    let headers = format!("last-event-id: {since}\r\n");
    let connection = line.connection().await.ok()?;
    connection.send("GET", &format!("/v1/datasets/d{dataset}/events"), &headers, b"").await.ok()
}

/// Applies events until the stream ends, breaks or has brought all.
async fn follow(line: &mut Line, held: &mut Held) -> Outcome {
    let (connection, mut event) = (line.connection().await?, Vec::new());
    while !held.is_complete() && matches!(connection.chunk(&mut event).await, Ok(true)) {
        // An event may come in several chunks; it ends with an empty line.
        if !event.ends_with(b"\n\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&event);
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        match line("event: ") {
            Some("changes") => drop(held.apply(line("data: ").ok_or("an event has no data")?.as_bytes())?),
            Some("stale") => held.begin_again(),
            // A sign of life.
            _ => {}
        }
        event.clear();
    }
    Ok(())
}
