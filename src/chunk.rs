//! Sealed entries of one dataset, consecutive in key order. `docs/format.md` has the bytes.

mod builder;
mod meta;

use std::ops::Range;

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
    tables: Tables,
}

/// What is known of the entries of a chunk beside their bytes, each kind side by side: to fetch these from memory is most of
/// what it costs to read a page, and a page needs neither the keys of others than it begins with nor what was before.
#[derive(Debug, Clone)]
struct Tables {
    keys: Box<[u64]>,
    rows: Box<[Row]>,
    pasts: Box<[Past]>,
    /// Where each origin is, and its length.
    origins: Box<[(u32, u8)]>,
}

/// Where an entry is, and what a page tells of it. The payload follows the entity.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    born: u64,
    time_ms: u64,
    entity_at: u32,
    payload_len: u32,
    entity_len: u16,
    /// Among the chunk's, if it has one.
    origin: u16,
    flags: u8,
}

/// What an entry says of the version before it, and of all entries up to and including itself: their entities and payloads.
#[derive(Debug, Clone, Copy)]
struct Past {
    prev: u64,
    prev_bytes: u32,
    bytes_upto: u32,
}

const _: () = assert!(size_of::<Row>() == 32 && size_of::<Past>() == 16);
const _: () = assert!(MAX_CHUNK_ENTRIES <= u16::MAX as usize);

impl Chunk {
    /// The chunk of these bytes. They may be hostile: what it allocates is bounded by their number.
    ///
    /// # Errors
    ///
    /// If the bytes are anything else than one whole chunk.
    pub fn decode(bytes: Bytes) -> Result<Chunk, Malformed> {
        let tables = decode_tables(&bytes)?;
        Ok(Chunk { bytes, tables })
    }

    /// Its length as it is stored, before compression.
    pub fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// How many entries it holds; at least 1.
    pub fn len(&self) -> usize {
        self.tables.rows.len()
    }

    /// The key of its first entry.
    pub fn first_key(&self) -> u64 {
        self.tables.keys.first().copied().unwrap_or(0)
    }

    /// The key of its last entry, under which it is stored.
    pub fn last_key(&self) -> u64 {
        self.tables.keys.last().copied().unwrap_or(0)
    }

    /// The key of entry `i`, which must be below `len()`.
    pub fn key(&self, i: usize) -> u64 {
        self.tables.keys[i]
    }

    /// All its bytes, in which [`Row::place`] says where an entry is.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Entry `i`, which must be below `len()`, without its bytes.
    pub fn row(&self, i: usize) -> &Row {
        &self.tables.rows[i]
    }

    /// How many bytes of entities and payloads the entries from `i` on hold.
    pub fn bytes_from(&self, i: usize) -> u64 {
        let upto = |past: Option<&Past>| past.map_or(0, |past| u64::from(past.bytes_upto));
        let pasts = &self.tables.pasts;
        upto(pasts.last()) - upto(i.checked_sub(1).and_then(|before| pasts.get(before)))
    }

    /// The entity of an entry of this chunk.
    pub fn entity(&self, row: &Row) -> &[u8] {
        let at = row.entity_at as usize;
        &self.bytes[at..at + row.entity_len as usize]
    }

    /// The origin of an entry of this chunk.
    pub fn origin(&self, row: &Row) -> Option<&[u8]> {
        self.origin_range(row).map(|range| &self.bytes[range])
    }

    fn origin_range(&self, row: &Row) -> Option<Range<usize>> {
        if row.flags & HAS_ORIGIN == 0 {
            return None;
        }
        let (at, len) = self.tables.origins.get(usize::from(row.origin))?;
        Some(*at as usize..*at as usize + usize::from(*len))
    }

    /// Entry `i`, which must be below `len()`.
    #[inline]
    pub fn entry(&self, i: usize) -> ChunkEntry<'_> {
        let (row, past) = (&self.tables.rows[i], &self.tables.pasts[i]);
        let entity_end = row.entity_at as usize + row.entity_len as usize;
        ChunkEntry {
            key: self.tables.keys[i],
            op: row.op(),
            last: row.last(),
            prev: past.prev,
            prev_bytes: u64::from(past.prev_bytes),
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
        let row = &self.tables.rows[i];
        self.bytes.slice(row.entity_at as usize..row.entity_at as usize + row.entity_len as usize)
    }

    /// The payload of entry `i`, sharing this chunk's bytes.
    pub fn payload_bytes(&self, i: usize) -> Bytes {
        let row = &self.tables.rows[i];
        let at = row.entity_at as usize + row.entity_len as usize;
        self.bytes.slice(at..at + row.payload_len as usize)
    }

    /// The origin of entry `i`, sharing this chunk's bytes.
    pub fn origin_bytes(&self, i: usize) -> Option<Bytes> {
        self.origin_range(&self.tables.rows[i]).map(|range| self.bytes.slice(range))
    }

    /// The index of the first entry above `key`; `len()` if there is none.
    pub fn search(&self, key: u64) -> usize {
        // A page goes on from the end of the chunk before more often than not.
        if key < self.first_key() { 0 } else { self.tables.keys.partition_point(|at| *at <= key) }
    }

    /// The index of the entry at `key`, if there is one.
    pub fn find(&self, key: u64) -> Option<usize> {
        self.tables.keys.binary_search(&key).ok()
    }

    /// About how many bytes of memory it holds.
    pub fn memory(&self) -> usize {
        let Tables { keys, rows, pasts, origins } = &self.tables;
        let tables = size_of_val(&**keys) + size_of_val(&**rows) + size_of_val(&**pasts) + size_of_val(&**origins);
        size_of::<Chunk>() + self.bytes.len() + tables
    }
}

impl Row {
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

fn decode_tables(bytes: &[u8]) -> Result<Tables, Malformed> {
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
    let (mut keys, mut rows, mut pasts) =
        (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut key, mut time_ms, mut bytes_upto) = (0, 0, 0);
    for _ in 0..count {
        let (row, mut past);
        (key, row, past) = decode_row(&mut reader, key, time_ms, origins.len())?;
        // All of them are within the chunk's length, which is limited.
        bytes_upto += u32::from(row.entity_len) + row.payload_len;
        past.bytes_upto = bytes_upto;
        time_ms = row.time_ms;
        keys.push(key);
        rows.push(row);
        pasts.push(past);
    }
    match reader.remaining() {
        0 => Ok(Tables { keys: keys.into(), rows: rows.into(), pasts: pasts.into(), origins: origins.into() }),
        _ => Err(Malformed("a chunk has trailing bytes")),
    }
}

/// The entry after the one with key `after`, committed at `since`, in a chunk of so many origins.
#[inline]
fn decode_row(reader: &mut Reader<'_>, after: u64, since: u64, origins: usize) -> Result<(u64, Row, Past), Malformed> {
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
    let origin = if flags & HAS_ORIGIN != 0 { reader.length(MAX_CHUNK_ENTRIES)? } else { 0 };
    if flags & HAS_ORIGIN != 0 && origin >= origins {
        return Err(Malformed("a chunk entry's origin is not in the table"));
    }
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
    // Every narrowing below is within a limit checked above: MAX_CHUNK_BYTES for places, MAX_CHUNK_ENTRIES for the origin,
    // the others for lengths.
    let row = Row {
        born,
        time_ms,
        entity_at: entity_at as u32,
        payload_len: payload_len as u32,
        entity_len: entity_len as u16,
        origin: origin as u16,
        flags,
    };
    Ok((key, row, Past { prev, prev_bytes: prev_bytes as u32, bytes_upto: 0 }))
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
