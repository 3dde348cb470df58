use crate::support::{Answer, Server, put};

const OURS: &str = "https://app.example.org";

fn preflight(server: &Server, origin: &str) -> Answer {
    let asked = server.request("OPTIONS", "/v1/datasets/d/entities/e").header("origin", origin);
    let asked = asked.header("access-control-request-method", "PUT");
    asked.header("access-control-request-headers", "authorization,if-match").answer()
}

#[test]
fn pages_of_an_origin_that_is_allowed_may_call_and_others_may_not() {
    let server = Server::start_with(&["--cors-origin", &format!("https://other.example.org,{OURS}")]);
    let asked = preflight(&server, OURS);
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, Some(OURS)), "{asked:?}");
    let allows = |header: &str, value: &str| {
        let allowed = asked.header(header).unwrap_or_default().to_ascii_lowercase();
        assert!(allowed.split(',').any(|one| one.trim() == value), "{value} in {header}: {allowed}");
    };
    allows("access-control-allow-methods", "put");
    for header in ["authorization", "if-match", "if-none-match", "idempotency-key", "last-event-id", "content-type"] {
        allows("access-control-allow-headers", header);
    }
    let write =
        |origin: &str| server.request("PUT", "/v1/datasets/d/entities/e").header("origin", origin).body("1").answer();
    let written = write(OURS);
    assert_eq!((written.status, written.header("access-control-allow-origin")), (201, Some(OURS)), "{written:?}");
    let exposed = written.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
    assert!(exposed.contains("etag") && exposed.contains("retry-after"), "{exposed}");
    // A cache must not give one page what was answered to another.
    assert!(written.header("vary").is_some_and(|vary| vary.to_ascii_lowercase().contains("origin")), "{written:?}");

    assert_eq!(preflight(&server, "https://evil.example").header("access-control-allow-origin"), None);
    write("https://evil.example").problem(421, "misdirected");
    assert_eq!(server.get("/v1/datasets/d/entities/e").text(), "1");
}

#[test]
fn with_tokens_a_page_of_another_origin_cannot_read_what_is_answered() {
    let server = Server::with_tokens(&[("t", "write")]);
    let text = put("d", "e", "1");
    server.request("POST", "/v1/commits").token("t").json(text).answer().ok();
    let read = server.request("GET", "/v1/datasets/d/entities/e").token("t").header("origin", OURS).answer();
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, None), "{read:?}");
    assert_eq!(preflight(&server, OURS).header("access-control-allow-origin"), None);
}
