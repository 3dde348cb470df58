//! From an acknowledged commit to its delivery: 1,000 long-polls and 1,000 event streams on 100 datasets.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::http::{Connection, field, keys};
use crate::servers::Server;
use crate::{Outcome, Plan, payload, percentile};

const DATASETS: usize = 100;
const WAITERS: usize = 1000;
const WRITERS: usize = 32;
const RATES: &[u64] = &[500, 2000];

/// When a key was seen.
type Seen = Vec<(u64, Instant)>;

pub async fn run(plan: &Plan) -> Outcome {
    for rate in RATES {
        let server = Server::tidelog(&plan.serve)?;
        let address: Arc<str> = server.address.as_str().into();
        let mut first = Connection::new(&address).await?;
        for dataset in 0..DATASETS {
            write(&mut first, dataset, 0).await?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (mut polls, mut streams) = (JoinSet::new(), JoinSet::new());
        let there = Arc::new(AtomicUsize::new(0));
        for waiter in 0..WAITERS {
            polls.spawn(poll(address.clone(), waiter % DATASETS, stop.clone(), there.clone()));
            streams.spawn(stream(address.clone(), waiter % DATASETS, stop.clone(), there.clone()));
        }
        while there.load(Ordering::Relaxed) < 2 * WAITERS {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        let acks = commits(&address, *rate, plan.time()).await?;
        let rate = acks.len() as f64 / began.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.store(true, Ordering::Relaxed);
        // What wakes those who wait, so that they see that it is over. An idle connection may be gone by now.
        let mut first = Connection::new(&address).await?;
        for dataset in 0..DATASETS {
            write(&mut first, dataset, 1).await?;
        }
        for (what, waiters) in [("long-poll", &mut polls), ("events", &mut streams)] {
            report(what, rate, &acks, waiters).await?;
        }
    }
    Ok(())
}

async fn report(what: &str, rate: f64, acks: &HashMap<u64, Instant>, waiters: &mut JoinSet<Outcome<Seen>>) -> Outcome {
    let mut times = Vec::new();
    let per_dataset = WAITERS / DATASETS;
    while let Some(seen) = waiters.join_next().await {
        for (key, at) in seen?? {
            // A delivery may come before the acknowledgement: that is no time at all.
            times.extend(acks.get(&key).map(|acked| at.saturating_duration_since(*acked)));
        }
    }
    times.sort_unstable();
    let missing = (acks.len() * per_dataset).saturating_sub(times.len());
    println!(
        "delivery  {what:<9} {WAITERS} waiters, {DATASETS} datasets, {rate:.0} commits/s ({} made): {} deliveries, {missing} missing, \
         p50 {:.2?} p99 {:.2?} max {:.2?}",
        acks.len(),
        times.len(),
        percentile(&times, 0.50),
        percentile(&times, 0.99),
        times.last().copied().unwrap_or_default(),
    );
    Ok(())
}

/// Commits at a steady rate from a few connections; each key with when it was acknowledged.
async fn commits(address: &Arc<str>, rate: u64, time: Duration) -> Outcome<HashMap<u64, Instant>> {
    let mut writers = JoinSet::new();
    let began = Instant::now();
    for writer in 0..WRITERS as u64 {
        let address = address.clone();
        writers.spawn(async move {
            let mut connection = Connection::new(&address).await?;
            let mut acks = Seen::new();
            for n in 0.. {
                let due = began + Duration::from_secs_f64((n * WRITERS as u64 + writer) as f64 / rate as f64);
                if due > began + time {
                    break;
                }
                tokio::time::sleep_until(due.into()).await;
                let dataset = (n * 31 + writer * 13) as usize % DATASETS;
                acks.push((write(&mut connection, dataset, n).await?, Instant::now()));
            }
            Outcome::Ok(acks)
        });
    }
    let mut acks = HashMap::new();
    while let Some(done) = writers.join_next().await {
        acks.extend(done??);
    }
    Ok(acks)
}

async fn write(connection: &mut Connection, dataset: usize, n: u64) -> Outcome<u64> {
    let path = format!("/v1/datasets/d{dataset}/entities/e{}", n % 1000);
    let (head, answer) = connection.call("PUT", &path, "", payload(n).as_bytes()).await?;
    if !(200..300).contains(&head.status) {
        return Err(format!("a commit was answered {}", head.status).into());
    }
    Ok(field(&answer, "last").ok_or("no key")?.parse()?)
}

async fn poll(address: Arc<str>, dataset: usize, stop: Arc<AtomicBool>, there: Arc<AtomicUsize>) -> Outcome<Seen> {
    let mut connection = Connection::new(&address).await?;
    there.fetch_add(1, Ordering::Relaxed);
    let mut seen = Seen::new();
    let mut since = "head".to_owned();
    while !stop.load(Ordering::Relaxed) {
        let path = format!("/v1/datasets/d{dataset}/changes?since={since}&wait=30");
        let (head, answer) = connection.call("GET", &path, "", b"").await?;
        let now = Instant::now();
        if head.status != 200 {
            return Err(format!("a long-poll was answered {}", head.status).into());
        }
        seen.extend(keys(&answer).0.into_iter().map(|key| (key, now)));
        since = field(&answer, "next").ok_or("no cursor")?;
    }
    Ok(seen)
}

async fn stream(address: Arc<str>, dataset: usize, stop: Arc<AtomicBool>, there: Arc<AtomicUsize>) -> Outcome<Seen> {
    let mut connection = Connection::new(&address).await?;
    let head = connection.send("GET", &format!("/v1/datasets/d{dataset}/events?since=head"), "", b"").await?;
    if head.status != 200 {
        return Err(format!("a stream was answered {}", head.status).into());
    }
    there.fetch_add(1, Ordering::Relaxed);
    let mut seen = Seen::new();
    let mut event = Vec::new();
    while !stop.load(Ordering::Relaxed) && connection.chunk(&mut event).await? {
        // An event may come in several chunks; it ends with an empty line.
        if event.ends_with(b"\n\n") {
            let now = Instant::now();
            seen.extend(keys(&event).0.into_iter().map(|key| (key, now)));
            event.clear();
        }
    }
    Ok(seen)
}
