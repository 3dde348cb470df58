use serde_json::json;

use crate::support::{Server, put};

#[test]
fn a_dataset_tells_what_it_holds_and_can_be_deleted() {
    let server = Server::start();
    server.commit(put("d", "a", "1"));
    server.commit(put("d", "a", "22"));
    server.commit(r#"{"dataset":"d","op":"delete","entity":"a"}"#);
    let stat = server.get("/v1/datasets/d").ok();
    for (name, value) in [("dataset", json!("d")), ("head", json!("3")), ("first", json!("1")), ("floor", json!("0"))] {
        assert_eq!(stat[name], value, "{stat}");
    }
    for (name, value) in [("entries", 3), ("superseded", 2), ("tombstones", 1), ("bytes", 6)] {
        assert_eq!(stat[name], value, "{name} {stat}");
    }
    assert_eq!(stat["retention"]["history"], json!({"entries": 100_000, "bytes": null, "age_ms": null}));
    assert_eq!(server.request("DELETE", "/v1/datasets/d").answer().ok(), json!({"deleted": true}));
    server.request("DELETE", "/v1/datasets/d").answer().problem(404, "dataset_not_found");
    assert_eq!(server.get("/v1/datasets/d").problem(404, "dataset_not_found")["dataset"], "d");
}

#[test]
fn datasets_are_listed_by_page() {
    let server = Server::start();
    for dataset in ["b", "a/1", "a/2", "a/3"] {
        server.commit(put(dataset, "e", "1"));
    }
    let mut query = "?prefix=a/&limit=2".to_owned();
    let mut names = Vec::new();
    loop {
        let page = server.get(&format!("/v1/datasets{query}")).ok();
        names.extend(page["datasets"].as_array().expect("a list").iter().map(|row| row["dataset"].to_string()));
        if page["page"]["more"] == false {
            break;
        }
        query = format!("?prefix=a/&limit=2&after={}", page["page"]["after"].as_str().expect("a name"));
    }
    assert_eq!(names, ["\"a/1\"", "\"a/2\"", "\"a/3\""]);
    for query in
        ["?limit=0", "?limit=10001", "?limit=x", "?prefix=a&prefix_base64=YQ==", "?prefix_base64=Y", "?colour=1"]
    {
        server.get(&format!("/v1/datasets{query}")).problem(400, "invalid");
    }
}
