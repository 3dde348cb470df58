//! kill -9 under the delivery load, several times, at one address and on one store: every client must end equal to the
//! server, and every acknowledged commit must be there, once.

mod clients;
mod line;
mod writers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::servers::{Server, lasting_address};
use crate::{Outcome, Plan};

use clients::{Client, Held};
use line::Line;
use writers::{Change, Ledger};

const DATASETS: usize = 100;
/// Long-polls, and as many event streams.
const WAITERS: usize = 1000;
const KILLS: u32 = 3;
/// In which everything that is left to do is done, once the writers have stopped.
const CATCH_UP: Duration = Duration::from_secs(60);
/// The entity of each dataset that is written last: who holds it has read everything.
const LAST: &str = "last";

pub async fn run(plan: &Plan) -> Outcome {
    let mut server = Server::tidelog_at(&plan.serve, &lasting_address()?)?;
    let address: Arc<str> = server.address.as_str().into();
    let (mut ledger, mut line) = (Ledger::empty(), Line::to(&address));
    in_each(&mut ledger, &mut line, "first").await?;
    let mut clients = JoinSet::new();
    for waiter in 0..WAITERS {
        clients.spawn(clients::poll(address.clone(), waiter % DATASETS));
        clients.spawn(clients::stream(address.clone(), waiter % DATASETS));
    }
    // Until most of them wait.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    let writing = tokio::spawn(writers::run(address.clone(), plan.time()));
    let mut away = Duration::ZERO;
    for kill in 1..=KILLS {
        tokio::time::sleep_until((began + plan.time() * kill / (KILLS + 1)).into()).await;
        let killed = Instant::now();
        tokio::task::block_in_place(|| server.kill_and_restart(&plan.serve))?;
        away = away.max(killed.elapsed());
    }
    let written = timeout(plan.time() + CATCH_UP, writing).await.map_err(|_| "the writers do not end")???;
    println!(
        "kill      {WAITERS} long-polls and {WAITERS} event streams, {DATASETS} datasets, {:.0} commits/s, {KILLS} times kill -9, \
         back after {away:.2?} at most",
        written.len() as f64 / began.elapsed().as_secs_f64(),
    );
    ledger.merge(written)?;
    in_each(&mut ledger, &mut line, LAST).await?;
    let ended = timeout(CATCH_UP, all(clients)).await.map_err(|_| "some clients do not get to the end")??;
    compare(&mut line, &ledger, &ended).await
}

/// Writes this entity to each dataset.
async fn in_each(ledger: &mut Ledger, line: &mut Line, entity: &str) -> Outcome {
    for dataset in 0..DATASETS {
        ledger.commit(line, &format!("{entity}-{dataset}"), dataset, entity, Some("true".into())).await?;
    }
    Ok(())
}

async fn all(mut clients: JoinSet<Outcome<Client>>) -> Outcome<Vec<Client>> {
    let mut ended = Vec::new();
    while let Some(client) = clients.join_next().await {
        ended.push(client??);
    }
    Ok(ended)
}

/// Compares what the server holds with what it acknowledged, and each client with the server.
async fn compare(line: &mut Line, ledger: &Ledger, ended: &[Client]) -> Outcome {
    let (mut lost, mut untold, mut wrong, mut states) = (0, 0, 0, Vec::new());
    for (dataset, acknowledged) in ledger.datasets.iter().enumerate() {
        let logged = logged(line, dataset).await?;
        lost += acknowledged.iter().filter(|(key, change)| logged.get(key) != Some(change)).count();
        untold += logged.keys().filter(|key| !acknowledged.contains_key(key)).count();
        let mut held = Held::nothing();
        while held.apply(&page(line, dataset, "latest", &held.since).await?)? {}
        wrong += usize::from(held.state != ledger.state(dataset));
        states.push(held.state);
    }
    let different = ended.iter().filter(|client| client.held.state != states[client.dataset]).count();
    let sum = |count: fn(&Client) -> u64| ended.iter().map(count).sum::<u64>();
    println!(
        "kill      {} commits acknowledged, {} of them when sent again: {lost} lost, {untold} that nobody was told of, {wrong} \
         datasets otherwise than acknowledged",
        ledger.len(),
        ledger.repeated,
    );
    println!(
        "kill      {} clients, {} connections broken, {} began again from the start, {} entries read: {different} differ from the \
         server's {} entities",
        ended.len(),
        sum(|client| client.broken),
        sum(|client| client.held.began_again),
        sum(|client| client.held.entries),
        states.iter().map(BTreeMap::len).sum::<usize>(),
    );
    match ended.len() == 2 * WAITERS && lost + untold + wrong + different == 0 {
        true => Ok(()),
        false => Err("after kill -9 not everything is as it was acknowledged".into()),
    }
}

/// The whole log of a dataset.
async fn logged(line: &mut Line, dataset: usize) -> Outcome<BTreeMap<u64, Change>> {
    let (mut logged, mut since) = (BTreeMap::new(), "oldest".to_owned());
    loop {
        let page: Value = serde_json::from_slice(&page(line, dataset, "every", &since).await?)?;
        for entry in page["entries"].as_array().ok_or("a page has no entries")? {
            let key = entry["key"].as_str().ok_or("an entry has no key")?.parse()?;
            logged.insert(key, Change::of(entry)?);
        }
        if page["page"]["more"] == false {
            return Ok(logged);
        }
        since = page["page"]["next"].as_str().ok_or("a page has no cursor")?.to_owned();
    }
}

async fn page(line: &mut Line, dataset: usize, view: &str, since: &str) -> Outcome<Vec<u8>> {
    let path = format!("/v1/datasets/d{dataset}/changes?since={since}&view={view}");
    let (head, page) = line.call("GET", &path, "", b"").await;
    match head.status {
        200 => Ok(page),
        status => Err(format!("a page was answered {status}").into()),
    }
}
