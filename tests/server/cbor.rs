use ciborium::Value;

use crate::support::{Answer, Server};

const CBOR: &str = "application/cbor";

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn map(fields: Vec<(&str, Value)>) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (text(name), value)).collect())
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("it can be written");
    bytes
}

/// A field of an answer in CBOR, down this path of names and indexes.
fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Map(fields) => fields.iter().find(|(name, _)| name.as_text() == Some(step)).map(|(_, value)| value),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

fn read(answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(CBOR)), "{answer:?}");
    ciborium::from_reader(&answer.body[..]).expect("it is CBOR")
}

fn change(op: &str, entity: &str, payload: Option<Value>) -> Value {
    let mut fields = vec![("dataset", text("d")), ("op", text(op)), ("entity", text(entity))];
    fields.extend(payload.map(|payload| ("payload", payload)));
    map(fields)
}

#[test]
fn payloads_are_byte_strings_both_ways() {
    let server = Server::start();
    // One is not text, one is JSON, one is long, one is empty.
    let payloads: Vec<Vec<u8>> = vec![vec![0, 0xff, 10], br#"{"a": 1}"#.to_vec(), vec![7; 100_000], vec![]];
    let changes = payloads.iter().enumerate();
    let changes = changes.map(|(n, payload)| change("create", &n.to_string(), Some(Value::Bytes(payload.clone()))));
    let commit = map(vec![("changes", Value::Array(changes.collect())), ("id", text("i")), ("origin", text("phone"))]);
    let sent = server.request("POST", "/v1/commits").header("content-type", CBOR).body(bytes(&commit));
    assert_eq!(sent.clone().answer().ok()["last"], "4");
    let again = read(&sent.header("accept", CBOR).answer());
    assert_eq!(at(&again, &["repeated"]), Some(&Value::Bool(true)));
    assert_eq!(at(&again, &["first"]), Some(&text("1")));

    let page = read(&server.request("GET", "/v1/datasets/d/changes").header("accept", CBOR).answer());
    for (n, payload) in payloads.iter().enumerate() {
        let n = n.to_string();
        assert_eq!(at(&page, &["entries", &n, "payload"]), Some(&Value::Bytes(payload.clone())));
        assert_eq!(at(&page, &["entries", &n, "payload_base64"]), None);
        assert_eq!(at(&page, &["entries", &n, "origin"]), Some(&text("phone")));
    }
    assert_eq!(at(&page, &["page", "more"]), Some(&Value::Bool(false)));
    // In JSON the same payloads are JSON or base64.
    let page = server.get("/v1/datasets/d/changes").ok();
    assert_eq!(page["entries"][0]["payload_base64"], "AP8K");
    assert_eq!(page["entries"][1]["payload"]["a"], 1);
    assert_eq!(server.get("/v1/datasets/d/entities/2").body, payloads[2]);
}

#[test]
fn other_bodies_and_answers_have_the_same_fields() {
    let server = Server::start();
    server.commit(r#"{"dataset":"d","op":"put","entity":"e","payload":1}"#);
    let post = |target: &str, value: Value| {
        read(
            &server
                .request("POST", target)
                .header("content-type", CBOR)
                .header("accept", CBOR)
                .body(bytes(&value))
                .answer(),
        )
    };
    let names = Value::Array(vec![text("e"), map(vec![("base64", text("/w=="))])]);
    let found = post("/v1/datasets/d/get", map(vec![("entities", names)]));
    assert_eq!(at(&found, &["entries", "0", "payload"]), Some(&Value::Bytes(b"1".to_vec())));
    assert_eq!(at(&found, &["entries", "1"]), Some(&Value::Null));
    let page = post("/v1/consumers/c/fetch", map(vec![("dataset", text("d")), ("limit", 5.into())]));
    assert_eq!(at(&page, &["entries", "0", "entity"]), Some(&text("e")));
    let acked = post("/v1/consumers/c/ack", map(vec![("dataset", text("d")), ("key", 1.into())]));
    assert_eq!(at(&acked, &["key"]), Some(&text("1")));
    for target in
        ["/v1/datasets", "/v1/datasets/d", "/v1/datasets/d/tags", "/v1/timelines/d", "/v1/consumers", "/v1/store"]
    {
        read(&server.request("GET", target).header("accept", CBOR).answer());
    }
}

#[test]
fn what_is_not_a_commit_in_cbor_is_refused() {
    let server = Server::start();
    let good = bytes(&change("put", "e", Some(Value::Bytes(vec![1]))));
    let mut base64 = vec![("dataset", text("d")), ("op", text("put")), ("entity", text("e"))];
    base64.push(("payload_base64", text("AA==")));
    let nested = (0..1000).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    for (body, said) in [
        (Vec::new(), "it ends too early"),
        (good[..good.len() - 1].to_vec(), "the body cannot be read"),
        ([&good[..], &[0]].concat(), "something follows"),
        (vec![0xff], "the body cannot be read"),
        // A byte string that claims to be longer than memory.
        (
            [&good[..good.len() - 2], &[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat(),
            "the body cannot be read",
        ),
        (bytes(&change("put", "e", Some(text("1")))), "the body cannot be read"),
        (bytes(&change("put", "e", Some(Value::Null))), "the body cannot be read"),
        (bytes(&change("delete", "e", Some(Value::Bytes(vec![])))), "a delete takes no payload"),
        (bytes(&map(base64)), "send `payload` as a byte string"),
        (bytes(&map(vec![("changes", nested)])), "the body cannot be read"),
    ] {
        let answer = server.request("POST", "/v1/commits").header("content-type", CBOR).body(body.clone()).answer();
        let problem = answer.problem(400, "invalid");
        assert!(problem["detail"].as_str().expect("text").contains(said), "{body:02x?} said {problem}");
    }
    assert_eq!(server.get("/v1/datasets").ok()["datasets"], serde_json::json!([]));
}
