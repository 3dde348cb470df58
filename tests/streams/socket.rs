//! Sockets: many datasets and commits over one connection.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{Heard, PATIENCE, Server, Socket, texts};

fn subscribe(socket: &mut Socket, dataset: &str) {
    socket.say(&json!({"subscribe": {"dataset": dataset}}));
}

fn put(dataset: &str, entity: &str, reference: usize) -> Value {
    json!({"commit": {"dataset": dataset, "op": "put", "entity": entity, "payload": reference}, "ref": reference})
}

/// A token with this scope: as the file has it, and as a header does.
fn token(scope: &str) -> (String, String) {
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_tidelog"))
        .args(["--json", "token"])
        .args(scope.split(' '))
        .output()
        .expect("it runs");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{made:?}"));
    let text = |field: &str| made["token"][field].as_str().unwrap().to_owned();
    (text("line"), format!("Bearer {}", text("token")))
}

#[test]
fn many_commits_in_flight_are_answered_each_under_its_ref() {
    let server = Server::start(&[]);
    let mut writer = server.socket("/v1/socket", &[]).unwrap();
    let mut reader = server.socket("/v1/socket", &[]).unwrap();
    for dataset in ["a", "b"] {
        subscribe(&mut reader, dataset);
        assert_eq!(reader.text()["changes"]["entries"], json!([]), "a page at once");
    }
    // More than may be in flight: it reads on as they are answered.
    const COMMITS: usize = 1000;
    for n in 0..COMMITS {
        writer.say(&put(["a", "b"][n % 2], &format!("e{n}"), n));
    }
    let mut keys = BTreeMap::new();
    for _ in 0..COMMITS {
        let answer = writer.text();
        let key: u64 = answer["committed"]["last"].as_str().unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
        assert!(keys.insert(answer["ref"].as_u64().unwrap(), key).is_none());
    }
    assert!(keys.values().is_sorted(), "they are committed in the order in which they came");
    let mut came: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    while came.values().map(Vec::len).sum::<usize>() < COMMITS {
        let message = reader.text();
        let changes = &message["changes"];
        let keys = texts(&changes["entries"], "key").into_iter().map(|key| key.parse::<u64>().unwrap());
        came.entry(changes["dataset"].as_str().unwrap().to_owned()).or_default().extend(keys);
    }
    for (n, dataset) in ["a", "b"].into_iter().enumerate() {
        let expected: Vec<u64> = keys.iter().filter(|(at, _)| **at as usize % 2 == n).map(|(_, key)| *key).collect();
        assert_eq!(came[dataset], expected, "all of {dataset}, in order, once");
    }
}

#[test]
fn a_conflict_a_repeat_and_what_is_no_commit() {
    let server = Server::start(&[]);
    let mut socket = server.socket("/v1/socket", &[]).unwrap();
    let change = json!({"dataset": "d", "op": "put", "entity": "e", "payload": 1, "expect": "absent"});
    let commit = json!({"changes": [change], "id": "once"});
    socket.say(&json!({"commit": commit, "ref": "first"}));
    let first = socket.text();
    assert_eq!((&first["ref"], &first["committed"]["repeated"]), (&json!("first"), &json!(false)));
    socket.say(&json!({"commit": commit, "ref": "again"}));
    let again = socket.text();
    assert_eq!(
        (&again["committed"]["last"], &again["committed"]["repeated"]),
        (&first["committed"]["last"], &json!(true))
    );
    socket.say(&json!({"commit": change, "ref": 3}));
    let refused = socket.text();
    assert_eq!((&refused["ref"], &refused["failed"]["problem"]["kind"]), (&json!(3), &json!("conflict")));
    for (commit, kind) in [
        (json!({"op": "put"}), "invalid"),
        (json!({"dataset": "\u{0}gx", "op": "delete", "entity": "e"}), "invalid"),
        (json!({"dataset": "", "op": "delete", "entity": "e"}), "invalid"),
    ] {
        socket.say(&json!({"commit": commit, "ref": 4}));
        let refused = socket.text();
        assert_eq!((&refused["ref"], &refused["failed"]["problem"]["kind"]), (&json!(4), &json!(kind)), "{refused}");
    }
}

