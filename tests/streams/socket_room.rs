//! What sockets take of what there is for all: memory for commits, and places among those who read everything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{Heard, PATIENCE, Server, Socket};

/// A commit of so many bytes, about.
fn commit(bytes: usize, reference: usize) -> Value {
    json!({"commit": {"dataset": "d", "op": "put", "entity": "e", "payload": "x".repeat(bytes)}, "ref": reference})
}

fn answered(socket: &mut Socket, message: &Value) -> String {
    socket.say(message);
    let answer = socket.text();
    assert_eq!(answer["ref"], message["ref"], "{answer}");
    match answer["failed"]["problem"]["kind"].as_str() {
        Some(kind) => kind.to_owned(),
        None => {
            assert!(answer["committed"]["last"].is_string(), "{answer}");
            "committed".to_owned()
        }
    }
}

/// A request of which all but the last byte is sent.
fn begin_a_body(server: &Server) -> TcpStream {
    let host = server.url.strip_prefix("http://").unwrap();
    let mut body = TcpStream::connect(host).unwrap();
    body.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("PUT /v1/datasets/d/entities/e HTTP/1.1\r\nHost: {host}\r\nContent-Length: 95000\r\n\r\n");
    body.write_all(head.as_bytes()).unwrap();
    // One that is refused is not read to its end.
    let _refused = body.write_all(&[b'1'; 94_999]);
    body
}

