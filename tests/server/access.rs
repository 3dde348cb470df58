use crate::support::{Server, put};

#[test]
fn a_token_does_what_its_scope_allows_below_its_prefix() {
    let server = Server::with_tokens(&[("r", "read team/"), ("w", "write team/"), ("a", "admin"), ("o", "read other")]);
    let commit = |token: &str, text: &str| server.request("POST", "/v1/commits").token(token).json(text).answer();
    let as_ = |token: &str, method: &str, target: &str| server.request(method, target).token(token).answer();
    commit("w", &put("team/a", "e", "1")).ok();
    commit("a", &put("other", "e", "1")).ok();
    commit("r", &put("team/a", "e", "1")).problem(403, "forbidden");
    commit("w", &put("other", "e", "1")).problem(403, "forbidden");
    // Every dataset of a commit is looked at, not only the first.
    let both = format!(r#"{{"changes":[{},{}]}}"#, put("team/a", "e", "2"), put("other", "e", "2"));
    assert_eq!(commit("w", &both).problem(403, "forbidden")["dataset"], "other");

    let reads = [
        "/v1/datasets/team%2Fa",
        "/v1/datasets/team%2Fa/changes",
        "/v1/datasets/team%2Fa/tags",
        "/v1/datasets/team%2Fa/entities/e",
        "/v1/datasets/team%2Fa/entities/e/history",
        "/v1/timelines/team%2Fa",
    ];
    for target in reads {
        for token in ["r", "w", "a"] {
            assert_eq!(as_(token, "GET", target).status, 200, "{token} {target}");
        }
        as_("o", "GET", target).problem(403, "forbidden");
        let refused = server.get(target);
        refused.problem(401, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        as_("unknown", "GET", target).problem(401, "unauthorized");
    }
    let get =
        |token: &str| server.request("POST", "/v1/datasets/team%2Fa/get").token(token).json(r#"{"entities":["e"]}"#);
    get("r").answer().ok();
    get("o").answer().problem(403, "forbidden");

    let patch = r#"{"retention":{"keep":"live"}}"#;
    let patched = |token: &str| server.request("PATCH", "/v1/datasets/team%2Fa").token(token).json(patch).answer();
    patched("w").problem(403, "forbidden");
    patched("a").ok();
    as_("w", "DELETE", "/v1/datasets/team%2Fa").problem(403, "forbidden");
    for method in ["PUT", "DELETE"] {
        as_("r", method, "/v1/datasets/team%2Fa/entities/e").problem(403, "forbidden");
        as_("o", method, "/v1/datasets/team%2Fa/entities/e").problem(403, "forbidden");
    }
    for target in ["/v1/store", "/metrics"] {
        let refused = as_("r", "GET", target).problem(403, "forbidden");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("everything")), "{refused}");
        assert_eq!(refused.get("dataset"), None);
        assert_eq!(as_("a", "GET", target).status, 200);
    }
    for target in ["/healthz", "/readyz", "/v1/openapi.json"] {
        assert_eq!(server.get(target).status, 200, "{target} is open");
    }
}

#[test]
fn lists_show_what_the_token_may_read() {
    let server =
        Server::with_tokens(&[("two", "read team/"), ("two", "write z"), ("all", "admin"), ("none", "read x")]);
    let send = |token: &str, method: &str, target: &str, body: &str| {
        server.request(method, target).token(token).json(body).answer()
    };
    for dataset in ["a", "team/a", "team/b", "team/c", "tee", "z"] {
        send("all", "POST", "/v1/commits", &put(dataset, "e", "1")).ok();
        send("all", "POST", "/v1/consumers/c/fetch", &format!(r#"{{"dataset":"{dataset}"}}"#)).ok();
    }
    let list = |token: &str, query: &str| {
        let answer = server.request("GET", &format!("/v1/datasets{query}")).token(token).answer().ok();
        let names = answer["datasets"].as_array().expect("a list").iter();
        let names: Vec<String> = names.map(|row| row["dataset"].as_str().expect("text").to_owned()).collect();
        (names.join(" "), answer["page"]["after"].as_str().map(str::to_owned))
    };
    assert_eq!(list("all", "").0, "a team/a team/b team/c tee z");
    assert_eq!(list("two", ""), ("team/a team/b team/c z".into(), None));
    assert_eq!(list("none", "").0, "");
    assert_eq!(list("two", "?limit=3"), ("team/a team/b team/c".into(), Some("team/c".into())));
    assert_eq!(list("two", "?limit=3&after=team/c"), ("z".into(), None));
    assert_eq!(list("two", "?prefix=te").0, "team/a team/b team/c");
    assert_eq!(list("two", "?prefix=team/b").0, "team/b");
    let consumers = server.request("GET", "/v1/consumers").token("two").answer().ok();
    assert_eq!(consumers["consumers"].as_array().map(Vec::len), Some(4), "{consumers}");
    send("two", "POST", "/v1/consumers/c/fetch", r#"{"dataset":"team/a"}"#).problem(403, "forbidden");
    send("two", "POST", "/v1/consumers/c/ack", r#"{"dataset":"team/a","key":"1"}"#).problem(403, "forbidden");
    send("two", "DELETE", "/v1/consumers/c?dataset=team/a", "").problem(403, "forbidden");
}

#[test]
fn tokens_are_read_again_when_their_file_changes() {
    let server = Server::with_tokens(&[("old", "read")]);
    let status = |token: &str| server.request("GET", "/v1/datasets").token(token).answer().status;
    assert_eq!((status("old"), status("new")), (200, 401));
    server.retoken(&[("new", "read")]);
    assert_eq!((status("old"), status("new")), (401, 200));
}

#[test]
fn who_waits_is_told_nothing_once_its_token_is_taken_away() {
    let server = Server::with_tokens(&[("reader", "read"), ("worker", "write"), ("admin", "admin")]);
    let send = |token: &str, method: &str, target: &str, body: &str| {
        server.request(method, target).token(token).json(body).answer()
    };
    send("admin", "POST", "/v1/commits", &put("d", "e", "1")).ok();
    send("admin", "PUT", "/v1/groups/g", r#"{"datasets":["d"]}"#);
    let seen = send("reader", "POST", "/v1/groups/g/sync", r#"{"device":"phone"}"#).ok();
    let group = format!(r#"{{"device":"phone","ack":{},"wait":20}}"#, seen["ack"]);
    send("worker", "POST", "/v1/consumers/c/fetch", r#"{"dataset":"d"}"#).ok();
    send("worker", "POST", "/v1/consumers/c/ack", r#"{"dataset":"d","key":"1"}"#).ok();
    let many = r#"{"datasets":[{"dataset":"d","since":"head"}],"wait":20}"#;
    let waits = [
        ("reader", "GET", "/v1/datasets/d/changes?since=head&wait=20", ""),
        ("reader", "POST", "/v1/sync", many),
        ("reader", "POST", "/v1/groups/g/sync", &group),
        ("worker", "POST", "/v1/consumers/c/fetch", r#"{"dataset":"d","wait":20}"#),
    ];
    std::thread::scope(|scope| {
        let waiting = waits.map(|(token, method, target, body)| scope.spawn(move || send(token, method, target, body)));
        while send("admin", "GET", "/v1/store", "").ok()["server"]["waits"] != waits.len() {
            std::thread::yield_now();
        }
        // The worker may read still.
        server.retoken(&[("worker", "read"), ("admin", "admin")]);
        send("admin", "POST", "/v1/commits", &put("d", "e", "2")).ok();
        for (answer, (token, ..)) in waiting.into_iter().zip(waits) {
            let answer = answer.join().expect("it is answered");
            match token {
                "reader" => answer.problem(401, "unauthorized"),
                _ => answer.problem(403, "forbidden"),
            };
        }
    });
}

#[test]
fn without_tokens_only_this_machine_is_answered() {
    let server = Server::start();
    let with = |name: &str, value: &str| server.request("GET", "/v1/datasets").header(name, value).answer();
    with("host", "example.org").problem(421, "misdirected");
    with("origin", "http://example.org").problem(421, "misdirected");
    assert_eq!(with("host", "127.0.0.1:1").status, 200);
    assert_eq!(with("origin", "http://localhost:5173").status, 200);
}
