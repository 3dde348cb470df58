//! Sealed entries of one dataset, consecutive in key order. `docs/format.md` has the bytes.

mod builder;
mod meta;

use bytes::Bytes;

use crate::codec::{Malformed, Reader};
use crate::limits::{
    MAX_CHUNK_BYTES, MAX_CHUNK_ENTRIES, MAX_ENTITY_BYTES, MAX_KEY, MAX_ORIGIN_BYTES, MAX_PAYLOAD_BYTES,
};
use crate::planted::{Bug, planted};
use crate::types::Op;
use crate::window::Born;

pub use builder::ChunkBuilder;
pub use meta::ChunkMeta;

/// The first byte of every chunk. Zero is never a version.
const VERSION: u8 = 1;
/// The version and the CRC.
const HEADER_BYTES: usize = 5;
/// Fewest bytes of one entry: key, flags, time, two lengths, an entity of one byte.
const MIN_ENTRY_BYTES: usize = 6;
/// Most bytes of one entry beside its origin, entity and payload: flags and eight varints.
const MAX_ENVELOPE_BYTES: usize = 1 + 8 * 10;

/// The lowest two bits of an entry's flags are its op.
const OP: u8 = 0b11;
const LAST: u8 = 1 << 2;
const REBORN: u8 = 1 << 3;
const HAS_PREV: u8 = 1 << 4;
const HAS_ORIGIN: u8 = 1 << 5;
const BORN_HERE: u8 = 1 << 6;
const PREV_DELETE: u8 = 1 << 7;

// The largest entry fits a chunk of its own, with a header that has a count, a table of one origin and its length.
const _: () = assert!(
    HEADER_BYTES + 4 * 10 + MAX_ORIGIN_BYTES + MAX_ENVELOPE_BYTES + MAX_ENTITY_BYTES + MAX_PAYLOAD_BYTES
        <= MAX_CHUNK_BYTES
);
const _: () = assert!(MAX_ORIGIN_BYTES <= u8::MAX as usize && MAX_ENTITY_BYTES <= u16::MAX as usize);
const _: () = assert!(MAX_ENTITY_BYTES + MAX_PAYLOAD_BYTES <= u32::MAX as usize);

/// One sealed entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkEntry<'a> {
    /// Its sync-key.
    pub key: u64,
    /// What it does to its entity.
    pub op: Op,
    /// Whether it is its dataset's last entry in its commit.
    pub last: bool,
    /// The key of the previous version of the entity; 0 if there was none.
    pub prev: u64,
    /// Entity and payload of the previous version, in bytes; 0 if there was none.
    pub prev_bytes: u64,
    /// Whether the previous version was a delete.
    pub prev_delete: bool,
    /// Where the entity's present life (for a delete: the life it ended) began.
    pub born: u64,
    /// Whether that life began over a tombstone that was still known.
    pub reborn: bool,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Who made it, if its batch said so.
    pub origin: Option<&'a [u8]>,
    /// The entity's id.
    pub entity: &'a [u8],
    /// The payload; empty for a delete.
    pub payload: &'a [u8],
}

impl ChunkEntry<'_> {
    /// The lengths of entity and payload together.
    pub fn bytes(&self) -> u64 {
        (self.entity.len() + self.payload.len()) as u64
    }
}

/// A decoded chunk: the bytes as they were stored, and where in them each entry is.
#[derive(Debug, Clone)]
pub struct Chunk {
    bytes: Bytes,
    rows: Vec<Row>,
}

/// Where an entry is, and what is known of it beside its bytes. The payload follows the entity.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    key: u64,
    prev: u64,
    born: u64,
    time_ms: u64,
    prev_bytes: u32,
    entity_at: u32,
    payload_len: u32,
    origin_at: u32,
    /// Of entities and payloads of all entries up to and including this one.
    bytes_upto: u32,
    entity_len: u16,
    origin_len: u8,
    flags: u8,
}

const _: () = assert!(size_of::<Row>() == 56);

impl Chunk {
    /// The chunk of these bytes. They may be hostile: what it allocates is bounded by their number.
    ///
    /// # Errors
    ///
    /// If the bytes are anything else than one whole chunk.
    pub fn decode(bytes: Bytes) -> Result<Chunk, Malformed> {
        let rows = decode_rows(&bytes)?;
        Ok(Chunk { bytes, rows })
    }

    /// Its length as it is stored, before compression.
    pub fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// How many entries it holds; at least 1.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The key of its first entry.
    pub fn first_key(&self) -> u64 {
        self.rows.first().map_or(0, |row| row.key)
    }

