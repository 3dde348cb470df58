use serde_json::json;

use crate::support::Server;

const E: &str = "/v1/datasets/d/entities/e";

#[test]
fn an_entity_is_given_with_its_key_for_a_tag() {
    let server = Server::start();
    let put = server.request("PUT", E).header("tidelog-origin", "phone").body(r#"{"a":  1}"#).answer();
    assert_eq!((put.status, put.header("etag")), (201, Some("\"1\"")), "{put:?}");
    let put = server.request("PUT", E).header("tidelog-origin", "phone").body(r#"{"a":  2}"#).answer();
    assert_eq!((put.status, put.header("etag")), (200, Some("\"2\"")), "{put:?}");
    let time = put.ok()["time"].to_string();

    let got = server.get(E);
    assert_eq!((got.status, got.text()), (200, r#"{"a":  2}"#));
    let headers = ["etag", "content-type", "tidelog-time", "tidelog-origin"].map(|name| got.header(name));
    assert_eq!(headers, [Some("\"2\""), Some("application/json"), Some(&*time), Some("phone")]);
    let head = server.request("HEAD", E).answer();
    assert_eq!((head.status, head.header("etag"), &head.body[..]), (200, Some("\"2\""), &b""[..]));

    server.request("PUT", E).body(vec![0, 255, 10]).answer();
    let got = server.get(E);
    assert_eq!((&got.body[..], got.header("content-type")), (&[0, 255, 10][..], Some("application/octet-stream")));
    assert_eq!(got.header("tidelog-origin"), None);
    // Compressed or not, a strong tag is of these bytes.
    server.request("PUT", E).body("\"\"".repeat(1000)).answer();
    let got = server.request("GET", E).header("accept-encoding", "gzip, zstd").answer();
    assert_eq!((got.header("content-encoding"), got.body.len()), (None, 2000));
}

#[test]
fn what_the_client_knows_is_not_sent_again() {
    let server = Server::start();
    server.request("PUT", E).body("1").answer();
    let get = |known: &str| server.request("GET", E).header("if-none-match", known).answer();
    for known in ["\"1\"", "*", "W/\"1\"", "\"9\", \"1\""] {
        let got = get(known);
        assert_eq!((got.status, got.header("etag"), &got.body[..]), (304, Some("\"1\""), &b""[..]), "{known}");
    }
    for other in ["\"2\"", "\"theirs\"", "\"01\""] {
        assert_eq!(get(other).status, 200, "{other}");
    }
    get("1").problem(400, "invalid");
    server.get("/v1/datasets/d/entities/other").problem(404, "not_found");
    server.get("/v1/datasets/none/entities/e").problem(404, "dataset_not_found");
}

#[test]
fn conditions_hold_or_nothing_is_written() {
    let server = Server::start();
    let put = |name: &str, value: &str| server.request("PUT", E).header(name, value).body("1").answer();
    assert_eq!(put("if-match", "*").problem(412, "conflict").get("key"), None);
    assert_eq!(put("if-match", "\"1\"").header("etag"), None);
    assert_eq!(put("if-none-match", "*").status, 201);
    let refused = put("if-none-match", "*");
    assert_eq!(refused.problem(412, "conflict")["key"], "1");
    assert_eq!(refused.header("etag"), Some("\"1\""));
    for other in ["\"2\"", "W/\"1\"", "\"theirs\"", "\"0\""] {
        let refused = put("if-match", other);
        refused.problem(412, "conflict");
        assert_eq!(refused.header("etag"), Some("\"1\""), "{other}");
    }
    assert_eq!(put("if-match", "\"1\"").header("etag"), Some("\"2\""));
    assert_eq!(put("if-match", "*").status, 200);
    for (name, wrong) in [("if-match", "1"), ("if-match", "\"1\", \"2\""), ("if-none-match", "\"1\"")] {
        put(name, wrong).problem(400, "invalid");
    }
    assert_eq!(server.get("/v1/datasets/d").ok()["head"], "3");
}

#[test]
fn an_entity_is_deleted_if_it_exists_and_is_as_expected() {
    let server = Server::start();
    let delete = |headers: &[(&str, &str)]| {
        headers.iter().fold(server.request("DELETE", E), |sent, (name, value)| sent.header(name, value)).answer()
    };
    delete(&[]).problem(404, "not_found");
    server.request("PUT", E).body("1").answer();
    delete(&[("if-match", "\"7\"")]).problem(412, "conflict");
    delete(&[("if-none-match", "*")]).problem(400, "invalid");
    let deleted = delete(&[("if-match", "\"1\""), ("idempotency-key", "k")]).ok();
    assert_eq!((&deleted["first"], &deleted["repeated"]), (&json!("2"), &json!(false)));
    let again = delete(&[("if-match", "\"1\""), ("idempotency-key", "k")]).ok();
    assert_eq!((&again["first"], &again["repeated"]), (&json!("2"), &json!(true)));
    delete(&[]).problem(404, "not_found");
    delete(&[("if-match", "*")]).problem(412, "conflict");
    server.get(E).problem(404, "not_found");
    // Its existence begins anew.
    assert_eq!(server.request("PUT", E).body("1").answer().status, 201);
}
