use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::Server;

fn document() -> Value {
    let server = Server::start();
    let answer = server.get("/v1/openapi.json");
    answer.ok()
}

/// The routes of the data, as docs/http.md names them; those of streams, groups and pages are others' to test.
const ROUTES: &[&str] = &[
    "post /v1/commits",
    "put /v1/datasets/{d}/entities/{e}",
    "get /v1/datasets/{d}/entities/{e}",
    "delete /v1/datasets/{d}/entities/{e}",
    "get /v1/datasets/{d}/entities/{e}/history",
    "post /v1/datasets/{d}/get",
    "get /v1/datasets/{d}/changes",
    "get /v1/datasets/{d}/tags",
    "get /v1/timelines/{d}",
    "get /v1/datasets",
    "get /v1/datasets/{d}",
    "patch /v1/datasets/{d}",
    "delete /v1/datasets/{d}",
    "get /v1/store",
    "post /v1/consumers/{c}/fetch",
    "post /v1/consumers/{c}/ack",
    "get /v1/consumers",
    "delete /v1/consumers/{c}",
    "get /healthz",
    "get /readyz",
    "get /metrics",
];

#[test]
fn every_route_is_in_the_document() {
    let document = document();
    let mut there = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        for method in item.as_object().expect("a path has methods").keys() {
            there.insert(format!("{method} {path}"));
        }
    }
    for route in ROUTES {
        assert!(there.contains(*route), "{route} is not among {there:#?}");
    }
    // And docs/http.md speaks of each.
    let page = include_str!("../../docs/http.md");
    for route in &there {
        let path = route.split_once(' ').expect("a method and a path").1.split("?").next().expect("a path");
        assert!(page.contains(path), "docs/http.md does not name {route}");
    }
}

#[test]
fn every_operation_says_what_it_answers() {
    let document = document();
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in item.as_object().expect("a path has methods") {
            let responses = operation["responses"].as_object().expect("it has responses");
            assert!(
                responses.keys().any(|status| status.starts_with('2')) || path.contains("socket"),
                "{method} {path}"
            );
            for (status, response) in responses {
                assert!(
                    response["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{method} {path} {status}"
                );
                if status.starts_with('4') || status.starts_with('5') {
                    let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/Problem", "{method} {path} {status}");
                }
            }
            for status in ["400", "404", "421", "500", "503"] {
                assert!(responses.contains_key(status), "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut open = vec![&document];
    let mut seen = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("it stands in the document");
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                    seen += 1;
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(seen > 100, "{seen} references");
}
