//! What the rows hold.

use serde::{Deserialize, Serialize};

use crate::codec::{Malformed, Reader, put_varint};
use crate::limits::{MAX_KEY, MAX_PAYLOAD_BYTES};
use crate::types::{Op, Retention};

/// The format of the index store that this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 2;

/// How far the log has been applied: everything up to `key`, and where the next frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Applied {
    /// The last key applied.
    pub key: u64,
    /// The segment in which replay begins.
    pub segment: u64,
    /// Where in that segment.
    pub offset: u64,
    /// How many datasets there are.
    pub datasets: u64,
}

/// A dataset as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// Its id, which is the key at which this incarnation began.
    pub id: u64,
    /// Its name.
    pub name: Vec<u8>,
    /// Its newest sealed key.
    pub head: u64,
    /// The time of that entry.
    pub head_time_ms: u64,
    /// At or below it, tombstones may be gone.
    pub floor: u64,
    /// The time of the entry at `floor`.
    pub floor_time_ms: u64,
    /// At or below it, superseded entries may be gone.
    pub history_floor: u64,
    /// The time of the entry at `history_floor`.
    pub history_floor_time_ms: u64,
    /// Raised whenever a chunk is rewritten, so that decoded chunks of before are not found again.
    pub epoch: u64,
    /// Its own retention, if it has one.
    pub retention: Option<Retention>,
    /// Entries kept.
    pub entries: u64,
    /// Their entities and payloads in bytes.
    pub bytes: u64,
    /// Superseding entries above `history_floor`: what the cap on history counts.
    pub superseding: u64,
    /// The bytes of the entries that those superseded.
    pub superseded_bytes: u64,
    /// Deletes that are the newest entry of their entity.
    pub tombstones: u64,
    /// Their bytes.
    pub tombstone_bytes: u64,
    /// Entries ever appended.
    pub seq: u64,
    /// Their bytes.
    pub seq_bytes: u64,
    /// Small chunks in a row at its end: enough of them are merged.
    pub small_run: u32,
    /// When its retention by age is due; 0 for never.
    pub due_ms: u64,
    /// At or below it everything is gone, since this was a window when it was trimmed; 0 if it never was. Reading from 0 is
    /// stale for good then. At most `floor`.
    pub window_floor: u64,
    /// When this incarnation began.
    pub created_ms: u64,
}

impl DatasetRecord {
    /// Whether a sealed entry is dropped, even while it still lies in its chunk. `mark` is its successor, if it has one.
    pub fn has_dropped(&self, key: u64, op: Op, mark: Option<u64>) -> bool {
        let by_window = key <= self.window_floor;
        let superseded = mark.is_some_and(|successor| successor <= self.history_floor);
        let purged = mark.is_none() && op == Op::Delete && key <= self.floor;
        by_window || superseded || purged
    }

    /// Whether the version before the sealed entry at `key`, which says that it is at `prev` (0: there was none), is there
    /// still.
    pub fn has_before(&self, key: u64, prev: u64) -> bool {
        prev > self.window_floor && key > self.history_floor
    }
}

/// A durable consumer of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConsumerRecord {
    /// All up to this key is acknowledged.
    pub position: u64,
    /// Where its first read from 0 ends, as long as it is below that; else 0.
    pub bound: u64,
    /// When it was last acknowledged.
    pub time_ms: u64,
}

impl ConsumerRecord {
    /// The highest floor that leaves everything the consumer still needs: its position, or the end of its first read,
    /// which needs nothing of what was dropped below that.
    pub fn needs(&self) -> u64 {
        self.position.max(self.bound)
    }
}

/// What a batch with an idempotency id was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// A hash of the batch's content.
    pub hash: [u8; 16],
    /// The first key.
    pub first: u64,
    /// The last key.
    pub last: u64,
    /// The time of the commit.
    pub time_ms: u64,
}

/// The newest version of an entity, as the index has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Its sync-key.
    pub key: u64,
    /// What it does.
    pub op: Op,
    /// The key at which the present life began; at most `key`.
    pub born: u64,
    /// Whether that life began over a tombstone.
    pub reborn: bool,
    /// The payload's length.
    pub payload_len: usize,
    /// The lengths of entity and payload together; not stored, since the row's key has the entity.
    pub bytes: u64,
}

const REBORN: u8 = 0x10;

impl Version {
    /// The row's value. The entity is not in it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        out.push(self.op as u8 | if self.reborn { REBORN } else { 0 });
        put_varint(&mut out, self.key);
        put_varint(&mut out, self.key.saturating_sub(self.born));
        put_varint(&mut out, self.payload_len as u64);
        out
    }

    /// The twin of [`Version::encode`].
    pub(super) fn decode(entity_len: usize, value: &[u8]) -> Result<Version, Malformed> {
        let mut reader = Reader::new(value);
        let tag = reader.u8()?;
        let op = Op::from_byte(tag & !REBORN).ok_or(Malformed("a version has an unknown op"))?;
        let key = reader.varint()?;
        if key == 0 || key > MAX_KEY {
            return Err(Malformed("a version's key is out of range"));
        }
        let born = key.checked_sub(reader.varint()?).ok_or(Malformed("a version is born before the first key"))?;
        let payload_len = reader.length(MAX_PAYLOAD_BYTES)?;
        if reader.remaining() != 0 {
            return Err(Malformed("a version is too long"));
        }
        let bytes = entity_len as u64 + payload_len as u64;
        Ok(Version { key, op, born, reborn: tag & REBORN != 0, payload_len, bytes })
    }
}
