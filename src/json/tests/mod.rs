//! What goes in, what comes out, and that the two fit.

mod properties;
mod reading;
mod writing;

use bytes::Bytes;

use crate::{Entry, Op, SyncKey};

fn an_entry(op: Op, payload: Option<&[u8]>) -> Entry {
    Entry {
        key: SyncKey::new(1 << 60),
        op,
        entity: Bytes::from_static(b"e"),
        payload_len: payload.map_or(0, <[u8]>::len),
        payload: payload.map(Bytes::copy_from_slice),
        time_ms: 1_700_000_000_000,
        origin: None,
        new: true,
        last: false,
    }
}

fn written(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).expect("it serialises")
}
