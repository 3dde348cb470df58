//! Writers that send a commit again under its id until it is acknowledged, and what was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use super::DATASETS;
use super::clients::State;
use super::line::Line;
use crate::http::field;
use crate::{Outcome, payload};

const WRITERS: u64 = 32;
/// Commits a second, of all of them: as many as keep some under way whenever the server is killed.
const RATE: u64 = 2000;
/// Of each dataset: few, so that most are written again, and deleted.
const ENTITIES: u64 = 20;

/// What an entity became.
#[derive(Debug, PartialEq)]
pub struct Change {
    entity: String,
    /// None if it was deleted.
    payload: Option<String>,
}

impl Change {
    /// The change that an entry of a page tells of.
    pub fn of(entry: &Value) -> Outcome<Change> {
        let entity = entry["entity"].as_str().ok_or("an entry has no entity")?.to_owned();
        Ok(Change { entity, payload: (entry["op"] != "delete").then(|| entry["payload"].to_string()) })
    }
}

/// What was acknowledged: for each dataset, the changes by their keys.
pub struct Ledger {
    pub datasets: Vec<BTreeMap<u64, Change>>,
    /// Commits that had been done already when they were acknowledged: their first answer was lost.
    pub repeated: u64,
}

impl Ledger {
    pub fn empty() -> Ledger {
        Ledger { datasets: (0..DATASETS).map(|_| BTreeMap::new()).collect(), repeated: 0 }
    }

    pub fn len(&self) -> usize {
        self.datasets.iter().map(BTreeMap::len).sum()
    }

    /// Puts an entity, or deletes it if there is no payload; comes back once that is acknowledged.
    pub async fn commit(
        &mut self,
        line: &mut Line,
        id: &str,
        dataset: usize,
        entity: &str,
        payload: Option<String>,
    ) -> Outcome {
        let rest = match &payload {
            Some(payload) => format!(r#""put","payload":{payload}"#),
            None => r#""delete""#.to_owned(),
        };
        let body = format!(r#"{{"dataset":"d{dataset}","entity":"{entity}","op":{rest}}}"#);
        let headers = format!("idempotency-key: {id}\r\ncontent-type: application/json\r\n");
        let (head, answer) = line.call("POST", "/v1/commits", &headers, body.as_bytes()).await;
        if head.status != 200 {
            return Err(format!("a commit was answered {}", head.status).into());
        }
        let key = field(&answer, "last").ok_or("no key")?.parse()?;
        self.repeated += u64::from(String::from_utf8_lossy(&answer).contains(r#""repeated":true"#));
        self.note(dataset, key, Change { entity: entity.to_owned(), payload })
    }

    pub fn merge(&mut self, other: Ledger) -> Outcome {
        self.repeated += other.repeated;
        for (dataset, changes) in other.datasets.into_iter().enumerate() {
            changes.into_iter().try_for_each(|(key, change)| self.note(dataset, key, change))?;
        }
        Ok(())
    }

    fn note(&mut self, dataset: usize, key: u64, change: Change) -> Outcome {
        match self.datasets[dataset].insert(key, change) {
            Some(before) => Err(format!("key {key} was given out twice, first for {before:?}").into()),
            None => Ok(()),
        }
    }

    /// What a dataset must hold.
    pub fn state(&self, dataset: usize) -> State {
        let mut state = State::new();
        for Change { entity, payload } in self.datasets[dataset].values() {
            match payload {
                Some(payload) => state.insert(entity.clone(), payload.clone()),
                None => state.remove(entity),
            };
        }
        state
    }
}

/// Commits at a steady rate, for so long.
pub async fn run(address: Arc<str>, time: Duration) -> Outcome<Ledger> {
    let (mut writers, began) = (JoinSet::new(), Instant::now());
    for writer in 0..WRITERS {
        let address = address.clone();
        writers.spawn(async move {
            let (mut line, mut ledger) = (Line::to(&address), Ledger::empty());
            for n in 0.. {
                let at = n * WRITERS + writer;
                let due = began + Duration::from_secs_f64(at as f64 / RATE as f64);
                if due > began + time {
                    break;
                }
                tokio::time::sleep_until(due.into()).await;
                let entity = format!("e{}", (n / 7 + writer * 3) % ENTITIES);
                // One in five is a delete.
                let payload = (n % 5 != 4).then(|| payload(at));
                let dataset = (n * 31 + writer * 13) as usize % DATASETS;
                ledger.commit(&mut line, &format!("{writer}-{n}"), dataset, &entity, payload).await?;
            }
            Outcome::Ok(ledger)
        });
    }
    let mut all = Ledger::empty();
    while let Some(done) = writers.join_next().await {
        all.merge(done??)?;
    }
    Ok(all)
}
