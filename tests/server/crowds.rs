use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Server, exchange, put, resident};

const CLIENTS: usize = 500;
const ENTITIES: usize = 1000;
/// What a client that does not read has asked for.
const REQUESTS: usize = 4;

/// Clients that have all gone stale come back at once: each is told so, reads everything anew, some after having been
/// turned away for a while, and ends with exactly what there is. The server's memory stays within its options.
#[test]
fn a_crowd_of_stale_clients_recovers_within_the_servers_memory() {
    // Everything is replaced several times, and only the newest is kept.
    let text = |n: usize| format!("\"{n} {}\"", "x".repeat(4000));
    let lines: Vec<String> = (0..3 * ENTITIES).map(|n| put("d", &format!("e{}", n % ENTITIES), &text(n))).collect();
    let gone: Vec<String> = (0..100)
        .flat_map(|n| [put("d", &format!("g{n}"), "1"), format!(r#"{{"dataset":"d","op":"delete","entity":"g{n}"}}"#)])
        .collect();
    let import = [gone, lines].concat().join("\n");
    let trim = ["retention", "set", "d", "--history-entries", "0", "--tombstone-entries", "0"];
    let server = Server::prepared(&[&trim, &["compact", "--grace", "0s"]], &import);
    let (most, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let turned_away = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(resident(server.pid()), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| recover(&server, &turned_away))).collect();
        for client in clients {
            let state = client.join().expect("a client recovers");
            assert_eq!(state.len(), ENTITIES);
            for (at, (entity, n)) in state.iter().enumerate() {
                assert!(at < ENTITIES && *n == 2 * ENTITIES + entity, "e{entity} is at {n}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let most = most.load(Ordering::Relaxed) >> 20;
    println!("{} answers of 503, {most} MiB at most", turned_away.load(Ordering::Relaxed));
    // The store's memory, that for pages, and the process itself.
    assert!(most < 256 + 64 + 64, "{most} MiB");
}

/// What a stale client does: it hears that it is, and begins anew, as often as it is turned away.
fn recover(server: &Server, turned_away: &AtomicU64) -> BTreeMap<usize, usize> {
    let stale = server.get("/v1/datasets/d/changes?since=10");
    stale.problem(410, "stale_trimmed");
    assert!(stale.header("retry-after").is_some() && stale.header("link").is_some_and(|link| link.contains("restart")));
    let mut state = BTreeMap::new();
    let mut since = "start".to_owned();
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(120), "it is turned away for ever");
        let answer = server.get(&format!("/v1/datasets/d/changes?since={since}&limit=500"));
        if answer.status == 503 {
            turned_away.fetch_add(1, Ordering::Relaxed);
            let after: u64 = answer.header("retry-after").and_then(|after| after.parse().ok()).expect("when to return");
            // In a hurry: a tenth of what it is asked to wait.
            std::thread::sleep(Duration::from_millis(after * 100));
            continue;
        }
        let page = answer.ok();
        for entry in page["entries"].as_array().expect("there are entries") {
            let number = |text: &str| text.split(' ').next().and_then(|n| n.parse::<usize>().ok()).expect("a number");
            let entity = entry["entity"].as_str().map(|entity| number(&entity[1..])).expect("an entity");
            state.insert(entity, entry["payload"].as_str().map(number).expect("a payload"));
        }
        since = page["page"]["next"].as_str().expect("a cursor").to_owned();
        if page["page"]["more"] == false {
            return state;
        }
    }
}

/// A client that takes one byte now and then is cut off, and nobody else waits for it.
#[test]
fn a_client_that_reads_a_byte_at_a_time_hurts_nobody() {
    let server = Server::start_with(&["--patience", "2"]);
    assert_eq!(server.request("PUT", "/v1/datasets/d/entities/large").body(vec![b'x'; 12 << 20]).answer().status, 201);
    // As many as there is memory for at once: more would wait for these to be cut off.
    let slow: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).expect("it connects");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
            let request = "GET /v1/datasets/d/entities/large HTTP/1.1\r\nhost: localhost\r\n\r\n";
            // More than the kernel takes in its stead.
            stream.write_all(request.repeat(REQUESTS).as_bytes()).expect("it is sent");
            std::thread::spawn(move || {
                let (mut byte, began) = ([0], Instant::now());
                while began.elapsed() < Duration::from_secs(8) {
                    match stream.read(&mut byte) {
                        Ok(0) | Err(_) => return true,
                        Ok(_) => std::thread::sleep(Duration::from_millis(200)),
                    }
                }
                // Cut off: what the kernel holds for it can still be read, and then it ends.
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).is_err() || rest.len() < REQUESTS * (12 << 20)
            })
        })
        .collect();
    for n in 0..200 {
        let entity = format!("/v1/datasets/d/entities/e{n}");
        assert_eq!(server.request("PUT", &entity).body(n.to_string()).answer().status, 201);
        assert_eq!(server.get(&entity).text(), n.to_string());
    }
    for client in slow {
        assert!(client.join().expect("it ends"), "a client that does not read was served to the end");
    }
    server.stop();
}