#[test]
fn it_goes_on_from_cursors_and_nothing_comes_after_an_end() {
    let server = Server::start(&[]);
    for n in 0..30 {
        server.write("d", &format!("e{n}"), "x");
    }
    let mut socket = server.socket("/v1/socket", &[]).unwrap();
    socket.say(&json!({"subscribe": {"dataset": "d", "limit": 10, "payloads": false}}));
    let page = socket.text();
    assert_eq!(texts(&page["changes"]["entries"], "entity").len(), 10);
    assert_eq!(page["changes"]["entries"][0]["payload_len"], 3);
    let next = page["changes"]["page"]["next"].clone();
    socket.say(&json!({"unsubscribe": {"dataset": "d"}}));
    loop {
        let message = socket.text();
        if message["unsubscribed"]["dataset"] == "d" {
            break;
        }
        assert!(message["changes"].is_object(), "{message}");
    }
    server.write("d", "not this one", "x");
    socket.say(&json!({"subscribe": {"dataset": "d", "since": next}}));
    let rest = socket.text();
    assert_eq!(texts(&rest["changes"]["entries"], "entity")[0], "e10", "nothing came in between");
    // Deleted meanwhile.
    server.delete_dataset("d");
    let mut message = socket.text();
    while message["changes"].is_object() {
        message = socket.text();
    }
    assert_eq!((&message["failed"]["dataset"], &message["failed"]["problem"]["status"]), (&json!("d"), &json!(404)));
    socket.say(&json!({"subscribe": {"dataset": "d", "since": "nonsense"}}));
    assert_eq!(socket.text()["failed"]["problem"]["kind"], "stale_malformed");
}

#[test]
fn who_does_not_read_is_cut_off_and_hurts_nobody() {
    let server = Server::start(&["--patience", "1", "--page-bytes", "1000000", "--page-memory", "4000000"]);
    let payload = "x".repeat(200_000);
    for n in 0..100 {
        server.write("large", &format!("e{n}"), &payload);
    }
    let (_, before) = server.memory();
    // Twenty who take 20 MB each, and read nothing.
    let mut deaf: Vec<Socket> = (0..20).map(|_| server.socket("/v1/socket", &[]).unwrap()).collect();
    deaf.iter_mut().for_each(|socket| {
        socket.say(&json!({"subscribe": {"dataset": "large", "since": "1"}}));
    });
    let mut other = server.socket("/v1/socket", &[]).unwrap();
    subscribe(&mut other, "small");
    other.text();
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    for n in 0.. {
        let asked = Instant::now();
        other.say(&put("small", &format!("e{n}"), n));
        let (one, two) = (other.text(), other.text());
        assert!(one["committed"].is_object() ^ two["committed"].is_object(), "{one} {two}");
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(5));
        if begun.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    assert!(slowest < Duration::from_secs(2), "the others went on: {slowest:?}");
    for mut socket in deaf {
        let mut bytes = 0;
        let ended = loop {
            match socket.hear() {
                Heard::Text(page) => bytes += page["changes"]["entries"].as_array().unwrap().len() * payload.len(),
                ended => break ended,
            }
        };
        assert!(matches!(ended, Heard::Gone) && bytes < 15_000_000, "{ended:?} after {bytes} bytes");
    }
    let (most, _) = server.memory();
    eprintln!("memory: {} MB before, {} MB at most; slowest answer {slowest:?}", before >> 20, most >> 20);
    assert!(most < before + (60 << 20), "{before} {most}");
}

/// Leaves this one token in the file, which is then seen to have changed.
fn retoken(file: &Path, line: &str) {
    std::fs::write(file, format!("{line}\n")).unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(5);
    std::fs::File::options().write(true).open(file).unwrap().set_modified(later).unwrap();
}

#[test]
fn a_ticket_opens_one_socket_with_what_its_owner_may_do() {
    let (reads, reader) = token("--scope read --prefix team/");
    let (writes, writer) = token("--scope write --prefix team/");
    let mut server = Server::start(&[]);
    let file = server.path("tokens");
    std::fs::write(&file, format!("{reads}\n{writes}\n")).unwrap();
    server.stop();
    server.start_again(&["--tokens", file.to_str().unwrap(), "--heartbeat", "0.2"]);
    let give = |bearer: &str| {
        let given = server.request("POST", "/v1/tickets", &[("authorization", bearer)], None).ok();
        assert_eq!(given["expires_in"], 30);
        format!("/v1/socket?ticket={}", given["ticket"].as_str().unwrap())
    };
    server.request("POST", "/v1/tickets", &[], None).problem(401, "unauthorized");
    assert_eq!(server.socket("/v1/socket", &[]).err(), Some(401));
    assert_eq!(server.socket("/v1/socket?ticket=made-up", &[]).err(), Some(401));
    let path = give(&reader);
    let mut socket = server.socket(&path, &[]).unwrap();
    assert_eq!(server.socket(&path, &[]).err(), Some(401), "once");
    socket.say(&put("team/d", "e", 1));
    assert_eq!(socket.text()["failed"]["problem"]["kind"], "forbidden");
    subscribe(&mut socket, "other");
    assert_eq!(socket.text()["failed"]["problem"]["kind"], "forbidden");
    subscribe(&mut socket, "team/d");
    assert!(socket.text()["changes"].is_object());
    let mut other = server.socket("/v1/socket", &[("authorization", &writer)]).unwrap();
    other.say(&put("team/d", "e", 1));
    assert!(other.text()["committed"].is_object());
    assert_eq!(texts(&socket.text()["changes"]["entries"], "entity"), ["e"]);
    // The reader's token is taken away: what it opened ends.
    retoken(&file, &writes);
    match socket.hear() {
        Heard::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Policy),
        other => panic!("{other:?}"),
    }
    other.say(&put("team/d", "e", 2));
    assert!(other.text()["committed"].is_object(), "the other token is as good as before");
}

