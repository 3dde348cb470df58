//! kill -9 while long-polls and event streams wait for what several writers commit: all of them end with what the server
//! holds, and that is what it acknowledged. `make load ROWS=kill` does the same with two thousand clients.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidelog::client::{Memory, Replica};

use crate::support::{
    Dataset, HANG, Ledger, Network, Rng, Server, Writer, all_keys, assert_same, client, copy, once, seed, wait_until,
};

const DATASETS: u64 = 10;
/// Of each kind, on each dataset.
const WAITERS: u64 = 2;
const WRITERS: u64 = 4;
/// Of each writer.
const COMMITS: u64 = 200;
const KILLS: u64 = 2;
/// The entity of each dataset that is written last: who holds it has read everything.
const LAST: &str = "last";

#[test]
fn clients_of_all_kinds_end_equal_to_a_server_killed_under_load() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    let ledger = Ledger::default();
    in_each(network.url(), &ledger, "first");
    let ended = std::thread::scope(|scope| {
        let (url, ledger) = (network.url(), &ledger);
        let clients: Vec<_> = (0..DATASETS * WAITERS)
            .flat_map(|waiter| {
                let dataset = name(waiter % DATASETS);
                let stream = dataset.clone();
                [
                    (dataset.clone(), scope.spawn(move || poll(url, &dataset))),
                    (stream.clone(), scope.spawn(move || follow(url, &stream))),
                ]
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(url, writer, ledger))).collect();
        for kill in 1..=KILLS {
            let part = WRITERS * COMMITS * kill / (KILLS + 1);
            wait_until("a part of the commits", || ledger.len() as u64 > DATASETS + part);
            server.kill();
            server.restart();
            network.lead_to(&server);
        }
        for writer in writers {
            writer.join().expect("a writer");
        }
        in_each(url, ledger, LAST);
        let ended = clients.into_iter().map(|(dataset, client)| (dataset, client.join().expect("a client")));
        ended.collect::<Vec<_>>()
    });
    println!("{} acknowledged, {} of them when sent again", ledger.len(), ledger.repeated());

    assert_eq!(ledger.len() as u64, WRITERS * COMMITS + 2 * DATASETS);
    let log = once(server.url());
    for dataset in (0..DATASETS).map(name) {
        assert_eq!(all_keys(&log, &dataset), ledger.keys(&dataset), "each commit is there once");
    }
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
    for (dataset, held) in &ended {
        assert_same(&format!("a client's copy of {dataset}"), held, &exported[dataset.as_bytes()]);
    }
    assert_eq!(ended.len() as u64, 2 * DATASETS * WAITERS);
}

fn name(dataset: u64) -> String {
    format!("d{dataset}")
}

fn in_each(url: &str, ledger: &Ledger, entity: &str) {
    let mut writer = Writer::new(client(url, entity), ledger, entity);
    for dataset in 0..DATASETS {
        writer.put(&name(dataset), entity, "true").commit();
    }
}

fn write(url: &str, writer: u64, ledger: &Ledger) {
    let mut rng = Rng::new(seed() * 1000 + writer);
    let id = format!("writer-{writer}");
    let mut writer = Writer::new(client(url, &id), ledger, &id);
    for n in 0..COMMITS {
        let (dataset, entity) = (name(rng.below(DATASETS)), format!("e{}", rng.below(20)));
        match rng.chance(20) {
            true => writer.delete(&dataset, &entity),
            false => writer.put(&dataset, &entity, format!(r#"{{"by":"{id}","n":{n}}}"#)),
        };
        writer.commit();
        // Some hundreds a second, of all of them.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Long-polls until it holds what is written last.
fn poll(url: &str, dataset: &str) -> Dataset {
    let mut replica = Replica::new(client(url, "poll"), dataset.to_owned(), Memory::new());
    while replica.local().get(LAST).is_none() {
        let known = !replica.local().is_empty();
        let progress = replica.follow(HANG).expect("a long-poll");
        assert!(!(known && progress.reset), "what a client was shown is never taken back");
    }
    copy(replica.local())
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    entries: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    op: &'a str,
    entity: String,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Follows the events until it holds what is written last; goes on behind the last of them as often as the stream ends.
fn follow(url: &str, dataset: &str) -> Dataset {
    let config = ureq::Agent::config_builder().timeout_connect(Some(HANG)).timeout_recv_body(Some(HANG));
    let agent: ureq::Agent = config.build().into();
    let (mut held, mut last_id, mut streams) = (Dataset::new(), "start".to_owned(), 0);
    while !held.contains_key(LAST.as_bytes()) {
        let asked = agent.get(format!("{url}/v1/datasets/{dataset}/events")).header("last-event-id", &last_id).call();
        match asked {
            Ok(answer) => {
                streams += 1;
                events(answer.into_body().into_reader(), &mut held, &mut last_id);
            }
            // Nobody is there; or too many begin at once.
            Err(ureq::Error::Io(_) | ureq::Error::Protocol(_) | ureq::Error::StatusCode(503)) => {}
            Err(error) => panic!("what a client was shown is never taken back: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(streams > 1, "no kill ended its stream");
    held
}

/// Applies events, each with its id, until the stream breaks or has brought all.
fn events(stream: impl std::io::Read, held: &mut Dataset, last_id: &mut String) {
    let (mut stream, mut id, mut data) = (BufReader::new(stream), String::new(), String::new());
    while !held.contains_key(LAST.as_bytes()) {
        let mut line = String::new();
        // What was torn off by a kill is no line.
        match stream.read_line(&mut line) {
            Ok(1..) if line.ends_with('\n') => {}
            _ => return,
        }
        match line.trim_end().split_once(": ") {
            Some(("event", event)) => assert_eq!(event, "changes"),
            Some(("id", text)) => text.clone_into(&mut id),
            Some(("data", text)) => text.clone_into(&mut data),
            // An event is complete at its empty line.
            None if line == "\n" && !data.is_empty() => {
                let page: Page<'_> = serde_json::from_str(&data).expect("a page");
                for Entry { op, entity, payload } in page.entries {
                    match (op, payload) {
                        ("delete", _) => held.remove(entity.as_bytes()),
                        (_, payload) => {
                            let payload = payload.expect("a live entity has a payload").get();
                            held.insert(entity.into(), Bytes::copy_from_slice(payload.as_bytes()))
                        }
                    };
                }
                last_id.clone_from(&id);
                data.clear();
            }
            _ => {}
        }
    }
}
