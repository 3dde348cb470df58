//! Single entries, each with a share of its bytes.

use bytes::Bytes;

use crate::chunk::Chunk;
use crate::tail::{COPY_ABOVE_BYTES, Inner, TailDataset, TailEntry};
use crate::types::{Entry, Op, SyncKey};

/// An entry of a chunk, as it is handed out.
pub fn sealed_entry(chunk: &Chunk, at: usize, payloads: bool, new: bool) -> Entry {
    let row = chunk.entry(at);
    let detached = !payloads && chunk.bytes().len() > COPY_ABOVE_BYTES;
    let payload = (payloads && row.op != Op::Delete).then(|| chunk.payload_bytes(at));
    Entry {
        key: SyncKey::new(row.key),
        op: row.op,
        entity: if detached { Bytes::copy_from_slice(row.entity) } else { chunk.entity_bytes(at) },
        payload_len: row.payload.len(),
        payload,
        time_ms: row.time_ms,
        origin: if detached { row.origin.map(Bytes::copy_from_slice) } else { chunk.origin_bytes(at) },
        new,
        last: row.last,
    }
}

/// An entry of a tail, as it is handed out; whether it is new is to be found out.
pub fn tail_entry(inner: &Inner, part: &TailDataset, entry: &TailEntry, payloads: bool) -> Entry {
    let frame = &inner.frames[entry.frame as usize];
    Entry {
        key: SyncKey::new(entry.key),
        op: entry.op,
        entity: part.entity_bytes(entry),
        payload: (payloads && entry.op != Op::Delete).then(|| part.payload_bytes(entry)),
        payload_len: entry.payload_len(),
        time_ms: frame.time_ms,
        origin: frame.origin.clone(),
        new: false,
        last: entry.last,
    }
}