/// In how many ways a request is wrong here.
const WAYS: usize = 20;
/// The largest body that the server takes of these.
const BODY: usize = 64 << 10;

/// A request that is wrong in the way that its number says; the status, and what it must be.
fn wrong(server: &Server, n: usize) -> (u16, u16) {
    let with = |method: &str, target: &str| server.request(method, target).token("right");
    let raw = |request: &str| exchange(server.address(), request.as_bytes(), false).status;
    let cbor = |body: &[u8]| with("POST", "/v1/commits").header("content-type", "application/cbor").body(body);
    let put =
        "PUT /v1/datasets/d/entities/e HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer right";
    match n % WAYS {
        // Who asks.
        0 => (server.request("GET", "/v1/datasets").token("wrong").answer().status, 401),
        1 => (server.get("/v1/datasets/d/changes").status, 401),
        2 => (server.request("POST", "/v1/commits").token("wrong").body(vec![0; 1000]).answer().status, 401),
        3 => (with("DELETE", "/v1/datasets/d").answer().status, 403),
        // Too large: a body that says so, with nothing of it sent; one that does not say so; heads and
        // targets; and a body that is sent.
        4 => (raw(&format!("{put}\r\ncontent-length: {}\r\n\r\n", BODY + 1)), 413),
        5 => {
            let chunks = format!("1000\r\n{}\r\n", "x".repeat(0x1000)).repeat(BODY / 0x1000 + 1);
            (raw(&format!("{put}\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")), 413)
        }
        6 => (with("GET", "/v1/datasets").header("x-large", &"x".repeat(70_000)).answer().status, 431),
        7 => {
            let sent = (0..100).fold(with("GET", "/v1/datasets"), |sent, n| sent.header(&format!("x-{n}"), "1"));
            (sent.answer().status, 431)
        }
        8 => (with("GET", &format!("/v1/datasets/{}", "x".repeat(17_000))).answer().status, 414),
        9 => (with("GET", &format!("/v1/datasets/{}", "x".repeat(70_000))).answer().status, 431),
        10 => (with("PUT", "/v1/datasets/d/entities/e").body(vec![0; 4 * BODY]).answer().status, 413),
        // What cannot be read.
        11 => (with("POST", "/v1/commits").json("{\"changes\":[").answer().status, 400),
        12 => (with("POST", "/v1/commits").json("[".repeat(5000)).answer().status, 400),
        13 => (cbor(b"\xa1\x67changes\x9f").answer().status, 400),
        14 => (cbor(&[0x81; 5000]).answer().status, 400),
        15 => (raw("\x16\x03\x01 nonsense\r\n\r\n"), 400),
        // What there is not, or cannot be.
        16 => (with("GET", &format!("/v1/datasets/d/changes?since=c{}", "A".repeat(n % 200))).answer().status, 410),
        17 => (with("PUT", &format!("/v1/datasets/d/entities/{}", "e".repeat(1100))).body("1").answer().status, 400),
        18 => (with("PUT", "/v1/datasets/%00d/entities/e").body("1").answer().status, 400),
        _ => (with("POST", &format!("/v1/{}", "x".repeat(n % 100))).answer().status, 404),
    }
}

/// Requests that are wrong in every way, each by the thousand: each is answered with what is wrong, and none leaves
/// anything behind.
#[test]
fn thousands_of_wrong_requests_are_refused_in_flat_memory() {
    let server = Server::with_tokens_and(&[("right", "write")], &["--body-bytes", &BODY.to_string()]);
    let run = |from: usize, to: usize| {
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let server = &server;
                scope.spawn(move || {
                    for n in (from + thread..to).step_by(8) {
                        let (status, expected) = wrong(server, n);
                        assert_eq!(status, expected, "request {n}, of way {}", n % WAYS);
                    }
                });
            }
        });
    };
    let (first, all, began) = (100 * WAYS, 1100 * WAYS, Instant::now());
    run(0, first);
    let before = resident(server.pid());
    run(first, all);
    let after = resident(server.pid());
    println!(
        "{all} in {:.1?}; {} KiB before, {} KiB after the last {}",
        began.elapsed(),
        before >> 10,
        after >> 10,
        all - first,
    );
    assert!(after < before + (24 << 20), "{} MiB more", (after - before) >> 20);
    assert_eq!(server.request("GET", "/v1/datasets").token("right").answer().ok()["datasets"], serde_json::json!([]));
    server.stop();
}
