use std::collections::HashMap;

use super::{
    BORN_HERE, ChunkEntry, ChunkMeta, HAS_ORIGIN, HAS_PREV, HEADER_BYTES, LAST, MAX_ENVELOPE_BYTES, PREV_DELETE,
    REBORN, VERSION, checksum,
};
use crate::codec::{Malformed, put_varint};
use crate::limits::{
    MAX_CHUNK_BYTES, MAX_CHUNK_ENTRIES, MAX_ENTITY_BYTES, MAX_KEY, MAX_ORIGIN_BYTES, MAX_PAYLOAD_BYTES,
};
use crate::types::Op;

/// Packs entries into a chunk. It takes only what decodes again.
#[derive(Debug, Default)]
pub struct ChunkBuilder {
    /// The encoded entries.
    body: Vec<u8>,
    /// Distinct origins, encoded, in order of first use.
    origins: Vec<u8>,
    origin_index: HashMap<Vec<u8>, u64>,
    meta: ChunkMeta,
}

impl ChunkBuilder {
    /// A builder without entries.
    pub fn new() -> ChunkBuilder {
        ChunkBuilder::default()
    }

    /// Adds the next entry. Its key must be above the last one's, its time not below.
    ///
    /// # Errors
    ///
    /// If a chunk with it would not decode; nothing was added.
    pub fn push(&mut self, entry: &ChunkEntry<'_>) -> Result<(), Malformed> {
        self.check(entry)?;
        let out = &mut self.body;
        put_varint(out, entry.key - self.meta.last);
        out.push(flags(entry));
        if entry.prev != 0 {
            put_varint(out, entry.key - entry.prev);
        }
        if entry.born != entry.key {
            put_varint(out, entry.key - entry.born);
        }
        if entry.prev != 0 {
            put_varint(out, entry.prev_bytes);
        }
        put_varint(out, entry.time_ms - self.meta.last_time_ms);
        if let Some(origin) = entry.origin {
            let index = match self.origin_index.get(origin) {
                Some(index) => *index,
                None => {
                    put_varint(&mut self.origins, origin.len() as u64);
                    self.origins.extend_from_slice(origin);
                    let index = self.origin_index.len() as u64;
                    self.origin_index.insert(origin.to_vec(), index);
                    index
                }
            };
            put_varint(out, index);
        }
        put_varint(out, entry.entity.len() as u64);
        put_varint(out, entry.payload.len() as u64);
        out.extend_from_slice(entry.entity);
        out.extend_from_slice(entry.payload);
        self.meta.add(entry);
        Ok(())
    }

    fn check(&self, entry: &ChunkEntry<'_>) -> Result<(), Malformed> {
        let follows = entry.key > self.meta.last && entry.key <= MAX_KEY && entry.time_ms >= self.meta.last_time_ms;
        let names = entry.prev < entry.key && (1..=entry.key).contains(&entry.born);
        let prev = match entry.prev {
            0 => entry.prev_bytes == 0 && !entry.prev_delete,
            _ => entry.prev_bytes <= (MAX_ENTITY_BYTES + MAX_PAYLOAD_BYTES) as u64,
        };
        let lengths = (1..=MAX_ENTITY_BYTES).contains(&entry.entity.len())
            && entry.payload.len() <= if entry.op == Op::Delete { 0 } else { MAX_PAYLOAD_BYTES }
            && entry.origin.is_none_or(|origin| origin.len() <= MAX_ORIGIN_BYTES);
        let fits = self.count() < MAX_CHUNK_ENTRIES && self.bytes() + Self::bytes_of(entry) <= MAX_CHUNK_BYTES;
        if follows && names && prev && lengths && fits {
            return Ok(());
        }
        Err(Malformed("an entry does not fit the chunk it is meant for"))
    }

    /// How large the chunk would be now, in bytes; a little too much rather than too little.
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + 2 * 3 + self.origins.len() + self.body.len()
    }

    /// How much one more entry can add to [`bytes`](Self::bytes), at most.
    pub fn bytes_of(entry: &ChunkEntry<'_>) -> usize {
        MAX_ENVELOPE_BYTES + entry.origin.map_or(0, <[u8]>::len) + entry.entity.len() + entry.payload.len()
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.meta.count as usize
    }

    /// The key of the last entry; 0 if there is none yet.
    pub fn last_key(&self) -> u64 {
        self.meta.last
    }

    /// The chunk and its counts; `seq` and `seq_bytes` are the caller's to set. At least one entry must have been
    /// pushed: a chunk without any does not decode.
    pub fn finish(self) -> (Vec<u8>, ChunkMeta) {
        debug_assert!(self.meta.count > 0);
        let mut out = Vec::with_capacity(self.bytes());
        out.push(VERSION);
        out.extend_from_slice(&[0; 4]);
        put_varint(&mut out, u64::from(self.meta.count));
        put_varint(&mut out, self.origin_index.len() as u64);
        out.extend_from_slice(&self.origins);
        out.extend_from_slice(&self.body);
        let crc = checksum(&out[HEADER_BYTES..]);
        out[1..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        (out, self.meta)
    }
}

fn flags(entry: &ChunkEntry<'_>) -> u8 {
    let mut flags = entry.op as u8;
    for (holds, flag) in [
        (entry.last, LAST),
        (entry.reborn, REBORN),
        (entry.prev != 0, HAS_PREV),
        (entry.origin.is_some(), HAS_ORIGIN),
        (entry.born == entry.key, BORN_HERE),
        (entry.prev_delete, PREV_DELETE),
    ] {
        if holds {
            flags |= flag;
        }
    }
    flags
}
