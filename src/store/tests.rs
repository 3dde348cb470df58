mod checking;
mod damage;
#[cfg(feature = "testing")]
mod double;
mod full_disk;
mod reads;
mod recent;
mod reopened;
mod row_keys;
mod sizes;

use std::path::Path;

use super::*;
use crate::chunk::{ChunkBuilder, ChunkEntry, ChunkMeta};
use crate::types::Op;

pub(super) const OPTIONS: StoreOptions = StoreOptions { memory: 8 << 20, cache_bytes: 1 << 20, lz4: true };

/// The operating system's files.
pub(super) fn os() -> Arc<dyn Vfs> {
    Arc::new(crate::vfs::OsVfs)
}

impl Store {
    /// As if a flush had found the disk full.
    pub(crate) fn pretend_full(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

impl Index {
    /// Keeps everybody from the store, as opening it anew does.
    pub(crate) fn keep_away(&self) -> impl Drop + '_ {
        self.present.write()
    }
}

impl Snapshot<'_> {
    /// All chunks that hold a key >= `from`, in key order, with their counts. After an error there is nothing more.
    pub(super) fn chunks(
        &self,
        id: u64,
        epoch: u64,
        from: u64,
    ) -> impl Iterator<Item = Result<(ChunkMeta, Arc<Chunk>)>> {
        let mut ended = false;
        self.metas(id, from).map_while(move |meta| {
            let chunk = meta.and_then(|meta| Ok((meta, self.chunk(id, epoch, meta.last)?)));
            (!std::mem::replace(&mut ended, chunk.is_err())).then_some(chunk)
        })
    }
}

/// A store in a directory of its own.
pub(super) struct Place {
    pub root: tempfile::TempDir,
    pub store: Store,
}

pub(super) fn place() -> Place {
    let root = tempfile::tempdir().unwrap();
    let store = Store::create(&os(), &root.path().join("db"), &OPTIONS).unwrap();
    Place { root, store }
}

pub(super) fn open(dir: &Path, at_least: u64) -> Result<Store> {
    Store::open(&os(), dir, &OPTIONS, at_least)
}

pub(super) fn entry<'a>(key: u64, op: Op, entity: &'a [u8], payload: &'a [u8]) -> ChunkEntry<'a> {
    ChunkEntry {
        key,
        op,
        last: true,
        prev: 0,
        prev_bytes: 0,
        prev_delete: false,
        born: key,
        reborn: false,
        time_ms: 1_700_000_000_000 + key,
        origin: None,
        entity,
        payload,
    }
}

/// The same entry, replacing the live version at `prev` of `prev_payload` bytes.
pub(super) fn over(entry: ChunkEntry<'_>, prev: u64, prev_payload: usize) -> ChunkEntry<'_> {
    ChunkEntry { prev, prev_bytes: (entry.entity.len() + prev_payload) as u64, born: prev, ..entry }
}

pub(super) fn version(entry: &ChunkEntry<'_>) -> Version {
    Version {
        key: entry.key,
        op: entry.op,
        born: entry.born,
        reborn: entry.reborn,
        payload_len: entry.payload.len(),
        bytes: entry.bytes(),
    }
}

/// What a seal of one dataset does: one chunk with its counts, entities and marks, and the record.
pub(super) fn seal(changes: &mut Changes<'_>, record: &mut DatasetRecord, entries: &[ChunkEntry<'_>]) -> ChunkMeta {
    let mut builder = ChunkBuilder::new();
    for entry in entries {
        builder.push(entry).unwrap();
        changes.put_newest(record.id, entry.entity, &version(entry));
        let bytes = version(entry).bytes;
        (record.entries, record.bytes) = (record.entries + 1, record.bytes + bytes);
        (record.seq, record.seq_bytes) = (record.seq + 1, record.seq_bytes + bytes);
        (record.head, record.head_time_ms) = (entry.key, entry.time_ms);
        if entry.prev != 0 {
            changes.put_mark(record.id, entry.prev, entry.key);
            record.superseding += 1;
            record.superseded_bytes += entry.prev_bytes;
        }
        if entry.op == Op::Delete {
            record.tombstones += 1;
            record.tombstone_bytes += bytes;
        }
    }
    let (chunk, meta) = builder.finish();
    let meta = meta.with_seq(record.seq, record.seq_bytes);
    changes.put_chunk(record.id, &meta, &chunk);
    changes.put_record(record).unwrap();
    meta
}

pub(super) fn applied(key: u64) -> Applied {
    Applied { key, segment: 1, offset: 64 * key, datasets: 0 }
}

#[test]
fn stores_and_snapshots_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Store>();
    shared::<Snapshot<'_>>();
}
