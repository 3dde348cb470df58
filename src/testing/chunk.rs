use bytes::Bytes;

use crate::chunk::{Chunk, ChunkBuilder, ChunkEntry, ChunkMeta};
use crate::limits::{MAX_ENTITY_BYTES, MAX_KEY};
use crate::types::Op;

/// A sealed chunk, and the row of counts that stands beside one. What decodes must be built again, entry by entry, and
/// then decode to the same.
pub fn chunk(data: &[u8]) -> bool {
    let mut taken = decoded(data) | counts(data) | counts(&[&[1], data].concat());
    if let Some((version, rest)) = data.get(..1).zip(data.get(5..)) {
        let crc = crc32fast::hash(&[version, rest].concat());
        taken |= decoded(&[version, &crc.to_le_bytes(), rest].concat());
    }
    let crc = crc32fast::hash(&[&[1], data].concat());
    taken | decoded(&[&[1], &crc.to_le_bytes()[..], data].concat())
}

/// Whether these bytes are a chunk.
pub fn is_chunk(data: &[u8]) -> bool {
    Chunk::decode(Bytes::copy_from_slice(data)).is_ok()
}

fn decoded(data: &[u8]) -> bool {
    let Ok(chunk) = Chunk::decode(Bytes::copy_from_slice(data)) else { return false };
    assert_ne!(chunk.len(), 0);
    assert!(chunk.memory() <= 128 + data.len() * 64, "{} bytes of memory for {}", chunk.memory(), data.len());
    let mut builder = ChunkBuilder::new();
    for (at, entry) in chunk.iter().enumerate() {
        check(&chunk, at, &entry);
        builder.push(&entry).expect("what decodes can be packed");
    }
    let (bytes, meta) = builder.finish();
    assert!(bytes.len() <= data.len(), "the same entries were smaller: {} and {}", data.len(), bytes.len());
    assert_eq!(meta, ChunkMeta::of(chunk.iter()));
    let again = Chunk::decode(Bytes::from(bytes)).expect("what is packed decodes");
    assert!(again.iter().eq(chunk.iter()), "packing changed an entry");
    let row = meta.with_seq(u64::from(meta.count), meta.bytes);
    assert_eq!(ChunkMeta::decode(&row.encode()), Ok(row));
    assert_eq!((row.first, row.last, row.count as usize), (chunk.first_key(), chunk.last_key(), chunk.len()));
    true
}

fn check(chunk: &Chunk, at: usize, entry: &ChunkEntry<'_>) {
    let key = entry.key;
    assert!(at == 0 || chunk.key(at - 1) < key, "key {key} does not follow");
    assert!((1..=MAX_KEY).contains(&key) && entry.prev < key && (1..=key).contains(&entry.born));
    assert!((1..=MAX_ENTITY_BYTES).contains(&entry.entity.len()));
    assert!(entry.op != Op::Delete || entry.payload.is_empty(), "a delete has a payload");
    assert!(entry.prev != 0 || (entry.prev_bytes == 0 && !entry.prev_delete));
    assert_eq!((chunk.search(key), chunk.search(key - 1)), (at + 1, at));
    assert_eq!(chunk.entity_bytes(at), entry.entity);
    assert_eq!(chunk.payload_bytes(at), entry.payload);
    assert_eq!(chunk.origin_bytes(at).as_deref(), entry.origin);
}

fn counts(data: &[u8]) -> bool {
    let Ok(meta) = ChunkMeta::decode(data) else { return false };
    assert_eq!(meta.encode(), data, "{meta:?} has two forms");
    true
}
