use serde_json::json;

use crate::support::{Server, field, put};

#[test]
fn changes_of_several_datasets_are_committed_together_or_not_at_all() {
    let server = Server::start();
    let both = format!(r#"{{"changes":[{},{}],"origin":"phone"}}"#, put("a", "x", "1"), put("b", "y", r#"{"z":  2}"#));
    let commit = server.commit(&both);
    assert_eq!((&commit["first"], &commit["last"], &commit["repeated"]), (&json!("1"), &json!("2"), &json!(false)));
    assert!(commit["time"].as_u64().is_some_and(|time| time > 1_700_000_000_000), "{commit}");
    let page = server.get("/v1/datasets/b/changes").ok();
    assert_eq!(
        page["entries"],
        json!([{"dataset": "b", "key": "2", "op": "create", "entity": "y", "new": true, "payload": {"z": 2},
            "time": commit["time"], "origin": "phone", "last": true}])
    );
    // The payload is kept as it was written.
    assert_eq!(server.get("/v1/datasets/b/entities/y").text(), r#"{"z":  2}"#);

    let half = r#"{"changes":[{"dataset":"a","op":"put","entity":"x","payload":3},
        {"dataset":"b","op":"delete","entity":"y","expect":"absent"}]}"#;
    let problem = server.post("/v1/commits", half).problem(409, "conflict");
    assert_eq!((&problem["dataset"], &problem["entity"], &problem["key"]), (&json!("b"), &json!("y"), &json!("2")));
    assert_eq!(field(&server.get("/v1/datasets/a/changes").ok(), "key"), ["1"]);
}

#[test]
fn a_buffered_commit_is_answered_at_once_and_shown_soon() {
    let server = Server::start();
    let commit = server.post("/v1/commits?durability=buffered", put("d", "e", "1")).ok();
    assert_eq!(commit["first"], "1");
    let page = server.get("/v1/datasets/d/changes?wait=10").ok();
    assert_eq!(field(&page, "key"), ["1"]);
    server.post("/v1/commits?durability=perhaps", put("d", "e", "1")).problem(400, "invalid");
    server.post("/v1/commits?durable=synced", put("d", "e", "1")).problem(400, "invalid");
}

#[test]
fn what_is_wrong_with_a_commit_is_said() {
    let server = Server::start();
    for (text, said) in [
        ("", "EOF"),
        ("[]", "a commit or a change"),
        ("{}", "`op` is missing"),
        (r#"{"changes":[]}"#, "a batch of 0 changes"),
        (r#"{"dataset":"d","op":"put","entity":"e","payload":1,"colour":2}"#, "unknown field `colour`"),
        (r#"{"dataset":"d","op":"put","entity":"e"}"#, "need `payload`"),
        (r#"{"dataset":"","op":"put","entity":"e","payload":1}"#, "a dataset name of 0 bytes"),
        (r#"{"dataset":"\u0000g","op":"put","entity":"e","payload":1}"#, "the server's own"),
    ] {
        let problem = server.post("/v1/commits", text).problem(400, "invalid");
        assert!(problem["detail"].as_str().expect("text").contains(said), "{text} said {problem}");
    }
    let not_text =
        server.request("POST", "/v1/commits").header("content-type", "application/json").body(b"\xff".to_vec());
    not_text.answer().problem(400, "invalid");
    // The changes of a wrong commit are not there.
    let half = format!(r#"{{"changes":[{},{{"op":"put"}}]}}"#, put("d", "e", "1"));
    server.post("/v1/commits", half).problem(400, "invalid");
    server.get("/v1/datasets/d").problem(404, "dataset_not_found");
}
