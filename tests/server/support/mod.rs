//! The server as a child process, and a small client that sends what it is told, byte for byte.

mod http;
mod server;

pub use http::{Answer, Sent, exchange};
pub use server::{Server, peak, resident};

/// A put of one entity as a commit's text.
pub fn put(dataset: &str, entity: &str, payload: &str) -> String {
    format!(r#"{{"dataset":"{dataset}","op":"put","entity":"{entity}","payload":{payload}}}"#)
}

/// The field of every entry of an answer.
pub fn field(answer: &serde_json::Value, field: &str) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    answer["entries"].as_array().expect("there are entries").iter().map(|entry| text(&entry[field])).collect()
}
