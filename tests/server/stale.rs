use serde_json::json;

use crate::support::{Answer, Server, field, put};

/// Whether it says when to come back and where to begin; gives the latter.
#[track_caller]
fn restart(answer: &Answer) -> String {
    let after: u64 =
        answer.header("retry-after").and_then(|text| text.parse().ok()).expect("it says when to come back");
    assert!((1..=10).contains(&after), "{after}");
    let link = answer.header("link").expect("it says where to begin again");
    let link = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"restart\"")).expect("it is a link");
    link.to_owned()
}

/// Twenty updates of one entity, of which the first and the last may be all that is left.
fn trimmed() -> Server {
    let import: String = (0..20).map(|n| put("a/b", "e", &n.to_string()) + "\n").collect();
    Server::prepared(
        &[
            &["retention", "set", "a/b", "--history-entries", "3", "--tombstone-entries", "0"],
            &["compact", "--grace", "0s"],
        ],
        &(import + r#"{"dataset":"a/b","op":"put","entity":"f","payload":1}"# + "\n"),
    )
}

#[test]
fn a_position_below_the_history_that_is_kept_is_told_with_the_floor() {
    let server = trimmed();
    let gone = server.get("/v1/datasets/a%2Fb/changes?since=2&view=every");
    let problem = gone.problem(410, "stale_history_trimmed");
    let floor: u64 = problem["floor"].as_str().and_then(|key| key.parse().ok()).expect("there is a floor");
    assert!(floor >= 2 && problem["key"] == "2" && problem["dataset"] == "a/b", "{problem}");
    // What it says works.
    let again = restart(&gone);
    assert_eq!(again, "/v1/datasets/a%2Fb/changes?since=oldest&view=every");
    assert_eq!(field(&server.get(&again).ok(), "key").last().map(String::as_str), Some("21"));
    // And so does a read of what is there now.
    assert_eq!(field(&server.get("/v1/datasets/a%2Fb/changes?since=start").ok(), "entity"), ["e", "f"]);
    let gone = server.get("/v1/timelines/a%2Fb?min_id=2");
    assert_eq!(gone.problem(410, "stale_history_trimmed")["floor"], problem["floor"]);
    assert_eq!(restart(&gone), "/v1/timelines/a%2Fb");
    assert_eq!(server.get("/v1/timelines/a%2Fb").ok()["entries"][0]["key"], "21");
}

/// A dataset of which the oldest entries went when it was a window, and which keeps all that lives since.
fn once_a_window() -> Server {
    Server::prepared(
        &[
            &["retention", "set", "d", "--keep", "window", "--history-entries", "3"],
            &["compact", "--grace", "0s"],
            &["retention", "set", "d", "--keep", "live"],
        ],
        &(0..20).map(|n| put("d", &format!("e{n}"), "1") + "\n").collect::<String>(),
    )
}

#[test]
fn where_the_start_itself_is_gone_the_oldest_is_the_way_back() {
    let server = once_a_window();
    let from_key = server.get("/v1/datasets/d/changes?since=2");
    from_key.problem(410, "stale_trimmed");
    assert_eq!(restart(&from_key), "/v1/datasets/d/changes?since=start");
    for route in ["changes", "events"] {
        let from_start = server.get(&format!("/v1/datasets/d/{route}?since=start"));
        from_start.problem(410, "stale_trimmed");
        assert_eq!(restart(&from_start), format!("/v1/datasets/d/{route}?since=oldest"));
    }
    let oldest = field(&server.get("/v1/datasets/d/changes?since=oldest").ok(), "entity");
    assert_eq!(oldest, ["e17", "e18", "e19"]);
}

#[test]
fn a_group_reads_it_from_the_oldest_too() {
    let server = once_a_window();
    server.request("PUT", "/v1/groups/g").json(json!({"datasets": ["d"]})).answer();
    let sync = |ack: Option<&str>| {
        let asked = json!({"device": "phone", "ack": ack});
        server.request("POST", "/v1/groups/g/sync").json(asked).answer().ok()
    };
    let first = sync(None);
    assert_eq!((&first["datasets"][0]["status"], &first["more"]), (&json!("reset"), &json!(false)));
    assert_eq!(field(&first["datasets"][0], "entity"), ["e17", "e18", "e19"]);
    server.commit(put("d", "new", "1"));
    let next = sync(first["ack"].as_str());
    assert_eq!(next["datasets"][0]["status"], "page");
    assert_eq!(field(&next["datasets"][0], "entity"), ["new"]);
}

#[test]
fn a_cursor_whose_deletes_may_be_gone_is_stale() {
    let import = [
        put("d", "e", "1"),
        put("d", "f", "1"),
        r#"{"dataset":"d","op":"delete","entity":"e"}"#.into(),
        put("d", "g", "1"),
    ];
    let server = Server::prepared(
        &[
            &["retention", "set", "d", "--history-entries", "0", "--tombstone-entries", "0"],
            &["compact", "--grace", "0s"],
        ],
        &(import.join("\n") + "\n"),
    );
    let gone = server.get("/v1/datasets/d/changes?since=2&wait=5");
    let problem = gone.problem(410, "stale_trimmed");
    assert_eq!((&problem["key"], problem["floor"].is_string()), (&json!("2"), true), "{problem}");
    assert_eq!(restart(&gone), "/v1/datasets/d/changes?since=start");
    assert_eq!(field(&server.get(&restart(&gone)).ok(), "entity"), ["f", "g"]);
}

#[test]
fn every_other_reason_is_told() {
    let server = Server::start();
    server.commit(put("d", "e", "1"));
    let old = server.get("/v1/datasets/d/changes").ok()["page"]["next"].as_str().expect("a cursor").to_owned();
    assert_eq!(server.request("DELETE", "/v1/datasets/d").answer().status, 200);
    server.commit(put("d", "e", "1"));
    for (since, kind) in [
        (&*old, "stale_recreated"),
        ("999999", "stale_future"),
        ("cAAAA", "stale_malformed"),
        ("", "stale_malformed"),
        ("START", "stale_malformed"),
    ] {
        let gone = server.get(&format!("/v1/datasets/d/changes?since={since}"));
        gone.problem(410, kind);
        assert_eq!(restart(&gone), "/v1/datasets/d/changes?since=start");
    }
    let other = Server::start();
    other.commit(put("d", "e", "1"));
    other.get(&format!("/v1/datasets/d/changes?since={old}")).problem(410, "stale_other_lineage");
}
