//! Readers that take one byte a second, of every kind, beside readers that read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{PATIENCE, Server};

/// Of each kind: answers, streams of events, sockets.
const SLOW: usize = 10;
const COMMITS: usize = 60;
const PAYLOAD: usize = 200_000;
/// From before a commit until three readers have it. It is some milliseconds if nobody is in the way; who waited for the
/// slow ones would wait for the patience of three seconds.
const PROMPT: Duration = Duration::from_secs(1);
/// What there is for pages, the store's own memory, and some for the connections and the allocator. If each slow reader was
/// kept what it does not take, that would be more than 300 MiB.
const MOST_BYTES: u64 = (32 + 32 + 32) << 20;

/// A connection with this request on it, so often.
fn asks(server: &Server, path: &str, times: usize) -> TcpStream {
    let host = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").repeat(times).as_bytes()).unwrap();
    stream
}

/// The connections of readers of each kind, who have asked for all that there is and will be.
fn slow_readers(server: &Server) -> Vec<TcpStream> {
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        // More than the system takes in its stead.
        slow.push(asks(server, "/v1/datasets/d/changes?since=oldest", 8));
        slow.push(asks(server, "/v1/datasets/d/events?since=oldest", 1));
        let mut socket = server.socket("/v1/socket", &[]).unwrap();
        socket.say(&json!({"subscribe": {"dataset": "d", "since": "oldest"}}));
        slow.push(socket.0.get_ref().try_clone().unwrap());
    }
    slow
}

/// Takes a byte a second from each, until it is over.
fn trickle(slow: &mut [TcpStream], over: &AtomicBool) {
    for stream in slow.iter() {
        stream.set_nonblocking(true).unwrap();
    }
    while !over.load(Ordering::Relaxed) {
        for stream in slow.iter_mut() {
            // There is none if it has nothing to read now, or was cut off.
            let _ = stream.read(&mut [0]);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn entities(page: &Value) -> Vec<&str> {
    crate::support::texts(&page["entries"], "entity")
}

/// Commits, and reads each commit as three kinds of clients do; the longest that one took to reach all of them.
fn serve_others(server: &Server) -> Duration {
    let mut events = server.events("/v1/datasets/d/events?since=head", &[]);
    let mut cursor = events.next().id;
    let mut socket = server.socket("/v1/socket", &[]).unwrap();
    socket.say(&json!({"subscribe": {"dataset": "d", "since": "head"}}));
    socket.text();
    let payload = "x".repeat(PAYLOAD);
    let mut longest = Duration::ZERO;
    for n in 0..COMMITS {
        let (entity, began) = (format!("e{n}"), Instant::now());
        server.write("d", &entity, &payload);
        assert_eq!(entities(&events.next().data), [&*entity]);
        assert_eq!(entities(&socket.text()["changes"]), [&*entity]);
        let page = server.get(&format!("/v1/datasets/d/changes?since={cursor}&wait=20")).ok();
        assert_eq!(entities(&page), [&*entity]);
        cursor = page["page"]["next"].as_str().unwrap().to_owned();
        longest = longest.max(began.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    longest
}

#[test]
fn who_reads_a_byte_a_second_hurts_nobody() {
    let server = Server::start(&[
        "--full-syncs",
        "1000",
        "--patience",
        "3",
        "--page-memory",
        &(32 << 20).to_string(),
        "--page-bytes",
        "1000000",
    ]);
    for n in 0..5 {
        server.write("d", &format!("first{n}"), &"x".repeat(PAYLOAD));
    }
    let connections = || server.get("/v1/store").ok()["server"]["connections"].as_u64().unwrap();
    let (alone, (_, before)) = (connections(), server.memory());
    let mut slow = slow_readers(&server);
    assert_eq!(connections(), alone + 3 * SLOW as u64);
    let (over, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let longest = std::thread::scope(|scope| {
        scope.spawn(|| trickle(&mut slow, &over));
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(server.memory().1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let longest = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve_others(&server)));
        // They are cut off, though they never hang up.
        let began = Instant::now();
        while longest.is_ok() && connections() > alone && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
        longest.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let grown = most.load(Ordering::Relaxed).saturating_sub(before);
    eprintln!("others had a commit after {longest:?} at most; {} MiB above {} MiB", grown >> 20, before >> 20);
    assert_eq!(connections(), alone, "slow readers are still connected");
    assert!(longest < PROMPT, "{longest:?}");
    assert!(grown < MOST_BYTES, "{} MiB", grown >> 20);
}
