//! When the client tries again, and what it sends then; against a server that answers as the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidelog::Batch;
use tidelog::client::{Client, Error};

const DONE: &str = r#"{"first":"7","last":"7","time":5,"repeated":false}"#;

/// Gives these answers, one for each connection, and returns the requests. An empty answer hangs up.
fn answer(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let serve = move || {
        let one = |answer: String| {
            let (mut stream, _) = listener.accept().expect("a client");
            let request = request(&stream);
            stream.write_all(answer.as_bytes()).expect("the answer is sent");
            request
        };
        answers.into_iter().map(one).collect()
    };
    (url, std::thread::spawn(serve))
}

/// One request: its head and its body.
fn request(stream: &TcpStream) -> String {
    let (mut reader, mut head) = (BufReader::new(stream), String::new());
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).expect("a head"), 0, "it ends: {head}");
    }
    let lower = head.to_lowercase();
    let length =
        lower.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().expect("n"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    head + &String::from_utf8(body).expect("text")
}

fn with(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn problem(status: &str, kind: &str) -> String {
    with(status, "retry-after: 1\r\n", &format!(r#"{{"kind":"{kind}","status":503,"detail":"so it is"}}"#))
}

fn patient(url: &str) -> Client {
    Client::builder(url).retry_for(Duration::from_secs(30)).build().expect("a client")
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let head = request.split("\r\n\r\n").next()?;
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)))
        .map(|(_, value)| value)
}

#[test]
fn the_same_write_is_sent_until_it_is_answered() {
    let torn = with("200 OK", "", DONE);
    let torn = torn[..torn.len() - 9].to_owned();
    let (url, server) = answer(vec![String::new(), torn, String::new(), with("200 OK", "", DONE)]);
    let commit = patient(&url).put("d", "e", "payload").expect("a commit");
    assert_eq!(commit.last.get(), 7);
    let requests = server.join().expect("the server");
    assert!(requests.iter().all(|request| request == &requests[0]), "{requests:?}");
    assert!(header(&requests[0], "idempotency-key").is_some_and(|id| id.len() == 32));
    assert!(
        requests[0].starts_with("PUT /v1/datasets/d/entities/e HTTP/1.1\r\n")
            && requests[0].ends_with("\r\n\r\npayload")
    );
}

#[test]
fn a_server_says_when_to_come_back() {
    let (url, server) = answer(vec![problem("503 Service Unavailable", "busy"), with("200 OK", "", DONE)]);
    let mut batch = Batch::new();
    batch.delete("d", "e").idempotency_id("mine");
    let began = Instant::now();
    patient(&url).commit(&batch).expect("a commit");
    assert!(began.elapsed() >= Duration::from_secs(1), "it waited as long as it was told");
    let requests = server.join().expect("the server");
    assert_eq!(requests[0], requests[1]);
    assert!(requests[0].ends_with(r#"{"changes":[{"dataset":"d","op":"delete","entity":"e"}],"id":"mine"}"#));
}

#[test]
fn trying_ends() {
    let (url, server) = answer(vec![problem("503 Service Unavailable", "busy")]);
    let client = Client::builder(&url).retry_for(Duration::from_millis(900)).build().expect("a client");
    match client.get("d", "e") {
        Err(Error::Unavailable { what, retry_after }) => {
            assert_eq!((what.as_str(), retry_after), ("so it is", Some(Duration::from_secs(1))));
        }
        other => panic!("{other:?}"),
    }
    server.join().expect("the server");
    // Nobody listens any more.
    assert!(matches!(client.get("d", "e"), Err(Error::Unavailable { retry_after: None, .. })));
}

#[test]
fn what_will_not_pass_is_told_at_once() {
    let outcomes: Vec<String> = [
        problem("403 Forbidden", "forbidden"),
        problem("422 Unprocessable Content", "idempotency_mismatch"),
        problem("500 Internal Server Error", "damaged"),
        problem("410 Gone", "stale_trimmed"),
        with("404 Not Found", "", "<html>a proxy's page</html>"),
        with("200 OK", "", "no commit"),
        with("301 Moved Permanently", "location: /elsewhere\r\n", ""),
    ]
    .to_vec();
    let (url, server) = answer(outcomes);
    let client = patient(&url);
    let refuse = || client.put("d", "e", "1").expect_err("it fails");
    assert!(matches!(refuse(), Error::Denied(_)));
    assert!(matches!(refuse(), Error::Refused(_)));
    assert!(matches!(refuse(), Error::Failed(_)));
    assert!(matches!(refuse(), Error::Stale(problem) if problem.retry_after == Some(Duration::from_secs(1))));
    assert!(matches!(refuse(), Error::Unexpected { .. }));
    assert!(matches!(refuse(), Error::Unexpected { .. }));
    assert!(matches!(refuse(), Error::Unexpected { .. }));
    assert_eq!(server.join().expect("the server").len(), 7);
}

#[test]
fn what_a_client_is_told_to_send_it_sends() {
    let (url, server) =
        answer(vec![with("200 OK", "", DONE), with("200 OK", "etag: \"7\"\r\ntidelog-time: 5\r\n", "x")]);
    let client =
        Client::builder(&format!("{url}/behind/a/proxy/")).token("secret").origin("phone").build().expect("a client");
    client.delete_if("a/b", "\u{fc}", tidelog::Expect::At(7.into())).expect("a commit");
    let stored = client.get("a/b", [0xff]).expect("an answer").expect("the entity");
    assert_eq!((stored.key.get(), &stored.payload[..], stored.time_ms, stored.origin), (7, &b"x"[..], 5, None));
    let requests = server.join().expect("the server");
    assert!(
        requests[0].starts_with("DELETE /behind/a/proxy/v1/datasets/a%2Fb/entities/%C3%BC HTTP/1.1\r\n"),
        "{requests:?}"
    );
    assert!(requests[1].starts_with("GET /behind/a/proxy/v1/datasets/a%2Fb/entities/%FF HTTP/1.1\r\n"), "{requests:?}");
    assert_eq!(header(&requests[0], "if-match"), Some("\"7\""));
    assert_eq!(header(&requests[0], "tidelog-origin"), Some("phone"));
    assert!(requests.iter().all(|request| header(request, "authorization") == Some("Bearer secret")));
}
