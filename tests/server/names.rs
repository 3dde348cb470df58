use serde_json::json;

use crate::support::{Server, put};

#[test]
fn names_in_a_path_are_bytes() {
    let server = Server::start();
    for (dataset, entity) in
        [("team%2Finbox", "a%2Fb"), ("%FF%FE", "%C3%28"), ("d%20%C3%BC", "..%00"), ("%25", "%3F%23")]
    {
        let target = format!("/v1/datasets/{dataset}/entities/{entity}");
        assert_eq!(server.request("PUT", &target).body("1").answer().status, 201, "{target}");
        assert_eq!(server.get(&target).text(), "1");
        assert_eq!(server.get(&format!("{target}/history")).ok()["entries"].as_array().map(Vec::len), Some(1));
        assert_eq!(server.get(&format!("/v1/datasets/{dataset}/changes")).ok()["entries"][0]["payload"], 1);
    }
    // The same bytes by another spelling, and what a commit names as text.
    assert_eq!(server.get("/v1/datasets/team%2finbox/entities/%61%2F%62").text(), "1");
    server.commit(put("team/inbox", "a/b", "2"));
    assert_eq!(server.get("/v1/datasets/team%2Finbox/entities/a%2Fb").text(), "2");
    server.get("/v1/datasets/team/inbox/entities/a/b").problem(404, "not_found");
}

#[test]
fn names_that_are_not_text_are_base64_in_answers_and_can_be_asked_for() {
    let server = Server::start();
    let change = r#"{"dataset_base64":"/w==","op":"put","entity_base64":"/g==","payload":1}"#;
    server.commit(format!(r#"{{"changes":[{change}],"origin_base64":"/Q=="}}"#));
    let entry = server.get("/v1/datasets/%FF/changes").ok()["entries"][0].clone();
    let names = ["dataset_base64", "entity_base64", "origin_base64"].map(|name| entry[name].clone());
    assert_eq!(names, [json!("/w=="), json!("/g=="), json!("/Q==")]);
    assert!(entry.get("dataset").or(entry.get("entity")).or(entry.get("origin")).is_none());
    assert_eq!(server.get("/v1/datasets?prefix_base64=/w==").ok()["datasets"], json!([{"dataset_base64": "/w=="}]));
    assert_eq!(server.get("/v1/datasets?after_base64=/w==").ok()["datasets"], json!([]));
    assert_eq!(server.get("/v1/datasets/%FF/tags").ok()["tags"], json!([{"entity_base64": "/g==", "tag": "1"}]));
    assert_eq!(server.get("/v1/datasets/%FF/tags?after_base64=/g==").ok()["tags"], json!([]));
    // Read as text it would be another name.
    server.get("/v1/datasets?prefix=%FF").problem(400, "invalid");
    let missing = server.get("/v1/datasets/%FE").problem(404, "dataset_not_found");
    assert_eq!(missing["dataset_base64"], "/g==");
}

#[test]
fn names_of_the_servers_own_are_refused_everywhere() {
    let server = Server::start();
    server.commit(put("d", "e", "1"));
    for (method, target, body) in [
        ("GET", "/v1/datasets/%00d", ""),
        ("DELETE", "/v1/datasets/%00d", ""),
        ("PATCH", "/v1/datasets/%00d", r#"{"retention":{}}"#),
        ("GET", "/v1/datasets/%00d/changes", ""),
        ("GET", "/v1/datasets/%00d/tags", ""),
        ("GET", "/v1/datasets/%00d/entities/e", ""),
        ("PUT", "/v1/datasets/%00d/entities/e", "1"),
        ("DELETE", "/v1/datasets/%00d/entities/e", ""),
        ("GET", "/v1/datasets/%00d/entities/e/history", ""),
        ("POST", "/v1/datasets/%00d/get", r#"{"entities":[]}"#),
        ("GET", "/v1/timelines/%00d", ""),
        ("GET", "/v1/datasets?prefix=%00", ""),
        ("POST", "/v1/consumers/c/fetch", r#"{"dataset":"\u0000d"}"#),
        ("POST", "/v1/consumers/c/ack", r#"{"dataset":"\u0000d","key":"1"}"#),
        ("DELETE", "/v1/consumers/c?dataset=%00d", ""),
        (
            "POST",
            "/v1/commits",
            r#"{"changes":[{"dataset":"d","op":"put","entity":"e","payload":1},{"dataset_base64":"AGQ=","op":"put","entity":"e","payload":1}]}"#,
        ),
    ] {
        let problem = server.request(method, target).json(body).answer().problem(400, "invalid");
        assert!(problem["detail"].as_str().expect("text").contains("the server's own"), "{method} {target} {problem}");
    }
    assert_eq!(server.get("/v1/datasets/d").ok()["head"], "1");
}

#[test]
fn names_that_are_too_long_are_refused() {
    let server = Server::start();
    let target =
        |dataset: usize, entity: usize| format!("/v1/datasets/{}/entities/{}", "d".repeat(dataset), "e".repeat(entity));
    assert_eq!(server.request("PUT", &target(512, 1024)).body("1").answer().status, 201);
    server.request("PUT", &target(513, 1)).body("1").answer().problem(400, "invalid");
    server.request("PUT", &target(1, 1025)).body("1").answer().problem(400, "invalid");
    server.get(&target(513, 1)).problem(400, "invalid");
}
