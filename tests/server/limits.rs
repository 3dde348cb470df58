use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::{Server, exchange, put};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("it is written");
    encoder.finish().expect("it ends")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("it is written")
}

#[test]
fn a_compressed_body_is_read_to_its_last_byte() {
    let server = Server::start();
    let entity = "/v1/datasets/d/entities/e";
    let sent = |encoding: &str, body: Vec<u8>| {
        server.request("PUT", entity).header("content-encoding", encoding).body(body).answer()
    };
    for (encoding, compress) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        // One behind the other, as `cat a.gz b.gz` makes them.
        let status = sent(encoding, [compress(b"first "), compress(b"second")].concat()).status;
        assert!(matches!(status, 200 | 201), "{encoding}: {status}");
        assert_eq!(server.get(entity).body, b"first second", "{encoding}");
        for rest in [&b"garbage"[..], &compress(b"cut")[..10]] {
            sent(encoding, [&compress(b"whole")[..], rest].concat()).problem(400, "invalid");
        }
        assert_eq!(server.get(entity).body, b"first second", "{encoding}: what was refused is not stored");
    }
}

#[test]
fn bodies_may_be_compressed_in_both_directions() {
    let server = Server::start();
    let text = put("d", "e", &format!("\"{}\"", "x".repeat(10_000)));
    let sent = |encoding: &str, body: Vec<u8>| {
        let sent = server.request("POST", "/v1/commits").header("content-type", "application/json");
        sent.header("content-encoding", encoding).body(body).answer()
    };
    sent("gzip", gzip(text.as_bytes())).ok();
    sent("zstd", zstd(text.as_bytes())).ok();
    sent("identity", text.clone().into_bytes()).ok();
    let refused = sent("br", text.clone().into_bytes());
    refused.problem(415, "unsupported_media_type");
    assert_eq!(refused.header("accept-encoding"), Some("gzip, zstd"));
    sent("gzip", text.into_bytes()).problem(400, "invalid");
    for encoding in ["gzip", "zstd"] {
        let page =
            server.request("GET", "/v1/datasets/d/changes?since=start").header("accept-encoding", encoding).answer();
        assert_eq!((page.status, page.header("content-encoding")), (200, Some(encoding)));
        assert!(page.body.len() < 1000, "{} bytes", page.body.len());
    }
}

#[test]
fn what_was_done_is_never_told_as_not_acceptable() {
    let server = Server::start();
    let path = "/v1/datasets/d/entities/e";
    for (encoding, packed) in [
        ("identity;q=0", None),
        ("*;q=0", None),
        ("gzip;q=0, *; Q=0.0", None),
        ("gzip, identity;q=0", Some("gzip")),
        ("zstd;q=0.5,*;q=0", Some("zstd")),
    ] {
        let put = server.request("PUT", path).header("accept-encoding", encoding).body("1").answer();
        assert!(matches!(put.status, 200 | 201), "{encoding}: {}", put.status);
        let absent = server.request("GET", "/v1/datasets/x/changes").header("accept-encoding", encoding).answer();
        assert_eq!(absent.status, 404, "{encoding}");
        server.request("PUT", "/v1/datasets/large/entities/e").body(format!("\"{}\"", "x".repeat(10_000))).answer();
        let page = server.request("GET", "/v1/datasets/large/changes").header("accept-encoding", encoding).answer();
        assert_eq!((page.status, page.header("content-encoding")), (200, packed), "{encoding}");
    }
}

#[test]
fn the_largest_body_is_of_decompressed_bytes() {
    let server = Server::start_with(&["--body-bytes", "100000"]);
    let sent = |encoding: Option<&str>, body: Vec<u8>| {
        let sent = server.request("POST", "/v1/commits").header("content-type", "application/json");
        match encoding {
            Some(encoding) => sent.header("content-encoding", encoding),
            None => sent,
        }
        .body(body)
        .answer()
    };
    let text = |len: usize| put("d", "e", &format!("\"{}\"", "x".repeat(len))).into_bytes();
    for encoding in [None, Some("gzip"), Some("zstd")] {
        let packed = |bytes: Vec<u8>| match encoding {
            Some("gzip") => gzip(&bytes),
            Some(_) => zstd(&bytes),
            None => bytes,
        };
        sent(encoding, packed(text(99_000))).ok();
        sent(encoding, packed(text(100_000))).problem(413, "too_large");
    }
    // A gigabyte of zeros in a megabyte, and in some ten kilobytes.
    let many = vec![0; 1 << 30];
    sent(Some("zstd"), zstd(&many)).problem(413, "too_large");
    sent(Some("gzip"), gzip(&many)).problem(413, "too_large");
    server.request("PUT", "/v1/datasets/d/entities/e").body(vec![0; 100_001]).answer().problem(413, "too_large");
    assert_eq!(server.request("PUT", "/v1/datasets/d/entities/e").body(vec![0; 100_000]).answer().status, 200);
}

