//! What an idle client costs.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{PATIENCE, Server, Socket};

const CLIENTS: usize = 400;
/// Far above what is meant (20 kB), since memory is taken in steps: it finds a page or a large buffer that is kept.
const MOST_BYTES_EACH: u64 = 40_000;

/// A connection with this request on it, and nothing read.
fn asks(server: &Server, path: &str) -> TcpStream {
    let host = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    stream
}

/// Reads until all of this has come.
fn until(stream: &mut TcpStream, end: &[u8]) {
    let (mut all, mut buffer) = (Vec::new(), [0; 65_536]);
    while !all.ends_with(end) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "it goes on");
        all.extend_from_slice(&buffer[..read]);
    }
}

fn cost<T>(server: &Server, what: &str, client: impl Fn() -> T) -> Vec<T> {
    // The first ones pay for what all share.
    let mut clients: Vec<T> = (0..CLIENTS / 4).map(|_| client()).collect();
    let (_, before) = server.memory();
    clients.extend((0..CLIENTS).map(|_| client()));
    let (_, after) = server.memory();
    let each = after.saturating_sub(before) / CLIENTS as u64;
    eprintln!("{what}: {each} bytes each");
    assert!(each < MOST_BYTES_EACH, "{what}: {each} bytes each");
    clients
}

#[test]
fn idle_waiters_streams_and_sockets_are_cheap() {
    let server = Server::start(&["--waiters-per-client", "100000", "--max-wait", "600", "--heartbeat", "600"]);
    // A page of 500 kB, sent to each of them first.
    for n in 0..5 {
        server.write("d", &format!("e{n}"), &"x".repeat(100_000));
    }
    let waiting = "/v1/datasets/d/changes?since=head&wait=600";
    let waiters = cost(&server, "waiter", || asks(&server, waiting));
    let streams = cost(&server, "stream", || {
        let mut stream = asks(&server, "/v1/datasets/d/events");
        until(&mut stream, b"\n\n\r\n");
        stream
    });
    let sockets = cost(&server, "socket", || {
        let mut socket: Socket = server.socket("/v1/socket", &[]).unwrap();
        socket.say(&serde_json::json!({"subscribe": {"dataset": "d", "since": "head"}}));
        socket.text();
        socket
    });
    // All of them are there, and told.
    server.write("d", "new", "x");
    for mut stream in waiters.into_iter().chain(streams) {
        let mut first = [0; 16];
        stream.read_exact(&mut first).unwrap();
    }
    for mut socket in sockets {
        assert_eq!(socket.text()["changes"]["entries"][0]["entity"], "new");
    }
}
