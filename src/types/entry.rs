use bytes::Bytes;

use super::SyncKey;

/// What a change does to its entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    /// The entity begins to exist.
    Create = 1,
    /// The entity's payload is replaced.
    Update = 2,
    /// The entity ceases to exist.
    Delete = 3,
}

impl Op {
    /// A stable name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Op::Create => "create",
            Op::Update => "update",
            Op::Delete => "delete",
        }
    }

    /// The op of its stored form; none for any other byte (0 included).
    pub(crate) const fn from_byte(byte: u8) -> Option<Op> {
        match byte {
            1 => Some(Op::Create),
            2 => Some(Op::Update),
            3 => Some(Op::Delete),
            _ => None,
        }
    }
}

/// One recorded change, as a read hands it out.
///
/// Its bytes are shared with the engine, and keep up to 16 KiB around them in memory (a page of sealed entries: their
/// chunk). Copy what you keep for long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its sync-key.
    pub key: SyncKey,
    /// What the caller recorded ([`Batch::put`](crate::Batch::put) is resolved to create or update).
    pub op: Op,
    /// The entity's id.
    pub entity: Bytes,
    /// The payload; none for a delete, and none where the read left payloads out.
    pub payload: Option<Bytes>,
    /// The payload's length in bytes, also where the payload was left out. 0 for a delete.
    pub payload_len: usize,
    /// The time of the commit, in milliseconds since the Unix epoch. It never runs backwards within a store.
    pub time_ms: u64,
    /// The client or device that made the change, if the batch named one.
    pub origin: Option<Bytes>,
    /// Whether the entity's present life began after the start of this read. It may be true for an entity that the
    /// client knows, never false for one that it does not: apply both as an upsert. Outside of `changes` it is true
    /// for the first entry of a life.
    pub new: bool,
    /// Whether this is the dataset's last entry in its commit.
    pub last: bool,
}
