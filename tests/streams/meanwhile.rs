//! What was written while a window was being read: it comes with the next one, and nobody waits for a further write.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Server, texts};

/// How long is waited, in seconds. At the end of it what is there is answered, so it must not come to that.
const WAIT: u32 = 20;

/// More entries than are looked at for one page.
const PASSED_OVER: usize = 110_000;

fn in_no_time<T>(ask: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let answer = ask();
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for {:?}", began.elapsed());
    answer
}

/// A cursor in the middle of a window with two entries, and the key of an entry that came above its end.
fn one_left() -> (Server, String, String) {
    let server = Server::start(&["--heartbeat", "60"]);
    server.write("d", "a", "x");
    server.write("d", "b", "x");
    let page = server.get("/v1/datasets/d/changes?limit=1").ok()["page"].clone();
    assert_eq!(page["more"], true);
    let key = server.write("d", "c", "came meanwhile");
    (server, page["next"].as_str().unwrap().to_owned(), key)
}

/// Writes so much that leads to nothing that the first page of it is empty and not the last.
fn fill_with_nothing(server: &Server) {
    for from in (0..PASSED_OVER).step_by(10_000) {
        let change = |n: usize| match n.is_multiple_of(2) {
            true => json!({"dataset": "d", "op": "put", "entity": (n / 2).to_string(), "payload": 1}),
            false => json!({"dataset": "d", "op": "delete", "entity": (n / 2).to_string()}),
        };
        let changes: Vec<Value> = (from..from + 10_000).map(change).collect();
        server.post("/v1/commits", &json!({"changes": changes})).ok();
    }
}

/// A cursor in the middle of a window of which nothing is left to deliver, and the key of an entry above its end.
fn none_left() -> (Server, Value, String) {
    let server = Server::start(&[]);
    fill_with_nothing(&server);
    let page = server.get("/v1/datasets/d/changes").ok();
    assert_eq!((&page["entries"], &page["page"]["more"]), (&json!([]), &json!(true)));
    let key = server.write("d", "c", "came meanwhile");
    (server, page["page"]["next"].clone(), key)
}

#[test]
fn a_socket_goes_on_to_it() {
    let (server, since, key) = one_left();
    let mut socket = server.socket("/v1/socket", &[]).unwrap();
    socket.say(&json!({"subscribe": {"dataset": "d", "since": since}}));
    let last = socket.text()["changes"].clone();
    assert_eq!((texts(&last["entries"], "entity"), &last["page"]["more"]), (vec!["b"], &json!(false)));
    assert_eq!(texts(&socket.text()["changes"]["entries"], "key"), [&key]);
}

#[test]
fn events_go_on_to_it() {
    let (server, since, key) = one_left();
    let mut events = server.events(&format!("/v1/datasets/d/events?since={since}"), &[]);
    let last = events.next().data;
    assert_eq!((texts(&last["entries"], "entity"), &last["page"]["more"]), (vec!["b"], &json!(false)));
    assert_eq!(texts(&events.next().data["entries"], "key"), [&key]);
}

#[test]
fn a_wait_for_one_dataset_or_for_many_ends_with_it() {
    let (server, since, key) = none_left();
    let since = since.as_str().unwrap();
    let page = in_no_time(|| server.get(&format!("/v1/datasets/d/changes?since={since}&wait={WAIT}")).ok());
    assert_eq!(texts(&page["entries"], "key"), [&key]);
    let ask = json!({"datasets": [{"dataset": "d", "since": since}], "wait": WAIT});
    let answer = in_no_time(|| server.post("/v1/sync", &ask).ok());
    assert_eq!(texts(&answer["datasets"][0]["entries"], "key"), [&key]);
}

#[test]
fn a_wait_for_a_group_ends_with_it() {
    let server = Server::start(&[]);
    fill_with_nothing(&server);
    server.put("/v1/groups/g", &json!({"datasets": ["d"]})).ok();
    let sync =
        |ack: &Value| server.post("/v1/groups/g/sync", &json!({"device": "phone", "ack": ack, "wait": WAIT})).ok();
    let first = sync(&Value::Null);
    assert_eq!(first["datasets"][0]["page"]["more"], true, "{first}");
    let key = server.write("d", "c", "came meanwhile");
    // The place in `d` is in the middle of a window with nothing left.
    let answer = in_no_time(|| sync(&first["ack"]));
    let of_d = answer["datasets"].as_array().unwrap().iter().find(|part| part["dataset"] == "d").unwrap();
    assert_eq!((texts(&of_d["entries"], "key"), &of_d["status"]), (vec![&key[..]], &json!("page")), "{answer}");
}

#[test]
fn a_consumer_that_found_nothing_at_first_gets_it() {
    let server = Server::start(&[]);
    server.request("PATCH", "/v1/datasets/d", &[], Some(&json!({"retention": {"keep": "live"}}))).ok();
    let fetch = |wait: u32| server.post("/v1/consumers/c/fetch", &json!({"dataset": "d", "wait": wait})).ok();
    assert_eq!(fetch(0)["entries"], json!([]));
    let key = server.write("d", "c", "came meanwhile");
    assert_eq!(texts(&in_no_time(|| fetch(WAIT))["entries"], "key"), [&key]);
}
