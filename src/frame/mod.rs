//! The unit of the log: one commit is one frame, a header of 64 bytes and a body. Pure functions over bytes; the
//! layout is specified in `docs/format.md`.

mod body;
mod build;

use serde::{Deserialize, Serialize};

pub use body::{Body, DatasetRef, RecordKind};
pub use build::BodyBuilder;

use crate::codec::{Malformed, Reader};
use crate::limits::{MAX_BODY_BYTES, MAX_COMMIT_CHANGES, MAX_KEY};

/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 64;
/// Frames begin at multiples of this.
pub const ALIGN: u64 = 8;
/// What a header begins with: three letters and the version of header and body.
pub(crate) const TAG: [u8; 4] = *b"TLF\x01";

const CRC_AT: usize = HEADER_LEN - 4;
const _: () = assert!((HEADER_LEN as u64).is_multiple_of(ALIGN));
const _: () = assert!(TAG[0] != 0);

/// A place in the log. Everything before it in order of (segment, offset) lies below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct LogPos {
    /// The segment's id; ids count up.
    pub segment: u64,
    /// The offset in its file.
    pub offset: u64,
}

/// What a header's checksum is bound to, so that bytes which were written elsewhere never validate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The segment's id.
    pub segment: u64,
    /// The offset in its file.
    pub offset: u64,
    /// The random number in the segment's header.
    pub salt: u64,
}

impl Place {
    /// The place as a position.
    pub fn pos(&self) -> LogPos {
        LogPos { segment: self.segment, offset: self.offset }
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the body, padding not counted.
    pub body_len: u32,
    /// How many keys the frame takes: one for each record of the body.
    pub count: u32,
    /// The key of the first record.
    pub base: u64,
    /// The time of the commit, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The CRC-32 of the body.
    pub body_crc: u32,
    /// Everything before this was synced when the header was made.
    pub synced: LogPos,
    /// The previous header's own CRC (of the log's first frame: 0).
    pub prev_crc: u32,
}

impl FrameHeader {
    /// The header's bytes at a place, and its own CRC, which the next header continues.
    pub fn encode(&self, place: &Place) -> ([u8; HEADER_LEN], u32) {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..4].copy_from_slice(&TAG);
        bytes[4..8].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.body_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.synced.segment.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.synced.offset.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.prev_crc.to_le_bytes());
        let crc = salted_crc(&bytes[..CRC_AT], place);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// The header that was written at this very place, and its own CRC. None for any other bytes, also for fields that
    /// are out of bounds.
    pub fn decode(bytes: &[u8], place: &Place) -> Option<(FrameHeader, u32)> {
        let bytes: &[u8; HEADER_LEN] = bytes.get(..HEADER_LEN)?.try_into().ok()?;
        if bytes[..4] != TAG {
            return None;
        }
        let (header, crc) = FrameHeader::read(bytes).ok()?;
        let sound = crc == salted_crc(&bytes[..CRC_AT], place) && header.is_within_bounds(place);
        sound.then_some((header, crc))
    }

    fn read(bytes: &[u8; HEADER_LEN]) -> Result<(FrameHeader, u32), Malformed> {
        let mut reader = Reader::new(bytes);
        reader.take(TAG.len())?;
        let body_len = reader.u32()?;
        let count = reader.u32()?;
        let body_crc = reader.u32()?;
        let base = reader.u64()?;
        let time_ms = reader.u64()?;
        let synced = LogPos { segment: reader.u64()?, offset: reader.u64()? };
        let prev_crc = reader.u32()?;
        if reader.array::<8>()? != [0; 8] {
            return Err(Malformed("reserved bytes are not zero"));
        }
        let crc = reader.u32()?;
        Ok((FrameHeader { body_len, count, base, time_ms, body_crc, synced, prev_crc }, crc))
    }

    fn is_within_bounds(&self, place: &Place) -> bool {
        (1..=MAX_BODY_BYTES).contains(&(self.body_len as usize))
            && (1..=MAX_COMMIT_CHANGES).contains(&(self.count as usize))
            && self.base >= 1
            && self.base <= MAX_KEY - u64::from(self.count)
            && self.synced <= place.pos()
            && self.synced.offset.is_multiple_of(ALIGN)
    }

    /// The key of the last record.
    pub fn last_key(&self) -> u64 {
        self.base.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// Bytes of header, body and padding.
    pub fn frame_len(&self) -> u64 {
        frame_len(self.body_len as usize)
    }
}

/// Bytes that a frame with a body of this many takes in the log.
pub fn frame_len(body_len: usize) -> u64 {
    (HEADER_LEN as u64 + body_len as u64).next_multiple_of(ALIGN)
}

fn salted_crc(bytes: &[u8], place: &Place) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.segment.to_le_bytes());
    hasher.update(&place.offset.to_le_bytes());
    hasher.update(&place.salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
pub(crate) mod tests;
