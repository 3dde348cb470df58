use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Server, field, put};

fn until_waiting(server: &Server, waits: u64) {
    let began = Instant::now();
    while server.get("/v1/store").ok()["server"]["waits"] != waits {
        assert!(began.elapsed() < Duration::from_secs(30), "there are never {waits} waits");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_wait_ends_when_something_is_committed() {
    let server = Server::start();
    server.commit(put("d", "a", "1"));
    std::thread::scope(|scope| {
        let known = scope.spawn(|| server.get("/v1/datasets/d/changes?since=1&wait=30").ok());
        // One that does not exist may be waited for too.
        let new = scope.spawn(|| server.get("/v1/datasets/new/changes?wait=30").ok());
        until_waiting(&server, 2);
        server.commit(put("d", "b", "2"));
        assert_eq!(field(&known.join().expect("it is answered"), "key"), ["2"]);
        until_waiting(&server, 1);
        server.commit(put("new", "c", "3"));
        assert_eq!(field(&new.join().expect("it is answered"), "key"), ["3"]);
    });
    until_waiting(&server, 0);
}

#[test]
fn a_wait_from_the_head_gives_what_came_meanwhile() {
    let server = Server::start();
    server.commit(put("d", "a", "1"));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get("/v1/datasets/d/changes?since=head&wait=30").ok());
        until_waiting(&server, 1);
        server.commit(put("d", "b", "2"));
        assert_eq!(field(&waiting.join().expect("it is answered"), "key"), ["2"]);
    });
}

#[test]
fn a_wait_that_is_over_gives_an_empty_page() {
    let server = Server::start_with(&["--max-wait", "0.2"]);
    server.commit(put("d", "a", "1"));
    for wait in ["0.05", "1000"] {
        let page = server.get(&format!("/v1/datasets/d/changes?since=1&wait={wait}")).ok();
        assert_eq!((&page["entries"], &page["page"]["more"]), (&json!([]), &json!(false)));
    }
    server.get("/v1/datasets/none/changes?wait=0.05").problem(404, "dataset_not_found");
}

#[test]
fn one_client_holds_so_many_waits_and_no_more() {
    let server = Server::start_with(&["--waiters-per-client", "2"]);
    server.commit(put("d", "a", "1"));
    std::thread::scope(|scope| {
        let wait = || server.get("/v1/datasets/d/changes?since=1&wait=30").ok();
        let waiting = [scope.spawn(wait), scope.spawn(wait)];
        until_waiting(&server, 2);
        let refused = server.get("/v1/datasets/d/changes?since=1&wait=30");
        refused.problem(429, "too_many_waiters");
        assert!(refused.header("retry-after").is_some());
        server.get("/v1/datasets/d/changes?since=1").ok();
        server.commit(put("d", "b", "2"));
        for waiting in waiting {
            assert_eq!(field(&waiting.join().expect("it is answered"), "key"), ["2"]);
        }
    });
}

#[test]
fn whoever_waits_from_the_start_keeps_nobody_from_reading() {
    let server = Server::start_with(&["--full-syncs", "1"]);
    server.commit(put("d", "a", "1"));
    std::thread::scope(|scope| {
        let wait = || server.get("/v1/datasets/new/changes?since=start&wait=30").ok();
        let waiting: Vec<_> = (1..=3)
            .map(|n| {
                let waiting = scope.spawn(wait);
                until_waiting(&server, n);
                waiting
            })
            .collect();
        server.get("/v1/datasets/d/changes?since=start").ok();
        server.commit(put("new", "b", "2"));
        for waiting in waiting {
            assert_eq!(field(&waiting.join().expect("it is answered"), "key"), ["2"]);
        }
    });
}

#[test]
fn waits_are_answered_when_the_server_stops() {
    let server = Server::start();
    server.commit(put("d", "a", "1"));
    let waiting = server.request("GET", "/v1/datasets/d/changes?since=1&wait=50");
    let waiting = std::thread::spawn(move || waiting.answer());
    until_waiting(&server, 1);
    let began = Instant::now();
    server.stop();
    assert_eq!(waiting.join().expect("it is answered").ok()["entries"], json!([]));
    assert!(began.elapsed() < Duration::from_secs(40), "it did not wait to the end");
}
