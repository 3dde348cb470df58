use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::json;

use crate::support::{Server, resident};

/// Clients that ask for pages much larger than expected, and do not read them: what they hold together stays within the
/// memory for pages, and those that read are served once these are cut off.
#[test]
fn clients_that_do_not_read_hold_no_more_than_there_is_for_pages() {
    let memory = ["--page-memory", "16777216", "--full-syncs", "1000"];
    let server = Server::start_with(&[&memory[..], &["--page-bytes", "1000000", "--patience", "2"]].concat());
    let entity = "/v1/datasets/d/entities/e";
    assert_eq!(server.request("PUT", entity).body(vec![0; 8 << 20]).answer().status, 201);
    let page = "/v1/datasets/d/changes?since=oldest";
    let grown = unread(&server, |n| get(if n % 2 == 0 { entity } else { page }));
    // A hundred pages of eleven megabytes would be a gigabyte. What is freed goes back to the system late, so twice the option.
    assert!(grown < 32 << 20, "{} MiB", grown >> 20);
    assert_eq!(server.get(entity).body.len(), 8 << 20);
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

/// What a hundred of these requests, of which nobody reads the answers, take at most beyond what there was.
fn unread(server: &Server, request: impl Fn(usize) -> String) -> u64 {
    let before = resident(server.pid());
    let slow: Vec<TcpStream> = (0..100)
        .map(|n| {
            let mut stream = TcpStream::connect(server.address()).expect("it connects");
            let request = request(n);
            // Who is not let in with a long one is cut off amid it.
            let sent = stream.write_all(request.as_bytes());
            assert!(sent.is_ok() || request.len() > 64 << 10, "{sent:?}");
            stream
        })
        .collect();
    let (mut most, began) = (before, Instant::now());
    while began.elapsed() < Duration::from_secs(5) {
        most = most.max(resident(server.pid()));
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(slow);
    most - before
}

/// Names, origins and problems are written longer than they are: up to six bytes for one.
#[test]
fn answers_take_leave_for_all_that_is_written() {
    let memory = ["--page-memory", "8388608", "--body-memory", "16777216"];
    let server = Server::start_with(&[&memory[..], &["--page-bytes", "1000000", "--patience", "2"]].concat());
    let odd = |n: usize| format!("{n:05}{}", "\u{1}".repeat(500));
    let datasets: Vec<String> = (0..2000).map(odd).collect();
    let list = json!({"datasets": datasets}).to_string();
    assert_eq!(server.request("PUT", "/v1/groups/g").json(&list).answer().status, 201);
    let change = |n| json!({"dataset": "d", "op": "put", "entity": odd(n), "payload": 1});
    for first in [0, 1000, 2000] {
        let changes: Vec<_> = (first..first + 1000).map(change).collect();
        server.commit(json!({"changes": changes, "origin": "\u{1}".repeat(255)}));
    }
    let name = |n: usize| base64::engine::general_purpose::STANDARD.encode(odd(n));
    let asked: Vec<_> = (0..500).map(|n| json!({"dataset_base64": name(n)})).collect();
    let asked = json!({"datasets": asked, "bytes": 0}).to_string();
    let post = format!(
        "POST /v1/sync HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{asked}",
        asked.len()
    );
    for (what, request) in [
        ("a list", get("/v1/groups/g")),
        ("many datasets", post),
        ("names", get("/v1/datasets/d/tags?limit=10000")),
        ("origins", get("/v1/timelines/d?limit=10000")),
    ] {
        let grown = unread(&server, |_| request.clone());
        // A hundred of each are 200 MB and more. What is freed goes back to the system late, and bodies are held besides.
        assert!(grown < 100 << 20, "{what}: {} MiB", grown >> 20);
    }
    // What would be larger than all answers may be is refused and not begun.
    let many: Vec<_> = (0..4000).map(|n| json!({"dataset_base64": name(n)})).collect();
    server.post("/v1/sync", json!({"datasets": many})).problem(413, "too_large");
    let many: Vec<_> = (0..4000).map(|n| json!({"base64": name(n)})).collect();
    let put = server.request("PUT", "/v1/groups/large").json(json!({"datasets": many}).to_string()).answer();
    put.problem(413, "too_large");
    let sync = server.request("POST", "/v1/groups/g/sync").json(json!({"device": "phone"})).answer();
    assert_eq!(sync.ok()["datasets"].as_array().map(Vec::len), Some(2000), "that which is there is read");
}
