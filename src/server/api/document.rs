//! The OpenAPI document: what the routes say of themselves, and what holds for all of them.

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::schemas;

/// What the document says besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidelog",
        description = "What changed in this dataset since my key? The HTTP interface of `tidelog serve`; docs/http.md explains it.\n\n\
            Also: a method that a path does not take is a 405; a head that is no HTTP is a 400, and one that is too large a 431, \
            both without a body."
    ),
    components(schemas(schemas::Problem)),
    tags(
        (name = "changes", description = "What changed"),
        (name = "writing", description = "Commits"),
        (name = "entities", description = "Single entities, and many at once"),
        (name = "datasets", description = "Datasets and what is kept of them"),
        (name = "consumers", description = "Store and forward"),
        (name = "groups", description = "Datasets that a device reads as one"),
        (name = "streams", description = "Changes as they come"),
        (name = "server", description = "The store and the server as a whole")
    )
)]
pub struct Document;

/// What any request may be answered with.
const ANY: &[(&str, &str)] = &[
    ("400", "The request is wrong; `detail` says what"),
    ("401", "A token that is known here is needed"),
    ("403", "The token does not reach so far"),
    ("404", "There is no such dataset, entity or consumer"),
    ("406", "Neither of the formats asked for is given"),
    ("414", "Path and query are too long"),
    ("421", "`Host` or `Origin` is not one of ours"),
    ("500", "The server failed"),
    ("503", "Too much is under way, or the server is stopping; come back later"),
];
/// What a request with a body may be answered with besides.
const WITH_BODY: &[(&str, &str)] = &[
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
    ("415", "The body's type or its compression is not one that is taken"),
];

/// Headers that an answer of these statuses may have, whatever the route.
const HEADERS: &[(&[&str], &str, &str)] = &[
    (&["401"], "WWW-Authenticate", "`Bearer`"),
    (&["410", "429", "503", "507"], "Retry-After", "In how many seconds to come back"),
    (&["410"], "Link", "Of relation `restart`: where to begin again"),
    (&["412"], "ETag", "The present tag, if there is one"),
];

/// The document, complete.
pub fn complete(document: &utoipa::openapi::OpenApi) -> Vec<u8> {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut).filter(|op| op.is_object()) {
            complete_operation(operation);
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        // A cap alone knows null: no limit.
        if !name.starts_with("Cap") {
            without_null(schema);
        }
        one_of_a_pair(schema);
    }
    document["components"]["securitySchemes"] = json!({"token": {"type": "http", "scheme": "bearer"}});
    document["security"] = json!([{}, {"token": []}]);
    // It holds texts and numbers only.
    serde_json::to_vec(&document).unwrap_or_default()
}

/// Adds to an operation what need not be said for each: what may go wrong, and CBOR wherever there is JSON.
fn complete_operation(operation: &mut Value) {
    let has_body = operation.get("requestBody").is_some();
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let besides: &[_] = if has_body { WITH_BODY } else { &[] };
    for (status, description) in ANY.iter().chain(besides) {
        responses.entry(*status).or_insert_with(|| json!({ "description": description }));
    }
    for (status, response) in responses {
        if status.starts_with(['4', '5']) && response.get("content").is_none() {
            response["content"] = json!({
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            });
        }
        for (_, name, description) in HEADERS.iter().filter(|(of, ..)| of.contains(&status.as_str())) {
            response["headers"][*name] = json!({"description": description, "schema": {"type": "string"}});
        }
        add_cbor(response);
    }
    if has_body {
        add_cbor(&mut operation["requestBody"]);
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        without_null(&mut parameter["schema"]);
        if parameter["name"].as_str().is_some_and(|name| name.ends_with("_base64")) {
            parameter["schema"]["pattern"] = BASE64.into();
        }
    }
}

/// Whatever is given or taken as JSON alone is given or taken as CBOR too.
fn add_cbor(part: &mut Value) {
    let Some(content) = part.get_mut("content").and_then(Value::as_object_mut) else { return };
    if let (1, Some(json)) = (content.len(), content.get("application/json").cloned()) {
        content.insert("application/cbor".to_owned(), json);
    }
}

