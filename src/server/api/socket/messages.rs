//! The messages of a socket. What comes in may be hostile.

use axum::extract::ws::Message;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::{self, DatasetBody};
use crate::server::api::changes::{ChangesBody, ViewName};
use crate::server::api::commits::CommitBody;
use crate::server::extract::dataset_of;
use crate::server::problem::{Problem, ProblemBody};
use crate::{Batch, Commit, Page};

/// The longest `ref`, in bytes as it is written.
const MAX_REF_BYTES: usize = 256;

/// What a client says.
#[derive(Debug)]
pub enum Said {
    /// Follow a dataset.
    Subscribe(Vec<u8>, Subscribe),
    /// Follow it no more.
    Unsubscribe(Vec<u8>),
    /// Commit this.
    Commit(Result<Batch, Problem>, Ref),
}

/// What a commit is answered under: the source text of a number or a string.
pub type Ref = Option<Box<RawValue>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    subscribe: Option<Subscribe>,
    unsubscribe: Option<Unsubscribe>,
    #[serde(borrow)]
    commit: Option<&'a RawValue>,
    #[serde(borrow, rename = "ref")]
    reference: Option<&'a RawValue>,
}

/// How a dataset is to be followed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    dataset: Option<String>,
    dataset_base64: Option<String>,
    /// From where.
    pub since: Option<String>,
    /// Which entries.
    pub view: Option<ViewName>,
    /// Whether with payloads.
    pub payloads: Option<bool>,
    /// How many entries in a message.
    pub limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    dataset: Option<String>,
    dataset_base64: Option<String>,
}

/// What a message says.
///
/// # Errors
///
/// `invalid`.
pub fn read(text: &str) -> Result<Said, Problem> {
    let written: Written<'_> =
        serde_json::from_str(text).map_err(|e| Problem::invalid(format!("the message cannot be read: {e}")))?;
    match written {
        Written { subscribe: Some(mut subscribe), unsubscribe: None, commit: None, reference: None } => {
            let dataset = dataset_of(subscribe.dataset.take(), subscribe.dataset_base64.as_deref())?;
            Ok(Said::Subscribe(dataset, subscribe))
        }
        Written { subscribe: None, unsubscribe: Some(unsubscribe), commit: None, reference: None } => {
            Ok(Said::Unsubscribe(dataset_of(unsubscribe.dataset, unsubscribe.dataset_base64.as_deref())?))
        }
        Written { subscribe: None, unsubscribe: None, commit: Some(commit), reference } => {
            let reference = reference.map(of_reference).transpose()?;
            Ok(Said::Commit(json::commit(commit.get()).map_err(Problem::from), reference))
        }
        _ => Err(Problem::invalid(
            "a message is one of {\"subscribe\":{..}}, {\"unsubscribe\":{..}} and {\"commit\":{..},\"ref\":..}",
        )),
    }
}

fn of_reference(raw: &RawValue) -> Result<Box<RawValue>, Problem> {
    let plain = !raw.get().starts_with(['{', '[']);
    match plain && raw.get().len() <= MAX_REF_BYTES {
        true => Ok(raw.to_owned()),
        false => Err(Problem::invalid(format!("`ref` is a number or a string of at most {MAX_REF_BYTES} bytes"))),
    }
}

#[derive(Serialize)]
struct Changes<'a> {
    changes: ChangesOf<'a>,
}

#[derive(Serialize)]
struct ChangesOf<'a> {
    #[serde(flatten)]
    dataset: DatasetBody<'a>,
    #[serde(flatten)]
    page: ChangesBody<'a>,
}

/// A page of a dataset that is followed.
///
/// # Errors
///
/// None that a page of ours can meet.
pub fn changes(dataset: &[u8], page: &Page) -> Result<Vec<u8>, Problem> {
    written(&Changes { changes: ChangesOf { dataset: json::dataset(dataset), page: ChangesBody::new(dataset, page) } })
}

#[derive(Serialize)]
struct Failed<'a> {
    failed: Failure<'a>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    dataset: Option<DatasetBody<'a>>,
    problem: ProblemBody<'a>,
}

/// What could not be done: a subscription, a commit, or a message that is none.
pub fn failed(problem: &Problem, dataset: Option<&[u8]>, reference: &Ref) -> Message {
    let failed = Failure { dataset: dataset.map(json::dataset), problem: problem.body() };
    message(&Failed { failed, reference: reference.as_deref() })
}

#[derive(Serialize)]
struct Unsubscribed<'a> {
    unsubscribed: DatasetBody<'a>,
}

/// Nothing of the dataset comes after this.
pub fn unsubscribed(dataset: &[u8]) -> Message {
    message(&Unsubscribed { unsubscribed: json::dataset(dataset) })
}

#[derive(Serialize)]
struct Committed<'a> {
    committed: CommitBody,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a RawValue>,
}

/// A commit is there.
pub fn committed(commit: Commit, reference: &Ref) -> Message {
    message(&Committed { committed: commit.into(), reference: reference.as_deref() })
}

fn message(value: &impl Serialize) -> Message {
    // It holds texts and numbers only.
    Message::text(serde_json::to_string(value).unwrap_or_default())
}

fn written(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|e| Problem::internal(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            "",
            "7",
            "null",
            "{}",
            "{\"ref\":1}",
            "{\"subscribe\":{}}",
            "{\"subscribe\":{\"dataset\":\"\\u0000g\"}}",
            "{\"subscribe\":{\"dataset\":\"d\",\"wait\":1}}",
            "{\"subscribe\":{\"dataset\":\"d\"},\"unsubscribe\":{\"dataset\":\"d\"}}",
            "{\"subscribe\":{\"dataset\":\"d\"},\"ref\":1}",
            "{\"unsubscribe\":{\"dataset\":\"d\",\"dataset_base64\":\"ZA==\"}}",
            "{\"commit\":{},\"ref\":{}}",
            "{\"commit\":{},\"ref\":[1]}",
        ] {
            assert_eq!(read(text).expect_err(text).kind(), "invalid", "{text}");
        }
        let long = format!("{{\"commit\":{{}},\"ref\":\"{}\"}}", "x".repeat(MAX_REF_BYTES));
        assert_eq!(read(&long).unwrap_err().kind(), "invalid");
    }

    #[test]
    fn a_commit_that_cannot_be_read_keeps_its_ref() {
        let Ok(Said::Commit(Err(problem), reference)) = read("{\"commit\":{\"changes\":7},\"ref\": \"a\" }") else {
            panic!("it is a commit")
        };
        let Message::Text(text) = failed(&problem, None, &reference) else { panic!("it is text") };
        assert!(text.ends_with("},\"ref\":\"a\"}"), "{text}");
    }
}
