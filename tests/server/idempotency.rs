use serde_json::json;

use crate::support::{Server, put};

#[test]
fn a_repeat_is_answered_as_the_first_time() {
    let server = Server::start();
    let text = format!(r#"{{"changes":[{}],"id":"i"}}"#, put("d", "e", "1"));
    let first = server.commit(&text);
    let again = server.commit(&text);
    assert_eq!((&first["repeated"], &again["repeated"]), (&json!(false), &json!(true)));
    assert_eq!((&first["created"], &again["created"]), (&json!(1), &json!(0)));
    assert_eq!((&first["first"], &first["time"]), (&again["first"], &again["time"]));
    // By the header it is the same id.
    let sent = |id: &str, text: String| server.request("POST", "/v1/commits").header("idempotency-key", id).json(text);
    assert_eq!(sent("i", put("d", "e", "1")).answer().ok()["repeated"], true);
    assert_eq!(sent("i", text.clone()).answer().ok()["repeated"], true);
    sent("j", text).answer().problem(400, "invalid");
    let other = sent("i", put("d", "e", "2")).answer().problem(422, "idempotency_mismatch");
    assert_eq!(other["key"], "1");
    sent(&"x".repeat(256), put("d", "e", "1")).answer().problem(400, "invalid");
    sent("", put("d", "e", "1")).answer().problem(400, "invalid");
    let twice = sent("i", put("d", "e", "1")).header("idempotency-key", "i");
    twice.answer().problem(400, "invalid");
    assert_eq!(server.get("/v1/datasets/d").ok()["entries"], 1);
}

#[test]
fn a_put_may_be_repeated() {
    let server = Server::start();
    let put = |payload: &str| {
        server.request("PUT", "/v1/datasets/d/entities/e").header("idempotency-key", "k").body(payload).answer()
    };
    let (first, again) = (put("1"), put("1"));
    assert_eq!((first.status, first.header("etag")), (201, Some("\"1\"")));
    assert_eq!((again.status, again.header("etag")), (201, Some("\"1\"")), "{again:?}");
    put("2").problem(422, "idempotency_mismatch");
    assert_eq!(server.get("/v1/datasets/d").ok()["entries"], 1);
}