#[test]
fn commits_of_a_socket_and_bodies_share_one_room() {
    let server = Server::start(&["--body-memory", "100000"]);
    let mut socket = server.socket("/v1/socket", &[]).unwrap();
    // Many changes become more than the text that they are.
    let change = json!({"dataset": "d", "op": "put", "entity": "e", "payload": 1});
    let many = json!({"commit": {"changes": vec![change; 1000]}, "ref": 1});
    assert!(many.to_string().len() < 60_000);
    assert_eq!(answered(&mut socket, &many), "busy");
    assert_eq!(answered(&mut socket, &commit(20_000, 2)), "committed");

    // A body that has come in part takes nearly all of it, once it has come.
    let begun = Instant::now();
    let mut body = loop {
        let body = begin_a_body(&server);
        std::thread::sleep(Duration::from_millis(20));
        if answered(&mut socket, &commit(20_000, 3)) == "busy" {
            break body;
        }
        assert!(begun.elapsed() < PATIENCE, "it never takes the room");
    };
    body.write_all(b"1").unwrap();
    let mut status = [0; 12];
    body.read_exact(&mut status).unwrap();
    assert_eq!(&status[9..], b"200");
    let begun = Instant::now();
    while answered(&mut socket, &commit(20_000, 4)) != "committed" {
        assert!(begun.elapsed() < PATIENCE, "it never gives the room back");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_many_sockets_commit_at_once_stays_within_the_memory_for_bodies() {
    const SOCKETS: usize = 32;
    const EACH: usize = 20;
    let server = Server::start(&["--body-memory", "2000000"]);
    let mut sockets: Vec<Socket> = (0..SOCKETS).map(|_| server.socket("/v1/socket", &[]).unwrap()).collect();
    let (mut committed, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        let working: Vec<_> = sockets
            .iter_mut()
            .map(|socket| {
                scope.spawn(move || {
                    // 64 MB in all, of which two may be there at once.
                    let text = commit(100_000, 1).to_string();
                    (0..EACH).for_each(|_| socket.0.write(Message::text(text.clone())).unwrap());
                    socket.0.flush().unwrap();
                    let kinds = (0..EACH).map(|_| {
                        let answer = socket.text();
                        answer["failed"]["problem"]["kind"].as_str().unwrap_or("committed").to_owned()
                    });
                    kinds.collect::<Vec<_>>()
                })
            })
            .collect();
        for kind in working.into_iter().flat_map(|working| working.join().unwrap()) {
            match kind.as_str() {
                "committed" => committed += 1,
                "busy" => refused += 1,
                other => panic!("{other}"),
            }
        }
    });
    eprintln!("{committed} committed, {refused} refused");
    assert!(committed > 0 && refused > 0, "{committed} committed, {refused} refused");
    // All of it is given back.
    let body = "x".repeat(1_900_000);
    server.request("PUT", "/v1/datasets/d/entities/e", &[], Some(&json!(body))).ok();
}

/// Begins a message of 1,000,000 bytes, and sends 900,000 of them.
fn begin_a_message(socket: &mut Socket) {
    let stream = socket.0.get_mut();
    let mut frame = vec![0x81, 0xff];
    frame.extend_from_slice(&1_000_000_u64.to_be_bytes());
    // A mask that changes nothing.
    frame.extend_from_slice(&[0; 4]);
    frame.resize(frame.len() + 900_000, b' ');
    // A server that refuses does not read to the end.
    let _refused = stream.write_all(&frame);
}

#[test]
fn messages_that_are_under_way_take_no_more_memory_than_there_is() {
    let server = Server::start(&["--wait-memory", "8000000"]);
    let mut small = server.socket("/v1/socket", &[]).unwrap();
    assert_eq!(answered(&mut small, &commit(1000, 1)), "committed");
    let (_, before) = server.memory();
    let mut sockets: Vec<Socket> = (0..100).map(|_| server.socket("/v1/socket", &[]).unwrap()).collect();
    sockets.iter_mut().for_each(begin_a_message);
    let mut ended = 0;
    for socket in &mut sockets {
        socket.0.get_ref().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        match socket.0.read() {
            Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(Message::Close(frame)) => {
                assert_eq!(frame.unwrap().code, CloseCode::Again);
                ended += 1;
            }
            // What it did not read any more makes a reset of the end.
            Err(_) => ended += 1,
            Ok(other) => panic!("{other}"),
        }
    }
    let (_, after) = server.memory();
    eprintln!("{ended} ended; {} KB before, {} KB after", before >> 10, after >> 10);
    assert!((80..100).contains(&ended), "{ended} of 100 were ended");
    assert!(after < before + (40 << 20), "{before} {after}");
    // Who needs little is served meanwhile, and what the others had can be had again.
    assert_eq!(answered(&mut small, &commit(1000, 2)), "committed");
    drop(sockets);
    let begun = Instant::now();
    loop {
        let mut socket = server.socket("/v1/socket", &[]).unwrap();
        let _refused = socket.0.send(Message::text(commit(900_000, 3).to_string()));
        match socket.hear() {
            Heard::Text(answer) => break assert!(answer["committed"].is_object(), "{answer}"),
            _ => assert!(begun.elapsed() < PATIENCE, "there is never room again"),
        }
    }
}

/// A server where one client may read everything at once, with little in one dataset and 20 MB in another, behind a key.
fn one_full_sync() -> (Server, String) {
    let server = Server::start(&["--full-syncs", "1"]);
    server.write("small", "e", "x");
    let payload = "x".repeat(200_000);
    let first = server.write("large", "first", "x");
    (0..100).for_each(|n| drop(server.write("large", &format!("e{n}"), &payload)));
    (server, first)
}

fn subscribe(socket: &mut Socket, dataset: &str, since: &str) {
    socket.say(&json!({"subscribe": {"dataset": dataset, "since": since}}));
}

/// The next page: of which dataset, and how many entries.
fn page(socket: &mut Socket) -> (String, usize) {
    let message = socket.text();
    let dataset = message["changes"]["dataset"].as_str().unwrap_or_else(|| panic!("{message}"));
    (dataset.to_owned(), message["changes"]["entries"].as_array().unwrap().len())
}

#[test]
fn a_socket_that_reads_everything_keeps_others_from_it_until_it_has() {
    let (server, _) = one_full_sync();
    let mut socket = server.socket("/v1/socket", &[]).unwrap();
    // Two at once are one client's.
    subscribe(&mut socket, "small", "start");
    subscribe(&mut socket, "large", "start");
    assert_eq!(page(&mut socket), ("small".into(), 1));
    let mut entries = page(&mut socket).1;
    server.get("/v1/datasets/small/changes?since=start").problem(503, "busy");
    while entries < 101 {
        entries += page(&mut socket).1;
    }
    let begun = Instant::now();
    while server.get("/v1/datasets/small/changes?since=start").status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it keeps its place");
    }
}

