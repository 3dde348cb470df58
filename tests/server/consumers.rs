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
    server.request("DELETE", "/v1/consumers/mailer?dataset=d").answer().problem(404, "not_found");
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
