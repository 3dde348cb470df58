use serde_json::json;

use crate::support::{Server, field, put};

#[test]
fn history_is_the_newest_entries_oldest_first() {
    let server = Server::start();
    for n in 1..=5 {
        server.commit(put("d", "e", &n.to_string()));
    }
    let history = |query: &str| server.get(&format!("/v1/datasets/d/entities/e/history{query}")).ok();
    let all = history("");
    assert_eq!((field(&all, "key").join(" "), &all["page"]), ("1 2 3 4 5".into(), &json!({"more": false})));
    assert_eq!((&all["entries"][0]["op"], &all["entries"][1]["op"]), (&json!("create"), &json!("update")));
    let two = history("?limit=2");
    assert_eq!((field(&two, "payload").join(" "), &two["page"]), ("4 5".into(), &json!({"more": true})));
    assert_eq!(history("?limit=5")["page"], json!({"more": false}));
    server.get("/v1/datasets/d/entities/none/history").problem(404, "not_found");
    server.get("/v1/datasets/d/entities/e/history?limit=0").problem(400, "invalid");
}

#[test]
fn history_and_many_entities_stay_within_a_page() {
    let server = Server::start_with(&["--page-bytes", "1000"]);
    let payload = format!("\"{}\"", "x".repeat(298));
    for _ in 0..5 {
        server.commit(put("d", "e", &payload));
    }
    for entity in ["a", "b", "c"] {
        server.commit(put("d", entity, &payload));
    }
    server.commit(put("d", "large", &format!("\"{}\"", "x".repeat(5000))));
    let history = server.get("/v1/datasets/d/entities/e/history").ok();
    assert_eq!((field(&history, "key").join(" "), &history["page"]), ("3 4 5".into(), &json!({"more": true})));
    let get = |names: &str| server.post("/v1/datasets/d/get", format!(r#"{{"entities":[{names}]}}"#));
    assert_eq!(field(&get(r#""a","b","c""#).ok(), "entity"), ["a", "b", "c"]);
    get(r#""a","b","c","e""#).problem(400, "invalid");
    // A single one is given however large it is.
    assert_eq!(field(&get(r#""large""#).ok(), "entity"), ["large"]);
    assert_eq!(server.get("/v1/datasets/d/entities/large").body.len(), 5002);
    assert_eq!(server.get("/v1/datasets/d/changes?since=8").ok()["entries"][0]["entity"], "large");
}

#[test]
fn many_entities_are_of_one_moment() {
    let server = Server::start();
    server.commit(format!(r#"{{"changes":[{},{}]}}"#, put("d", "a", "1"), put("d", "b", "2")));
    let found = server.post("/v1/datasets/d/get", r#"{"entities":["b","none",{"base64":"YQ=="}]}"#).ok();
    assert_eq!((&found["entries"][0]["payload"], &found["entries"][1]), (&json!(2), &json!(null)));
    assert_eq!(found["entries"][2]["entity"], "a");
    let next = found["next"].as_str().expect("a cursor");
    assert_eq!(server.get(&format!("/v1/datasets/d/changes?since={next}")).ok()["entries"], json!([]));
    server.commit(put("d", "a", "3"));
    assert_eq!(field(&server.get(&format!("/v1/datasets/d/changes?since={next}")).ok(), "payload"), ["3"]);
    assert_eq!(server.post("/v1/datasets/d/get", r#"{"entities":[]}"#).ok()["entries"], json!([]));
    for wrong in ["{}", "[]", r#"{"entities":[1]}"#, r#"{"entities":[{"base64":"Y"}]}"#, r#"{"entities":[{}]}"#] {
        server.post("/v1/datasets/d/get", wrong).problem(400, "invalid");
    }
    server.post("/v1/datasets/d/get", r#"{"entities":[""]}"#);
}