    /// The key of its last entry, under which it is stored.
    pub fn last_key(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.key)
    }

    /// The key of entry `i`, which must be below `len()`.
    pub fn key(&self, i: usize) -> u64 {
        self.rows[i].key
    }

    /// All its bytes, in which [`Row::place`] says where an entry is.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Entry `i`, which must be below `len()`, without its bytes.
    pub fn row(&self, i: usize) -> &Row {
        &self.rows[i]
    }

    /// How many bytes of entities and payloads the entries from `i` on hold.
    pub fn bytes_from(&self, i: usize) -> u64 {
        let upto = |row: Option<&Row>| row.map_or(0, |row| u64::from(row.bytes_upto));
        upto(self.rows.last()) - upto(i.checked_sub(1).and_then(|before| self.rows.get(before)))
    }

    /// The entity of an entry of this chunk.
    pub fn entity(&self, row: &Row) -> &[u8] {
        let at = row.entity_at as usize;
        &self.bytes[at..at + row.entity_len as usize]
    }

    /// The origin of an entry of this chunk.
    pub fn origin(&self, row: &Row) -> Option<&[u8]> {
        let at = row.origin_at as usize;
        (row.flags & HAS_ORIGIN != 0).then(|| &self.bytes[at..at + row.origin_len as usize])
    }

    /// Entry `i`, which must be below `len()`.
    #[inline]
    pub fn entry(&self, i: usize) -> ChunkEntry<'_> {
        let row = &self.rows[i];
        let entity_end = row.entity_at as usize + row.entity_len as usize;
        ChunkEntry {
            key: row.key,
            op: row.op(),
            last: row.last(),
            prev: row.prev,
            prev_bytes: u64::from(row.prev_bytes),
            prev_delete: row.flags & PREV_DELETE != 0,
            born: row.born,
            reborn: row.life().reborn,
            time_ms: row.time_ms,
            origin: self.origin(row),
            entity: self.entity(row),
            payload: &self.bytes[entity_end..entity_end + row.payload_len as usize],
        }
    }

    /// Every entry, in key order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ChunkEntry<'_>> {
        (0..self.len()).map(|i| self.entry(i))
    }

    /// The id of entry `i`'s entity, sharing this chunk's bytes.
    pub fn entity_bytes(&self, i: usize) -> Bytes {
        let row = &self.rows[i];
        self.bytes.slice(row.entity_at as usize..row.entity_at as usize + row.entity_len as usize)
    }

    /// The payload of entry `i`, sharing this chunk's bytes.
    pub fn payload_bytes(&self, i: usize) -> Bytes {
        let row = &self.rows[i];
        let at = row.entity_at as usize + row.entity_len as usize;
        self.bytes.slice(at..at + row.payload_len as usize)
    }

    /// The origin of entry `i`, sharing this chunk's bytes.
    pub fn origin_bytes(&self, i: usize) -> Option<Bytes> {
        let row = &self.rows[i];
        let at = row.origin_at as usize;
        (row.flags & HAS_ORIGIN != 0).then(|| self.bytes.slice(at..at + row.origin_len as usize))
    }

    /// The index of the first entry above `key`; `len()` if there is none.
    pub fn search(&self, key: u64) -> usize {
        self.rows.partition_point(|row| row.key <= key)
    }

    /// The index of the entry at `key`, if there is one.
    pub fn find(&self, key: u64) -> Option<usize> {
        self.rows.binary_search_by_key(&key, |row| row.key).ok()
    }

    /// About how many bytes of memory it holds.
    pub fn memory(&self) -> usize {
        size_of::<Chunk>() + self.bytes.len() + self.rows.capacity() * size_of::<Row>()
    }
}

impl Row {
    /// Its sync-key.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// When it was committed, in milliseconds since the Unix epoch.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Whether it is its dataset's last entry in its commit.
    pub fn last(&self) -> bool {
        self.flags & LAST != 0
    }

    /// Where its entity's present life began.
    pub fn life(&self) -> Born {
        Born { born: self.born, reborn: self.flags & REBORN != 0 }
    }

    /// Where its entity is in the chunk, with the lengths of that and of the payload behind it.
    pub fn place(&self) -> (u32, u16, u32) {
        (self.entity_at, self.entity_len, self.payload_len)
    }

    /// What it does to its entity.
    pub fn op(&self) -> Op {
        match self.flags & OP {
            1 => Op::Create,
            2 => Op::Update,
            _ => Op::Delete, // 3: decoding refuses 0
        }
    }
}

