use serde_json::json;

use crate::support::{Server, put};

#[test]
fn tags_come_in_the_order_of_entities_by_page() {
    let server = Server::start();
    for entity in ["c", "a", "b", "d"] {
        server.commit(put("d", entity, "1"));
    }
    server.commit(put("d", "a", "2"));
    server.commit(r#"{"dataset":"d","op":"delete","entity":"b"}"#);
    let tags = |query: &str| server.get(&format!("/v1/datasets/d/tags{query}")).ok();
    let row = |entity: &str, tag: &str| json!({"entity": entity, "tag": tag});
    assert_eq!(tags(""), json!({"tags": [row("a", "5"), row("c", "1"), row("d", "4")], "page": {"more": false}}));
    assert_eq!(tags("?limit=2"), json!({"tags": [row("a", "5"), row("c", "1")], "page": {"more": true, "after": "c"}}));
    assert_eq!(tags("?limit=2&after=c"), json!({"tags": [row("d", "4")], "page": {"more": false}}));
    assert_eq!(tags("?limit=3")["page"], json!({"more": false}));
    // A tag is what the entity's own answer has, so one that differs is what to fetch.
    assert_eq!(server.get("/v1/datasets/d/entities/a").header("etag"), Some("\"5\""));
    for query in ["?limit=0", "?after=a&after_base64=YQ==", "?before=a"] {
        server.get(&format!("/v1/datasets/d/tags{query}")).problem(400, "invalid");
    }
    server.get("/v1/datasets/none/tags").problem(404, "dataset_not_found");
}
