//! What can be told of a call without looking into the store.

use bytes::Bytes;

use crate::error::{Error, Name, Result};
use crate::limits::{
    MAX_COMMIT_CHANGES, MAX_DATASET_BYTES, MAX_ENTITY_BYTES, MAX_IDEMPOTENCY_ID_BYTES, MAX_ORIGIN_BYTES,
};
use crate::options::Options;
use crate::tail::{size_of_commit, spare};
use crate::types::Batch;

/// Checks what can be told of a batch without the store, and returns about how many bytes it will take.
pub fn batch(options: &Options, batch: &Batch) -> Result<usize> {
    if batch.changes.is_empty() || batch.changes.len() > MAX_COMMIT_CHANGES {
        return Err(Error::invalid(format!(
            "a batch of {} changes: 1..={MAX_COMMIT_CHANGES} are allowed",
            batch.changes.len()
        )));
    }
    for (what, name, most) in [
        ("an origin", &batch.origin, MAX_ORIGIN_BYTES),
        ("an idempotency id", &batch.idempotency_id, MAX_IDEMPOTENCY_ID_BYTES),
    ] {
        if let Some(name) = name.as_ref().filter(|name| name.is_empty() || name.len() > most) {
            return Err(Error::invalid(format!("{what} of {} bytes: 1..={most} are allowed", name.len())));
        }
    }
    let (mut data, mut datasets) = (0, 0);
    let mut before: &[u8] = &[];
    for change in &batch.changes {
        dataset(&change.dataset)?;
        entity(&change.entity)?;
        if change.payload.len() > options.max_payload {
            return Err(Error::invalid(format!(
                "a payload of {} bytes for entity '{}': at most {} are allowed (`Options::max_payload`)",
                change.payload.len(),
                Name(&change.entity),
                options.max_payload
            )));
        }
        data += change.entity.len() + change.payload.len();
        if change.dataset[..] != *before {
            data += change.dataset.len();
            datasets += 1;
        }
        before = &change.dataset;
    }
    let bytes = size_of_commit(data, batch.changes.len(), datasets);
    if bytes > options.commit_limit() {
        return Err(Error::invalid(format!(
            "a commit of about {bytes} bytes: at most {} are allowed with this memory budget; split it, or raise \
             `Options::memory`",
            options.commit_limit()
        )));
    }
    Ok(bytes + spare(data))
}

/// A dataset's name.
pub fn dataset(dataset: &[u8]) -> Result<&[u8]> {
    if dataset.is_empty() || dataset.len() > MAX_DATASET_BYTES {
        return Err(Error::invalid(format!(
            "a dataset name of {} bytes: 1..={MAX_DATASET_BYTES} are allowed",
            dataset.len()
        )));
    }
    Ok(dataset)
}

/// A dataset's name, to keep.
pub fn name(dataset: &[u8]) -> Result<Bytes> {
    self::dataset(dataset).map(Bytes::copy_from_slice)
}

/// An entity's id.
pub fn entity(entity: &[u8]) -> Result<&[u8]> {
    if entity.is_empty() || entity.len() > MAX_ENTITY_BYTES {
        return Err(Error::invalid(format!(
            "an entity id of {} bytes: 1..={MAX_ENTITY_BYTES} are allowed",
            entity.len()
        )));
    }
    Ok(entity)
}