#[test]
fn a_body_in_pieces_is_taken_and_one_that_stops_is_not_waited_for() {
    let server = Server::start_with(&["--patience", "1"]);
    let head = "PUT /v1/datasets/d/entities/e HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
    assert_eq!(exchange(server.address(), chunked.as_bytes(), false).status, 201);
    assert_eq!(server.get("/v1/datasets/d/entities/e").text(), "abcd");
    let cut = format!("{head}content-length: 10\r\n\r\nabc");
    exchange(server.address(), cut.as_bytes(), false).problem(408, "timeout");
}

#[test]
fn memory_for_bodies_is_bounded() {
    let server = Server::start_with(&["--body-memory", "100000"]);
    assert_eq!(server.request("PUT", "/v1/datasets/d/entities/e").body(vec![0; 90_000]).answer().status, 201);
    let refused = server.request("PUT", "/v1/datasets/d/entities/e").body(vec![0; 200_000]).answer();
    refused.problem(503, "busy");
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn heads_and_targets_are_bounded() {
    let server = Server::start();
    server.get(&format!("/v1/datasets/{}", "x".repeat(17_000))).problem(414, "uri_too_long");
    assert_eq!(server.get(&format!("/v1/datasets/{}", "x".repeat(70_000))).status, 431);
    let large = server.request("GET", "/v1/datasets").header("x-large", &"x".repeat(70_000)).answer();
    assert_eq!(large.status, 431);
    let many = (0..100).fold(server.request("GET", "/v1/datasets"), |sent, n| sent.header(&format!("x-{n}"), "1"));
    assert_eq!(many.answer().status, 431);
}

#[test]
fn methods_types_and_formats_that_are_not_taken_are_refused() {
    let server = Server::start();
    server.commit(put("d", "e", "1"));
    for (method, target, allowed) in [
        ("DELETE", "/v1/commits", "POST"),
        ("POST", "/v1/datasets/d/changes", "GET"),
        ("PUT", "/v1/datasets/d", "PATCH"),
        ("POST", "/v1/datasets/d/entities/e", "PUT"),
        ("PATCH", "/healthz", "GET"),
    ] {
        let refused = server.request(method, target).answer();
        refused.problem(405, "method_not_allowed");
        assert!(refused.header("allow").is_some_and(|allow| allow.contains(allowed)), "{method} {target} {refused:?}");
    }
    let sent = |content_type: &str| {
        server.request("POST", "/v1/commits").header("content-type", content_type).body(put("d", "e", "1")).answer()
    };
    sent("text/plain").problem(415, "unsupported_media_type");
    sent("application/x-www-form-urlencoded").problem(415, "unsupported_media_type");
    sent("application/json; charset=utf-8").ok();
    server.request("POST", "/v1/commits").body(put("d", "e", "1")).answer().ok();
    let accept = |accept: &str| server.request("GET", "/v1/datasets/d").header("accept", accept).answer();
    accept("text/html").problem(406, "not_acceptable");
    accept("application/json;q=0").problem(406, "not_acceptable");
    for taken in ["*/*", "text/html, */*;q=0.1", "application/json", "application/cbor;q=0.5, application/json"] {
        accept(taken).ok();
    }
    for target in ["/v1", "/v1/nothing", "/v1/datasets/d/nothing"] {
        server.get(target).problem(404, "not_found");
    }
    server.get("/v1/datasets//changes").problem(400, "invalid");
}

#[test]
fn what_a_read_may_ask_for_is_bounded() {
    let server = Server::start();
    server.commit(put("d", "e", "1"));
    for query in [
        "limit=0",
        "limit=10001",
        "limit=-1",
        "limit=x",
        "limit=",
        "bytes=x",
        "view=some",
        "payloads=1",
        "wait=-1",
        "wait=nan",
        "wait=inf",
        "wait=x",
        "since=1&since_time=1",
        "since=1&since=2",
        "colour=1",
        "since=%FF",
    ] {
        server.get(&format!("/v1/datasets/d/changes?{query}")).problem(400, "invalid");
    }
    for query in [
        "limit=1",
        "limit=10000",
        "bytes=1",
        "bytes=99999999999",
        "view=every",
        "payloads=false",
        "wait=0",
        "wait=0.01",
    ] {
        server.get(&format!("/v1/datasets/d/changes?{query}")).ok();
    }
}

#[test]
fn the_largest_commit_is_the_engines_to_refuse() {
    let server = Server::start_with(&["--body-bytes", "40000000"]);
    // Within the limit on bodies, above that on payloads.
    let large = server.request("PUT", "/v1/datasets/d/entities/e").body(vec![0; (16 << 20) + 1]).answer();
    large.problem(400, "invalid");
    assert_eq!(server.request("PUT", "/v1/datasets/d/entities/e").body(vec![0; 15 << 20]).answer().status, 201);
    assert_eq!(server.get("/v1/datasets/d/entities/e").body.len(), 15 << 20);
    let page = server.get("/v1/datasets/d/changes").ok();
    assert_eq!(page["entries"][0]["payload_base64"].as_str().map(str::len), Some((15 << 20) / 3 * 4));
}
