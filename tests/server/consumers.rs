use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Server, field, put};

#[test]
fn what_is_not_acknowledged_comes_again() {
    let server = Server::start();
    for n in 1..=5 {
        server.commit(put("d", &n.to_string(), "1"));
    }
    let fetch = |body: &str| server.post("/v1/consumers/mailer/fetch", body).ok();
    let two = r#"{"dataset":"d","limit":2}"#;
    assert_eq!(field(&fetch(two), "key"), ["1", "2"]);
    assert_eq!(field(&fetch(two), "key"), ["1", "2"], "nothing was acknowledged");
    let ack = |key: &str| server.post("/v1/consumers/mailer/ack", format!(r#"{{"dataset":"d","key":{key}}}"#));
    assert_eq!(ack("\"2\"").ok(), json!({"consumer": "mailer", "dataset": "d", "key": "2"}));
    assert_eq!(field(&fetch(two), "key"), ["3", "4"]);
    assert_eq!(ack("1").ok()["key"], "2", "a position does not go back");
    assert_eq!(ack("5").ok()["key"], "5");
    assert_eq!(fetch(two)["entries"], json!([]));

    let listed = server.get("/v1/consumers").ok();
    let row = json!({"consumer": "mailer", "dataset": "d", "key": "5", "evicted": false});
    assert_eq!(listed, json!({"consumers": [row], "page": {"more": false}}));
    assert_eq!(server.request("DELETE", "/v1/consumers/mailer?dataset=d").answer().ok(), json!({"removed": true}));
    let none = server.request("DELETE", "/v1/consumers/mailer?dataset=d").answer().problem(404, "not_found");
    assert_eq!((&none["consumer"], &none["dataset"]), (&"mailer".into(), &"d".into()));
    assert_eq!(field(&fetch(two), "key"), ["1", "2"], "it begins anew");
}

#[test]
fn a_fetch_waits_for_what_comes() {
    let server = Server::start();
    server.commit(put("d", "a", "1"));
    server.post("/v1/consumers/c/ack", r#"{"dataset":"d","key":"1"}"#).ok();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.post("/v1/consumers/c/fetch", r#"{"dataset":"d","wait":30}"#).ok());
        while server.get("/v1/store").ok()["server"]["waits"] == 0 {
            std::thread::yield_now();
        }
        server.commit(put("d", "b", "2"));
        // The acknowledgement took a key of its own.
        assert_eq!(field(&waiting.join().expect("it is answered"), "key"), ["3"]);
    });
}

#[test]
fn what_cannot_be_fetched_or_acknowledged_is_refused() {
    let server = Server::start();
    server.commit(put("d", "a", "1"));
    let fetch = |body: &str| server.post("/v1/consumers/c/fetch", body);
    fetch(r#"{"dataset":"none"}"#).problem(404, "dataset_not_found");
    fetch("{}").problem(400, "invalid");
    fetch(r#"{"dataset":"d","dataset_base64":"ZA=="}"#).problem(400, "invalid");
    fetch(r#"{"dataset":"d","limit":0}"#).problem(400, "invalid");
    fetch(r#"{"dataset":"d","colour":1}"#).problem(400, "invalid");
    fetch(r#"{"dataset":"\u0000d"}"#).problem(400, "invalid");
    server.post("/v1/consumers/%FF/fetch", r#"{"dataset":"d"}"#).problem(400, "invalid");
    let long = format!("/v1/consumers/{}/fetch", "c".repeat(256));
    server.post(&long, r#"{"dataset":"d"}"#).problem(400, "invalid");
    let future = server.post("/v1/consumers/c/ack", r#"{"dataset":"d","key":"999"}"#);
    assert_eq!(future.problem(410, "stale_future")["key"], "999");
    assert_eq!(future.header("link"), Some(r#"</v1/datasets/d/changes?since=start>; rel="restart""#));
    server.post("/v1/consumers/c/ack", r#"{"dataset":"d","key":"1e3"}"#).problem(400, "invalid");
    server.post("/v1/consumers/c/ack", r#"{"dataset":"d"}"#).problem(400, "invalid");
    server.request("DELETE", "/v1/consumers/c").answer().problem(400, "invalid");
    assert_eq!(server.post("/v1/consumers/c/fetch", r#"{"dataset_base64":"ZA=="}"#).ok()["entries"][0]["key"], "1");
}

#[test]
fn the_list_goes_on_where_a_page_ended() {
    let server = Server::start();
    server.commit(put("a", "e", "1"));
    server.commit(r#"{"dataset_base64":"/w==","op":"put","entity":"e","payload":1}"#);
    let long = "c".repeat(255);
    for consumer in ["a", "a b", "\u{e9}", &long] {
        let name: String = consumer.bytes().map(|byte| format!("%{byte:02X}")).collect();
        server.post(&format!("/v1/consumers/{name}/fetch"), r#"{"dataset":"a"}"#).ok();
        server.post(&format!("/v1/consumers/{name}/fetch"), r#"{"dataset_base64":"/w=="}"#).ok();
    }
    let all = server.get("/v1/consumers").ok();
    assert_eq!((all["consumers"].as_array().map(Vec::len), &all["page"]), (Some(8), &json!({"more": false})));
    for limit in [1, 3, 8] {
        let (mut paged, mut target) = (Vec::new(), format!("/v1/consumers?limit={limit}"));
        loop {
            let page = server.get(&target).ok();
            paged.extend(page["consumers"].as_array().expect("a list").iter().cloned());
            let Some(after) = page["page"]["after"].as_str() else { break };
            assert_eq!(page["page"]["more"], true);
            target = format!("/v1/consumers?limit={limit}&after={after}");
        }
        assert_eq!(json!(paged), all["consumers"], "by {limit}");
    }
    for wrong in ["", "a", "AA", "AAX", "%FF", "_____w"] {
        server.get(&format!("/v1/consumers?after={wrong}")).problem(400, "invalid");
    }
    server.get("/v1/consumers?after=AAA").ok();
}

/// What is kept for a consumer is bounded. One that stays away for longer is told so, reads what there is now where it is
/// told to, and goes on from there.
#[test]
fn a_consumer_that_fell_too_far_behind_is_told_and_begins_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = dir.path().join("tidelog.toml");
    std::fs::write(&settings, "memory = 16777216\nconsumer-bytes = 100000\ngrace = 0.001\n").expect("a file");
    let server = Server::start_with(&["--config", settings.to_str().expect("a path is text")]);
    let cap = r#"{"entries":0,"bytes":null,"age_ms":null}"#;
    let retention = format!(r#"{{"retention":{{"history":{cap},"tombstones":{cap}}}}}"#);
    server.request("PATCH", "/v1/datasets/a%2Fb").json(retention).answer().ok();
    let first = server.commit(put("a/b", "kept", "1"))["last"].as_str().expect("a key").to_owned();
    let fetch = || server.post("/v1/consumers/mailer/fetch", r#"{"dataset":"a/b"}"#);
    let ack = |key: &str| server.post("/v1/consumers/mailer/ack", format!(r#"{{"dataset":"a/b","key":"{key}"}}"#));
    assert_eq!(field(&fetch().ok(), "key"), [&*first]);
    ack(&first).ok();

    // Away while one entity is written again and again, 16 MB of it, and another one comes and goes.
    server.commit(put("a/b", "gone", "1"));
    server.commit(r#"{"dataset":"a/b","op":"delete","entity":"gone"}"#);
    let large = format!("\"{}\"", "x".repeat(200_000));
    (0..80).for_each(|_| drop(server.commit(put("a/b", "often", &large))));
    let began = Instant::now();
    let evicted = loop {
        let answer = fetch();
        if answer.status != 200 {
            break answer;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "all of it is kept for it");
        // What is not sealed is not trimmed.
        server.commit(put("a/b", "often", &large));
        std::thread::sleep(Duration::from_millis(20));
    };
    let problem = evicted.problem(410, "evicted");
    assert_eq!((&problem["consumer"], &problem["dataset"]), (&json!("mailer"), &json!("a/b")), "{problem}");
    let floor: u64 = problem["floor"].as_str().and_then(|key| key.parse().ok()).expect("there is a floor");
    assert!(floor > first.parse().expect("a key is a number"), "{problem}");
    let after: u64 = evicted.header("retry-after").and_then(|text| text.parse().ok()).expect("when to come back");
    assert!((1..=10).contains(&after), "{after}");
    assert_eq!(evicted.header("link"), Some(r#"</v1/datasets/a%2Fb/changes?since=start>; rel="restart""#));
    assert_eq!(server.get("/v1/consumers").ok()["consumers"][0]["evicted"], true);
    // It stays so, also for who asks again and whatever else is committed.
    server.commit(put("a/b", "new", "1"));
    fetch().problem(410, "evicted");

    let page = server.get("/v1/datasets/a%2Fb/changes?since=start").ok();
    assert_eq!((field(&page, "entity").join(" "), &page["page"]["more"]), ("kept often new".into(), &json!(false)));
    server.commit(put("a/b", "later", "1"));
    ack(page["page"]["key"].as_str().expect("a key")).ok();
    assert_eq!(field(&fetch().ok(), "entity"), ["later"], "it goes on from what it read");
    assert_eq!(server.get("/v1/consumers").ok()["consumers"][0]["evicted"], false);
    server.stop();
}
