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
/// Its bytes are shared with the engine or with the page that it came in, and keep up to 16 KiB around them in memory, or
/// what else was read with it. Copy what you keep for long.
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

impl Entry {
    /// The entry, borrowed.
    pub fn borrowed(&self) -> EntryRef<'_> {
        EntryRef {
            key: self.key,
            op: self.op,
            entity: &self.entity,
            payload: self.payload.as_deref(),
            payload_len: self.payload_len,
            time_ms: self.time_ms,
            origin: self.origin.as_deref(),
            new: self.new,
            last: self.last,
        }
    }
}

/// An [`Entry`] that borrows its bytes, from a page mostly. The fields mean the same.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryRef<'a> {
    /// Its sync-key.
    pub key: SyncKey,
    /// What the caller recorded.
    pub op: Op,
    /// The entity's id.
    pub entity: &'a [u8],
    /// The payload; none for a delete, and none where the read left payloads out.
    pub payload: Option<&'a [u8]>,
    /// The payload's length in bytes, also where the payload was left out. 0 for a delete.
    pub payload_len: usize,
    /// The time of the commit, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The client or device that made the change, if the batch named one.
    pub origin: Option<&'a [u8]>,
    /// Whether the entity's present life began after the start of this read.
    pub new: bool,
    /// Whether this is the dataset's last entry in its commit.
    pub last: bool,
}

impl std::fmt::Debug for EntryRef<'_> {
    /// As [`Entry`], whose bytes are shown as text where they are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_entry().fmt(f)
    }
}

impl<'a> From<&'a Entry> for EntryRef<'a> {
    fn from(entry: &'a Entry) -> EntryRef<'a> {
        entry.borrowed()
    }
}

impl EntryRef<'_> {
    /// A copy that can be kept, detached from the page.
    pub fn to_entry(&self) -> Entry {
        Entry {
            key: self.key,
            op: self.op,
            entity: Bytes::copy_from_slice(self.entity),
            payload: self.payload.map(Bytes::copy_from_slice),
            payload_len: self.payload_len,
            time_ms: self.time_ms,
            origin: self.origin.map(Bytes::copy_from_slice),
            new: self.new,
            last: self.last,
        }
    }
}
