use serde_json::json;

use crate::support::{Server, put};

#[test]
fn what_is_not_named_stays_and_null_is_no_limit() {
    let server = Server::start();
    server.commit(put("d", "e", "1"));
    let patch = |retention: &str| {
        server.request("PATCH", "/v1/datasets/d").json(format!(r#"{{"retention":{retention}}}"#)).answer()
    };
    let after = patch(r#"{"history":{"entries":null,"bytes":1000}}"#).ok();
    assert_eq!(after["dataset"], "d");
    assert_eq!(
        after["retention"],
        json!({"keep": "live", "history": {"entries": null, "bytes": 1000, "age_ms": null},
            "tombstones": {"entries": null, "bytes": null, "age_ms": 2_592_000_000_u64}})
    );
    let after = patch(r#"{"keep":"window","tombstones":{"age_ms":7}}"#).ok();
    assert_eq!(
        (&after["retention"]["keep"], &after["retention"]["tombstones"]["age_ms"]),
        (&json!("window"), &json!(7))
    );
    assert_eq!(after["retention"]["history"]["bytes"], 1000);
    assert_eq!(patch("{}").ok()["retention"], after["retention"]);
    assert_eq!(server.get("/v1/datasets/d").ok()["retention"], after["retention"]);
    for wrong in
        ["null", "[]", r#"{"keep":"all"}"#, r#"{"history":{"entries":-1}}"#, r#"{"history":null}"#, r#"{"x":1}"#]
    {
        patch(wrong).problem(400, "invalid");
    }
    server.request("PATCH", "/v1/datasets/d").json("{}").answer().problem(400, "invalid");
}

#[test]
fn a_dataset_can_be_set_up_before_it_has_entries() {
    let server = Server::start();
    let body = r#"{"retention":{"keep":"window","history":{"entries":800}}}"#;
    let stat = server.request("PATCH", "/v1/datasets/feed").json(body).answer().ok();
    assert_eq!((&stat["head"], &stat["retention"]["keep"]), (&json!("0"), &json!("window")));
    assert_eq!(server.get("/v1/datasets").ok()["datasets"], json!([{"dataset": "feed"}]));
    server.get("/v1/datasets/feed/changes").problem(400, "invalid");
    server.commit(put("feed", "e", "1"));
    let page = server.get("/v1/datasets/feed/changes?view=every&since=oldest").ok();
    assert_eq!(page["entries"][0]["payload"], 1);
    let fetch = |view: &str| server.post("/v1/consumers/c/fetch", format!(r#"{{"dataset":"feed"{view}}}"#));
    fetch("").problem(400, "invalid");
    assert_eq!(fetch(r#","view":"every""#).ok()["entries"][0]["payload"], 1);
}