#[test]
fn a_socket_does_nothing_more_once_its_token_is_taken_away() {
    let (writes, writer) = token("--scope write");
    let (keeps, keeper) = token("--scope write");
    let mut server = Server::start(&[]);
    let file = server.path("tokens");
    std::fs::write(&file, format!("{writes}\n{keeps}\n")).unwrap();
    server.stop();
    // It does not look by itself for an hour.
    server.start_again(&["--tokens", file.to_str().unwrap(), "--heartbeat", "3600"]);
    let mut socket = server.socket("/v1/socket", &[("authorization", &writer)]).unwrap();
    socket.say(&put("d", "e", 1));
    assert!(socket.text()["committed"].is_object());
    retoken(&file, &keeps);
    let entity = |bearer: &str| server.request("GET", "/v1/datasets/d/entities/e", &[("authorization", bearer)], None);
    let begun = Instant::now();
    while entity(&writer).status != 401 {
        assert!(begun.elapsed() < PATIENCE, "the tokens are not read again");
    }
    socket.say(&put("d", "e", 2));
    match socket.hear() {
        Heard::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Policy),
        other => panic!("{other:?}"),
    }
    assert_eq!(entity(&keeper).ok(), 1, "nothing more was written");
}

#[test]
fn hostile_messages_are_refused_and_the_socket_lives() {
    let server = Server::start(&["--body-bytes", "100000"]);
    let mut socket = server.socket("/v1/socket", &[]).unwrap();
    let deep = "[".repeat(50_000);
    for text in ["", "{", "null", "\u{0}", "{\"subscribe\":1}", "{\"commit\":[],\"ref\":{}}", &deep] {
        socket.0.send(Message::text(text)).unwrap();
        let answer = socket.text();
        assert_eq!(answer["failed"]["problem"]["kind"], "invalid", "{answer}");
    }
    socket.0.send(Message::binary(vec![1, 2, 3])).unwrap();
    assert_eq!(socket.text()["failed"]["problem"]["kind"], "invalid");
    for n in 0..4097 {
        subscribe(&mut socket, &format!("d{n}"));
        let answer = socket.text();
        let expected = if n < 4096 { "changes" } else { "failed" };
        assert!(answer[expected].is_object(), "{n}: {answer}");
    }
    socket.say(&put("d4000", "e", 1));
    let both: BTreeSet<String> =
        (0..2).map(|_| socket.text().as_object().unwrap().keys().next().unwrap().clone()).collect();
    assert_eq!(both, BTreeSet::from(["changes".to_owned(), "committed".to_owned()]));
    socket.0.send(Message::text("x".repeat(100_001))).unwrap();
    match socket.hear() {
        Heard::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Size),
        other => panic!("{other:?}"),
    }
    server.get("/v1/socket").problem(400, "invalid");
    assert_eq!(server.socket("/v1/socket?since=1", &[]).err(), Some(400));
}

#[test]
fn it_ends_well_when_the_server_stops() {
    let mut server = Server::start(&[]);
    let mut sockets: Vec<Socket> = (0..10).map(|_| server.socket("/v1/socket", &[]).unwrap()).collect();
    for (n, socket) in sockets.iter_mut().enumerate() {
        subscribe(socket, "d");
        socket.text();
        for entity in 0..50 {
            socket.say(&put("d", &format!("e{n}-{entity}"), entity));
        }
    }
    server.tell_to_stop();
    let mut committed = 0;
    for mut socket in sockets {
        loop {
            match socket.hear() {
                Heard::Text(text) => committed += usize::from(text["committed"].is_object()),
                Heard::Close(Some(frame)) => {
                    assert_eq!(frame.code, CloseCode::Away);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let begun = Instant::now();
    assert!(server.wait().success());
    assert!(begun.elapsed() < PATIENCE);
    server.start_again(&[]);
    let there = server.get("/v1/datasets/d/changes?limit=10000");
    let there = if there.status == 404 { 0 } else { there.ok()["entries"].as_array().unwrap().len() };
    assert!(there >= committed, "{committed} were acknowledged, {there} are there");
}