fn decode_rows(bytes: &[u8]) -> Result<Vec<Row>, Malformed> {
    if bytes.len() > MAX_CHUNK_BYTES {
        return Err(Malformed("a chunk is above its size limit"));
    }
    let mut reader = Reader::new(bytes);
    let version = reader.u8()?;
    if version != VERSION {
        return Err(Malformed("a chunk's version is unknown"));
    }
    let crc = reader.u32()?;
    if checksum(bytes.get(HEADER_BYTES..).unwrap_or_default()) != crc && !planted(Bug::ChunkUnchecked) {
        return Err(Malformed("a chunk's checksum is wrong"));
    }
    let count = reader.length(MAX_CHUNK_ENTRIES)?;
    if count == 0 || count > reader.remaining() / MIN_ENTRY_BYTES {
        return Err(Malformed("a chunk's count does not fit its size"));
    }
    let mut origins = Vec::new();
    for _ in 0..reader.length(count)? {
        let len = reader.length(MAX_ORIGIN_BYTES)?;
        origins.push((reader.position() as u32, len as u8));
        reader.take(len)?;
    }
    let mut rows = Vec::with_capacity(count);
    let (mut key, mut time_ms, mut bytes_upto) = (0, 0, 0);
    for _ in 0..count {
        let mut row = decode_row(&mut reader, key, time_ms, &origins)?;
        // All of them are within the chunk's length, which is limited.
        bytes_upto += u32::from(row.entity_len) + row.payload_len;
        row.bytes_upto = bytes_upto;
        (key, time_ms) = (row.key, row.time_ms);
        rows.push(row);
    }
    match reader.remaining() {
        0 => Ok(rows),
        _ => Err(Malformed("a chunk has trailing bytes")),
    }
}

/// The entry after the one with key `after`, committed at `since`.
#[inline]
fn decode_row(reader: &mut Reader<'_>, after: u64, since: u64, origins: &[(u32, u8)]) -> Result<Row, Malformed> {
    let delta = reader.varint()?;
    let key = match after.checked_add(delta) {
        Some(key) if delta > 0 && key <= MAX_KEY => key,
        _ => return Err(Malformed("a chunk's keys are out of order or range")),
    };
    let flags = reader.u8()?;
    if flags & OP == 0 || (flags & PREV_DELETE != 0 && flags & HAS_PREV == 0) {
        return Err(Malformed("a chunk entry's flags are wrong"));
    }
    // How far below its own key another one lies: at least 1, and not down to 0.
    let mut below = || match reader.varint()? {
        distance if distance > 0 && distance < key => Ok(key - distance),
        _ => Err(Malformed("a chunk entry names an impossible key")),
    };
    let prev = if flags & HAS_PREV != 0 { below()? } else { 0 };
    let born = if flags & BORN_HERE != 0 { key } else { below()? };
    let prev_bytes = if prev != 0 { reader.length(MAX_ENTITY_BYTES + MAX_PAYLOAD_BYTES)? } else { 0 };
    let time_ms = since.checked_add(reader.varint()?).ok_or(Malformed("a chunk entry's time is out of range"))?;
    let (origin_at, origin_len) = if flags & HAS_ORIGIN != 0 {
        let index = reader.length(MAX_CHUNK_ENTRIES)?;
        *origins.get(index).ok_or(Malformed("a chunk entry's origin is not in the table"))?
    } else {
        (0, 0)
    };
    let entity_len = reader.length(MAX_ENTITY_BYTES)?;
    let payload_len = reader.length(MAX_PAYLOAD_BYTES)?;
    let entity_at = reader.position();
    if entity_len == 0 {
        return Err(Malformed("a chunk entry has no entity"));
    }
    if payload_len != 0 && flags & OP == Op::Delete as u8 {
        return Err(Malformed("a delete has a payload"));
    }
    reader.take(entity_len + payload_len)?;
    // Every narrowing below is within a limit checked above: MAX_CHUNK_BYTES for places, the others for lengths.
    Ok(Row {
        key,
        prev,
        born,
        time_ms,
        prev_bytes: prev_bytes as u32,
        entity_at: entity_at as u32,
        payload_len: payload_len as u32,
        origin_at,
        bytes_upto: 0,
        entity_len: entity_len as u16,
        origin_len,
        flags,
    })
}

/// Over the version and all that follows the CRC.
fn checksum(body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[VERSION]);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
