//! What a body costs while it comes, and what it is made into.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Server, peak, put};

/// A body of 15 MB that would become some hundreds if the whole list were taken.
fn many(field: &str, element: &str) -> String {
    let element = format!("{element},");
    format!("{{\"{field}\":[{}{}]}}", element.repeat(15_000_000 / element.len()), element.trim_end_matches(','))
}

#[test]
fn lists_are_read_no_further_than_to_their_bound() {
    let server = Server::start();
    let before = peak(server.pid());
    let post = |target: &str, body: String| server.post(target, body);
    for (answer, most) in [
        (post("/v1/sync", many("datasets", "{}")), "65536"),
        (post("/v1/datasets/d/get", many("entities", "\"\"")), "10000"),
        (server.request("PUT", "/v1/groups/g").json(many("datasets", "\"\"")).answer(), "4096"),
    ] {
        let problem = answer.problem(400, "invalid");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(most)), "{problem}");
    }
    // A list of maps without a length.
    let mut cbor = b"\xa1\x68datasets\x9f".to_vec();
    cbor.resize(15_000_000, 0xa0);
    cbor.push(0xff);
    let sent = server.request("POST", "/v1/sync").header("content-type", "application/cbor").body(cbor);
    let problem = sent.answer().problem(400, "invalid");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("65536")), "{problem}");
    // The body itself is there twice as it grows.
    let grown = peak(server.pid()) - before;
    assert!(grown < 120 << 20, "{} MiB", grown >> 20);
}

#[test]
fn waits_for_many_datasets_leave_the_memory_for_bodies_to_bodies() {
    // Room for the bodies of two such waits, and for two of the waits.
    let server = Server::start_with(&["--body-memory", "500000", "--wait-memory", "1300000"]);
    server.commit(put("d", "e", "1"));
    let datasets: Vec<_> = (0..1000).map(|n| json!({"dataset": format!("d{n}"), "since": "head"})).collect();
    let body = json!({"datasets": datasets, "wait": 60}).to_string();
    let largest = |status| {
        let entity = server.request("PUT", "/v1/datasets/d/entities/e").body(vec![0; 490_000]).answer();
        assert_eq!(entity.status, status, "{entity:?}");
    };
    let until_waiting = |waits: u64| {
        while server.get("/v1/store").ok()["server"]["waits"] != waits {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        let wait = || scope.spawn(|| server.post("/v1/sync", &body).ok());
        let waiting = [wait(), {
            until_waiting(1);
            wait()
        }];
        until_waiting(2);
        largest(200);
        // What waits is bounded by itself.
        let refused = server.post("/v1/sync", &body);
        refused.problem(503, "busy");
        assert!(refused.header("retry-after").is_some());
        server.commit(put("d7", "e", "1"));
        for waiting in waiting {
            assert_eq!(waiting.join().expect("it is answered")["datasets"][7]["status"], "page");
        }
    });
    until_waiting(0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.post("/v1/sync", &body).ok());
        until_waiting(1);
        server.commit(put("d8", "e", "1"));
        assert_eq!(waiting.join().expect("it is answered")["datasets"][8]["status"], "page");
    });
}

/// A request whose body comes in pieces of so many bytes, each a little after the one before; the status.
fn in_pieces(server: &Server, pieces: usize, bytes: usize) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("it connects");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout can be set");
    let length = pieces * bytes;
    let head = format!("PUT /v1/datasets/d/entities/e HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it is sent");
    let began = Instant::now();
    for _ in 0..pieces {
        // After an answer nobody takes it.
        let _ = stream.write_all(&vec![b'1'; bytes]);
        let mut answer = [0; 12];
        if let Ok(12) = stream.read(&mut answer) {
            return String::from_utf8_lossy(&answer[9..]).into_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it is waited for without end");
    }
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[test]
fn a_body_that_trickles_in_is_not_waited_for_and_a_slow_one_is() {
    let server = Server::start_with(&["--patience", "1"]);
    assert_eq!(in_pieces(&server, 1000, 1), "408");
    // For longer than the patience, but at a rate that gets there.
    assert_eq!(in_pieces(&server, 12, 64 << 10), "201");
}
