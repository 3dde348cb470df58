//! Sync-keys that are timestamps, and the two rules for two writers of one entity: the last writer wins by a version of its
//! own, and read, merge and try again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::Value;
use tidelog::client::{Client, Error, Memory, Replica};
use tidelog::{Batch, Expect, SyncKey};

use crate::support::{Network, Rng, Server, all_keys, assert_same, client, copy, once, seed, wait_until};

const CONTACTS: &str = "contacts";
const WRITERS: usize = 5;
const WRITES: u64 = 50;
/// Entities, so few that writers meet all the time.
const CARDS: u64 = 4;

fn start() -> Server {
    Server::start_with(&["--keys", "timestamp"], &[])
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

#[test]
fn keys_are_times() {
    let mut server = start();
    let client = once(server.url());
    let before = SyncKey::from_time_ms(now_ms());
    let first = client.put(CONTACTS, "ada", "1").expect("a commit").last;
    assert!(before <= first && first < SyncKey::from_time_ms(now_ms() + 1), "{before} <= {first}");
    assert!(first.get() > 1 << 53, "more than a double holds");
    let stored = client.get(CONTACTS, "ada").expect("an answer").expect("the entity");
    assert_eq!((stored.key, SyncKey::from_time_ms(stored.time_ms) <= first), (first, true));

    server.kill();
    server.restart();
    let client = once(server.url());
    let between = now_ms();
    let second = client.put_if(CONTACTS, "ada", "2", Expect::At(first)).expect("the tag is still right").last;
    assert!(second > first && second >= SyncKey::from_time_ms(between));
    let page = client.changes(CONTACTS, &tidelog::Cursor::after(first), tidelog::Limits::default()).expect("a page");
    assert_eq!(page.entries.iter().map(|entry| entry.key).collect::<Vec<_>>(), [second]);
    server.stop();
}

#[test]
fn conflicts_are_told() {
    let mut server = start();
    let client = once(server.url());
    let first = client.put_if(CONTACTS, "ada", "1", Expect::Absent).expect("it is not there").last;
    let conflict = |outcome: Result<tidelog::Commit, Error>| match outcome {
        Err(Error::Conflict(problem)) => (problem.status, problem.kind.clone(), problem.key),
        other => panic!("no conflict: {other:?}"),
    };
    let wanted = |status| (status, "conflict".to_owned(), Some(first));
    // 412 of a header, 409 of an expectation.
    assert_eq!(conflict(client.put_if(CONTACTS, "ada", "2", Expect::Absent)), wanted(412));
    assert_eq!(conflict(client.put_if(CONTACTS, "ada", "2", Expect::At(SyncKey::new(1)))), wanted(412));
    assert_eq!(conflict(client.delete_if(CONTACTS, "ada", Expect::At(SyncKey::new(1)))), wanted(412));
    let mut batch = Batch::new();
    batch.put(CONTACTS, "ben", "1").put(CONTACTS, "ada", "2").expect(Expect::At(SyncKey::new(first.get() + 1)));
    assert_eq!(conflict(client.commit(&batch)), wanted(409));
    assert_eq!(client.get(CONTACTS, "ben").expect("an answer"), None, "all or nothing");
    server.stop();
}

/// A payload with its version, in milliseconds of a clock that is not the server's.
fn edit(version: u64, by: usize) -> String {
    format!("{{\"version\":{version},\"by\":{by}}}")
}

fn version(payload: &[u8]) -> u64 {
    let payload: Value = serde_json::from_slice(payload).expect("JSON");
    payload["version"].as_u64().expect("a version")
}

/// Everything one writer tried.
#[derive(Default)]
struct Tried {
    /// Last writer wins: the versions of each card.
    versions: BTreeMap<u64, BTreeSet<(u64, String)>>,
    /// Keys of acknowledged commits.
    keys: BTreeSet<SyncKey>,
    /// Merges: how often it added to each card's counter.
    added: BTreeMap<u64, u64>,
}

#[test]
fn both_rules_hold_through_a_storm_and_a_kill() {
    let mut server = start();
    let network = Network::to(&server, seed());
    network.lose_percent(3);
    let tried = Mutex::new(Tried::default());
    std::thread::scope(|scope| {
        let (tried, url) = (&tried, network.url());
        let writers: Vec<_> = (0..WRITERS).map(|by| scope.spawn(move || write(url, by, tried))).collect();
        wait_until("half of the writes", || {
            tried.lock().unwrap().added.values().sum::<u64>() > WRITERS as u64 * WRITES / 2
        });
        server.kill();
        server.restart();
        network.lead_to(&server);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    });
    println!("{} lost answers", network.lost_answers());
    assert!(network.lost_answers() > 0);

    let near = once(server.url());
    let tried = tried.into_inner().unwrap();
    assert_eq!(all_keys(&near, CONTACTS), tried.keys.iter().copied().collect::<Vec<_>>(), "each write is there once");
    let mut replica = Replica::new(near, CONTACTS, Memory::new());
    replica.catch_up().expect("a read");
    let exported = server.stop_and_export();
    let contacts = &exported[CONTACTS.as_bytes()];
    assert_same("a client's copy", &copy(replica.local()), contacts);
    for (card, versions) in &tried.versions {
        let (_, newest) = versions.last().expect("a version");
        assert_eq!(
            contacts[format!("card-{card}").as_bytes()],
            newest.as_bytes(),
            "the newest version of card {card} won"
        );
    }
    for (card, added) in &tried.added {
        let counted = &contacts[format!("count-{card}").as_bytes()];
        assert_eq!(*counted, Bytes::from(added.to_string()), "every merge of counter {card} was counted once");
    }
}

fn write(url: &str, by: usize, tried: &Mutex<Tried>) {
    let mut rng = Rng::new(seed() * 5000 + by as u64);
    let client: Client = client(url, &format!("writer-{by}"));
    for at in 0..WRITES {
        let card = rng.below(CARDS);
        // Clocks that differ, and writes that were long under way: versions come in any order, and never twice.
        let edited = (rng.below(1_000_000) * WRITES + at) * WRITERS as u64 + by as u64;
        let payload = edit(edited, by);
        let won =
            client.last_writer_wins(CONTACTS, format!("card-{card}"), payload.clone(), version).expect("an outcome");
        let mut add = |stored: Option<&[u8]>| {
            let stored =
                stored.map_or(0, |stored| std::str::from_utf8(stored).expect("text").parse::<u64>().expect("a count"));
            Some(Bytes::from((stored + 1).to_string()))
        };
        let counted =
            client.merge(CONTACTS, format!("count-{card}"), &mut add).expect("an outcome").expect("it writes");
        let mut tried = tried.lock().unwrap();
        tried.versions.entry(card).or_default().insert((edited, payload));
        tried.keys.extend(won.map(|commit| commit.last).into_iter().chain([counted.last]));
        *tried.added.entry(card).or_default() += 1;
    }
}
