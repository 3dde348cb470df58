use super::ChunkEntry;
use crate::codec::{Malformed, Reader, put_varint};
use crate::limits::{MAX_CHUNK_ENTRIES, MAX_KEY};
use crate::types::Op;

/// The first byte of every encoded row. Zero is never a version.
const VERSION: u8 = 1;

/// What a chunk holds, in numbers, so that retention and the count of what is pending need not read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChunkMeta {
    /// The key of its first entry.
    pub first: u64,
    /// The key of its last entry.
    pub last: u64,
    /// Entries in it.
    pub count: u32,
    /// Entries that replaced an older version.
    pub superseding: u32,
    /// Entities and payloads of the versions they replaced, in bytes.
    pub superseded_bytes: u64,
    /// Entries that are deletes.
    pub deletes: u32,
    /// Entities and payloads of all entries, in bytes.
    pub bytes: u64,
    /// When the first entry was committed, in milliseconds since the Unix epoch.
    pub first_time_ms: u64,
    /// When the last entry was committed.
    pub last_time_ms: u64,
    /// Entries ever appended to the dataset, up to and including this chunk's.
    pub seq: u64,
    /// Their entities and payloads, in bytes.
    pub seq_bytes: u64,
    /// Entries that are dropped, but still lie in the chunk.
    pub dead: u32,
    /// Their entities and payloads, in bytes.
    pub dead_bytes: u64,
}

impl ChunkMeta {
    /// The counts of a decoded chunk's entries, without `seq` and `seq_bytes`.
    pub fn of<'a>(entries: impl IntoIterator<Item = ChunkEntry<'a>>) -> ChunkMeta {
        let mut meta = ChunkMeta::default();
        entries.into_iter().for_each(|entry| meta.add(&entry));
        meta
    }

    /// With the dataset's running totals.
    pub const fn with_seq(self, seq: u64, seq_bytes: u64) -> ChunkMeta {
        ChunkMeta { seq, seq_bytes, ..self }
    }

    /// Counts one more entry, above the last.
    pub(super) fn add(&mut self, entry: &ChunkEntry<'_>) {
        if self.count == 0 {
            self.first = entry.key;
            self.first_time_ms = entry.time_ms;
        }
        self.last = entry.key;
        self.last_time_ms = entry.time_ms;
        self.count += 1;
        self.superseding += u32::from(entry.prev != 0);
        self.superseded_bytes += entry.prev_bytes;
        self.deletes += u32::from(entry.op == Op::Delete);
        self.bytes += entry.entity.len() as u64 + entry.payload.len() as u64;
    }

    /// The row that stands for it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.push(VERSION);
        for value in [
            self.last,
            self.last.saturating_sub(self.first),
            u64::from(self.count),
            u64::from(self.superseding),
            self.superseded_bytes,
            u64::from(self.deletes),
            self.bytes,
            self.last_time_ms,
            self.last_time_ms.saturating_sub(self.first_time_ms),
            self.seq,
            self.seq_bytes,
            u64::from(self.dead),
            self.dead_bytes,
        ] {
            put_varint(&mut out, value);
        }
        out
    }

    /// The counts of a row.
    ///
    /// # Errors
    ///
    /// If the bytes are no row, or one whose numbers contradict each other; one without running totals does.
    pub fn decode(bytes: &[u8]) -> Result<ChunkMeta, Malformed> {
        const WRONG: Malformed = Malformed("a chunk's counts contradict each other");
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Malformed("the version of a chunk's counts is unknown"));
        }
        let last = reader.varint()?;
        let first = last.checked_sub(reader.varint()?).ok_or(WRONG)?;
        let count = reader.length(MAX_CHUNK_ENTRIES)? as u32;
        let superseding = reader.length(count as usize)? as u32;
        let superseded_bytes = reader.varint()?;
        let deletes = reader.length(count as usize)? as u32;
        let bytes = reader.varint()?;
        let last_time_ms = reader.varint()?;
        let first_time_ms = last_time_ms.checked_sub(reader.varint()?).ok_or(WRONG)?;
        let (seq, seq_bytes) = (reader.varint()?, reader.varint()?);
        let (dead, dead_bytes) = (reader.length(count as usize)? as u32, reader.varint()?);
        let keys_fit = last <= MAX_KEY && first > 0 && count > 0 && u64::from(count) - 1 <= last - first;
        let totals_fit = seq >= u64::from(count) && seq_bytes >= bytes && dead_bytes <= bytes;
        if !keys_fit || !totals_fit || reader.remaining() != 0 {
            return Err(WRONG);
        }
        Ok(ChunkMeta {
            first,
            last,
            count,
            superseding,
            superseded_bytes,
            deletes,
            bytes,
            first_time_ms,
            last_time_ms,
            seq,
            seq_bytes,
            dead,
            dead_bytes,
        })
    }
}
