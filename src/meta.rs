//! Cold metadata (dataset records, the ledger's body): serde and bincode, nowhere else, and never beyond a size limit.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::Malformed;
use crate::limits::MAX_RECORD_BYTES;

fn format() -> impl Options {
    bincode::DefaultOptions::new().with_limit(MAX_RECORD_BYTES as u64).with_varint_encoding().reject_trailing_bytes()
}

/// The stored form of `value`.
///
/// # Errors
///
/// If it would be larger than [`MAX_RECORD_BYTES`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Malformed> {
    format().serialize(value).map_err(|_| Malformed("a record is above its size limit"))
}

/// The value of its stored form.
///
/// # Errors
///
/// If the bytes are anything else than exactly one value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    format().deserialize(bytes).map_err(|_| Malformed("a record cannot be read"))
}
