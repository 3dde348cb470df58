use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tidelog::client::Memory;

/// The entities of a dataset and their payloads.
pub type Dataset = BTreeMap<Bytes, Bytes>;
/// The datasets of a store, the server's own left aside.
pub type State = BTreeMap<Bytes, Dataset>;

/// What a replica holds.
pub fn copy(memory: &Memory) -> Dataset {
    let payload = |payload: &Option<Bytes>| payload.clone().expect("a live entity has a payload");
    memory.iter().map(|(entity, entry)| (entity.clone(), payload(&entry.payload))).collect()
}

/// That two datasets are the same; if not, the first difference is told.
#[track_caller]
pub fn assert_same(what: &str, got: &Dataset, wanted: &Dataset) {
    let differs = |entity: &&Bytes| got.get(*entity) != wanted.get(*entity);
    if let Some(entity) = got.keys().chain(wanted.keys()).find(differs) {
        panic!(
            "{what} differs ({} entities, wanted {}), first in {entity:?}: {:?}, wanted {:?}",
            got.len(),
            wanted.len(),
            got.get(entity),
            wanted.get(entity)
        );
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    changes: Vec<Change<'a>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    dataset: Option<String>,
    dataset_base64: Option<String>,
    op: String,
    entity: Option<String>,
    entity_base64: Option<String>,
    #[serde(borrow, default, deserialize_with = "given")]
    payload: Option<&'a RawValue>,
    payload_base64: Option<String>,
}

/// A payload that is null is one.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What `tidelog export` printed.
pub fn exported(lines: &str) -> State {
    let mut state = State::new();
    for line in lines.lines() {
        let line: Line<'_> = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for change in line.changes {
            let dataset = name(change.dataset, change.dataset_base64);
            let entity = name(change.entity, change.entity_base64);
            if dataset.starts_with(b"\0") {
                continue;
            }
            let entities = state.entry(dataset).or_default();
            match change.op.as_str() {
                "delete" => entities.remove(&entity),
                _ => entities.insert(entity, payload(change.payload, change.payload_base64)),
            };
        }
    }
    state
}

fn name(text: Option<String>, base64: Option<String>) -> Bytes {
    text.map_or_else(|| STANDARD.decode(base64.expect("a name")).expect("base64").into(), Bytes::from)
}

fn payload(json: Option<&RawValue>, base64: Option<String>) -> Bytes {
    match json {
        Some(json) => Bytes::copy_from_slice(json.get().as_bytes()),
        None => STANDARD.decode(base64.expect("a payload")).expect("base64").into(),
    }
}