#[test]
fn a_socket_with_something_to_send_all_the_time_is_no_full_sync_for_that() {
    let (server, first) = one_full_sync();
    let mut socket = server.socket("/v1/socket", &[]).unwrap();
    subscribe(&mut socket, "large", &first);
    subscribe(&mut socket, "small", "start");
    while page(&mut socket).0 != "small" {}
    // The rest of 20 MB waits for a client that does not read: the socket is busy with it all the time.
    let small = || server.get("/v1/datasets/small/changes?since=start").status;
    let begun = Instant::now();
    while small() != 200 {
        assert!(begun.elapsed() < PATIENCE, "it keeps its place");
    }
    (0..50).for_each(|_| assert_eq!(small(), 200));
    let mut entries = 0;
    while entries < 50 {
        let (dataset, more) = page(&mut socket);
        assert_eq!(dataset, "large");
        entries += more;
    }
}

/// Follows `dataset` from the start to where it ends: how many bytes each page had as it was sent.
fn sizes_of_pages(socket: &mut Socket, dataset: &str) -> Vec<usize> {
    subscribe(socket, dataset, "start");
    let mut sizes = Vec::new();
    loop {
        match socket.0.read().expect("a page") {
            Message::Text(text) => {
                sizes.push(text.len());
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["changes"]["page"]["more"] == false {
                    return sizes;
                }
            }
            Message::Close(frame) => panic!("{dataset}: {frame:?}"),
            _ => {}
        }
    }
}

#[test]
fn pages_take_nothing_of_what_there_is_for_all_whatever_they_look_like_as_text() {
    let server = Server::start(&["--wait-memory", "50000"]);
    let put = |dataset: &str, entity: &str, payload: &str| json!({"dataset": dataset, "op": "put", "entity": entity, "payload_base64": payload});
    let commit = |changes: Vec<Value>| drop(server.post("/v1/commits", &json!({"changes": changes})).ok());
    // Names and numbers are most of it; or six characters for one; or four for three.
    commit((0..1000).map(|n| put("small", &format!("e{n}"), "MQ==")).collect());
    commit((0..100).map(|n| put("escaped", &format!("{n}{}", "\u{1}".repeat(300)), "MQ==")).collect());
    commit((0..10).map(|n| put("base64", &format!("e{n}"), &"/w".repeat(20_000))).collect());
    let mut sockets: Vec<Socket> = (0..4).map(|_| server.socket("/v1/socket", &[]).unwrap()).collect();
    for socket in &mut sockets {
        for dataset in ["small", "escaped", "base64"] {
            let sizes = sizes_of_pages(socket, dataset);
            assert!(sizes.iter().all(|size| *size <= 64 << 10), "{dataset}: {sizes:?}");
        }
    }
}

#[test]
fn each_page_of_much_is_read_once() {
    let server = Server::start(&[]);
    let payload = "x".repeat(200);
    for from in (0..5000).step_by(100) {
        let put = |n: usize| json!({"dataset": "d", "op": "put", "entity": format!("e{n:05}"), "payload": payload});
        server.post("/v1/commits", &json!({"changes": (from..from + 100).map(put).collect::<Vec<_>>()})).ok();
    }
    let read = || server.get("/v1/store").ok()["metrics"]["pages"].as_u64().unwrap();
    let before = read();
    let mut socket = server.socket("/v1/socket", &[]).unwrap();
    let sent = sizes_of_pages(&mut socket, "d").len() as u64;
    let read = read() - before;
    eprintln!("{read} pages read for {sent} sent");
    // The first is tried in place.
    assert!(read <= sent + 2, "{read} pages read for {sent} sent");
}