/// Standard base64 with padding, whose last digit has no bits too many.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// Names are given as text or as base64: of what is needed, exactly one of the two. An origin is not needed, and a payload
/// not always.
fn one_of_a_pair(schema: &mut Value) {
    let is_given = schema["additionalProperties"] == false;
    let mut needed = Vec::new();
    for (name, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some(text) = name.strip_suffix("base64") {
            property["pattern"] = BASE64.into();
            let text = text.trim_end_matches('_');
            if is_given && ["dataset", "entity"].contains(&text) {
                needed.push(json!({"oneOf": [{"required": [text]}, {"required": [name]}]}));
            }
        }
    }
    if !needed.is_empty() {
        schema["allOf"] = needed.into();
    }
}

/// What does not apply is left out, not null: utoipa takes every `Option` for something that may be null.
fn without_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type").filter(|types| types.is_array()) {
        let left: Vec<Value> = types.as_array().into_iter().flatten().filter(|one| *one != "null").cloned().collect();
        *types = match <[Value; 1]>::try_from(left) {
            Ok([one]) => one,
            Err(left) => left.into(),
        };
    }
    if let Some(one_of) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        one_of.retain(|one| *one != json!({"type": "null"}));
        if let [Value::Object(one)] = &one_of[..] {
            let one = one.clone();
            if let Some(schema) = schema.as_object_mut() {
                schema.remove("oneOf");
                schema.extend(one);
            }
        }
    }
    // Not the items of a list: entities that were asked for and do not exist are null.
    for property in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        without_null(property);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_left_out_is_not_null() {
        let mut schema = json!({"properties": {
            "text": {"type": ["string", "null"], "pattern": "a"},
            "other": {"oneOf": [{"type": "null"}, {"$ref": "#/x"}]},
            "list": {"type": "array", "items": {"oneOf": [{"type": "null"}, {"$ref": "#/x"}]}},
        }});
        without_null(&mut schema);
        assert_eq!(
            schema,
            json!({"properties": {
                "text": {"type": "string", "pattern": "a"},
                "other": {"$ref": "#/x"},
                "list": {"type": "array", "items": {"oneOf": [{"type": "null"}, {"$ref": "#/x"}]}},
            }})
        );
    }

    #[test]
    fn of_a_name_and_its_base64_exactly_one_is_needed() {
        let mut schema = json!({"additionalProperties": false, "properties": {
            "dataset": {}, "dataset_base64": {}, "origin": {}, "origin_base64": {},
        }});
        one_of_a_pair(&mut schema);
        let one = json!({"oneOf": [{"required": ["dataset"]}, {"required": ["dataset_base64"]}]});
        assert_eq!(
            (&schema["allOf"], &schema["properties"]["origin_base64"]["pattern"]),
            (&json!([one]), &BASE64.into())
        );
        let mut answer = json!({"properties": {"dataset": {}, "dataset_base64": {}}});
        one_of_a_pair(&mut answer);
        assert!(answer.get("allOf").is_none());
    }

    #[test]
    fn an_operation_says_what_may_go_wrong() {
        let mut operation = json!({
            "requestBody": {"content": {"application/json": {"schema": {}}}},
            "responses": {"200": {"content": {"application/json": {}, "application/octet-stream": {}}}, "404": {"description": "x"}},
        });
        complete_operation(&mut operation);
        assert_eq!(operation["responses"]["404"]["description"], "x");
        for status in ["400", "404", "413", "503"] {
            assert!(operation["responses"][status]["content"]["application/problem+json"].is_object(), "{status}");
        }
        assert!(operation["responses"]["503"]["headers"]["Retry-After"].is_object());
        assert!(operation["responses"]["400"].get("headers").is_none());
        assert!(operation["requestBody"]["content"]["application/cbor"].is_object());
        assert!(operation["responses"]["200"]["content"].get("application/cbor").is_none());
        assert!(operation.get("parameters").is_none());
    }
}
