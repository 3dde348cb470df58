//! What there is: datasets, their counters, and the store as a whole.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::core::Core;
use super::pin::Pin;
use crate::error::Result;
use crate::tail::{Tail, TailEntry};
use crate::types::{DatasetStat, NamePage, Op, Retention, StoreStat, SyncKey};

/// What a dataset holds: the sealed counters, and what the tails add to them.
pub fn stat(core: &Core, name: &[u8]) -> Result<DatasetStat> {
    let store = core.store();
    let (pin, dataset) = Pin::of(core, &store, name)?;
    let record = dataset.record();
    let (mut superseded, mut tombstones) = (record.superseding as i64, record.tombstones as i64);
    let (mut entries, mut bytes, mut time_ms) = (record.entries, record.bytes, record.head_time_ms);
    for tail in pin.tails.oldest_first() {
        for row in rows_of(tail, dataset.id, record.head, pin.visible) {
            entries += 1;
            bytes += row.bytes;
            time_ms = time_ms.max(row.time_ms);
            let before = match row.before.or_else(|| pin.newest_below(dataset.id, &row.entity, tail.base())) {
                Some(is_delete) => Some(is_delete),
                None => {
                    let version = pin.newest_sealed(dataset.id, &row.entity)?;
                    version.map(|version| version.op == Op::Delete)
                }
            };
            superseded += i64::from(before.is_some());
            tombstones += i64::from(row.is_delete) - i64::from(before == Some(true));
        }
    }
    Ok(DatasetStat {
        head: SyncKey::new(dataset.head()),
        first: SyncKey::new(dataset.id),
        history_floor: SyncKey::new(record.history_floor),
        floor: SyncKey::new(record.floor),
        entries,
        bytes,
        superseded: superseded.max(0) as u64,
        tombstones: tombstones.max(0) as u64,
        retention: core.retention_or_default(dataset.retention()),
        time_ms,
    })
}

/// A tail's entry, as far as the counters look at it.
struct Row {
    entity: Bytes,
    bytes: u64,
    time_ms: u64,
    is_delete: bool,
    /// Whether the version before it is a delete, if this tail has one.
    before: Option<bool>,
}

/// The tail's entries in `(position, bound]`, copied: looking up what was before them may ask the index store, and the
/// writer is not to wait for that.
fn rows_of(tail: &Tail, id: u64, position: u64, bound: u64) -> Vec<Row> {
    let inner = tail.read();
    let Some(part) = inner.datasets.get(&id) else { return Vec::new() };
    let row = |entry: &TailEntry| {
        let frame = &inner.frames[entry.frame as usize];
        let before = part.older(entry).map(TailEntry::is_delete);
        let entity = part.entity_bytes(entry);
        Row { entity, bytes: entry.bytes(), time_ms: frame.time_ms, is_delete: entry.is_delete(), before }
    };
    part.between(position, bound).iter().map(row).collect()
}

/// The retention in force for a dataset.
pub fn retention(core: &Core, name: &[u8]) -> Result<Retention> {
    let store = core.store();
    let (_, dataset) = Pin::of(core, &store, name)?;
    Ok(core.retention_or_default(dataset.retention()))
}

/// Names in byte order.
pub fn datasets(core: &Core, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<NamePage> {
    let store = core.store();
    let pin = Pin::new(core, &store);
    let is_due = |name: &[u8]| name.starts_with(prefix) && after.is_none_or(|after| name > after);
    let mut created = BTreeSet::new();
    for tail in pin.tails.oldest_first() {
        created.extend(tail.read().names.keys().filter(|name| is_due(name)).cloned());
    }
    let mut names: Vec<Bytes> = Vec::new();
    let mut from = after.map(<[u8]>::to_vec);
    loop {
        let wanted = limit.saturating_add(1).saturating_sub(names.len()).max(1);
        let some = pin.snapshot().names(prefix, from.as_deref(), wanted)?;
        let is_last = some.len() < wanted;
        let upto = some.last().map(|(name, _)| name.clone());
        let mut merged: BTreeSet<Bytes> = some.into_iter().map(|(name, _)| name).collect();
        let behind = |name: &Bytes| from.as_deref().is_none_or(|from| &name[..] > from);
        let within = |name: &Bytes| is_last || upto.as_ref().is_some_and(|upto| name <= upto);
        merged.extend(created.iter().filter(|name| behind(name) && within(name)).cloned());
        for name in merged {
            if names.len() <= limit && pin.dataset(&name)?.is_some() {
                names.push(name);
            }
        }
        if is_last || names.len() > limit {
            break;
        }
        from = upto.map(|name| name.to_vec());
    }
    let more = names.len() > limit;
    names.truncate(limit);
    Ok(NamePage { names, more })
}

/// What the store holds.
pub fn store_stat(core: &Core) -> Result<StoreStat> {
    let log_bytes = core.commits.writer.lock().log.log_bytes();
    let store = core.store();
    let pin = Pin::new(core, &store);
    let applied = pin.snapshot().applied()?;
    let mut datasets = applied.datasets as i64;
    for tail in pin.tails.oldest_first().filter(|tail| tail.base() > applied.key) {
        for (id, part) in &tail.read().datasets {
            datasets += i64::from(part.created.is_some() && *id <= pin.visible);
            datasets -= i64::from(part.deleted.is_some_and(|deleted| deleted <= pin.visible));
        }
    }
    Ok(StoreStat {
        dir: core.dir.clone(),
        datasets: datasets.max(0) as u64,
        visible: SyncKey::new(core.visible.load(Ordering::Acquire)),
        lineage: core.lineage.present,
        log_bytes,
        store_bytes: store.disk_bytes(),
    })
}
