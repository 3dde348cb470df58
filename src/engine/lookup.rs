//! Single entities, their past, and lists: everything that is not a delta.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::changes::{sealed_entry, tail_entry};
use super::core::Core;
use super::pin::{Dataset, Pin};
use crate::chunk::Chunk;
use crate::cursor::{Cursor, Kind};
use crate::error::{Error, Name, Result};
use crate::types::{EntityRow, Entry, Limits, Op, SyncKey, View};
use crate::window::Window;

/// The newest entry of an entity, if it exists.
pub fn get(core: &Core, name: &[u8], entity: &[u8]) -> Result<Option<Entry>> {
    let store = core.store();
    Pin::read(core, &store, name, |pin, dataset| newest(core, pin, dataset, entity))
}

/// The newest entries of many entities at one moment, and the cursor of that moment. More than `max_bytes` of them
/// together are refused, a single one never.
pub fn get_many(
    core: &Core,
    name: &[u8],
    entities: &[&[u8]],
    max_bytes: usize,
) -> Result<(Vec<Option<Entry>>, Cursor)> {
    let store = core.store();
    Pin::read(core, &store, name, |pin, dataset| newest_of(core, pin, dataset, entities, max_bytes))
}

fn newest_of(
    core: &Core,
    pin: &Pin<'_>,
    dataset: &Dataset,
    entities: &[&[u8]],
    max_bytes: usize,
) -> Result<(Vec<Option<Entry>>, Cursor)> {
    let (mut found, mut bytes) = (Vec::with_capacity(entities.len()), 0);
    for entity in entities {
        let entry = newest(core, pin, dataset, entity)?;
        bytes += entry.as_ref().map_or(0, size_of);
        if bytes > max_bytes && found.iter().any(Option::is_some) {
            return Err(Error::invalid(format!(
                "these {} entities hold more than {max_bytes} bytes together; ask for fewer of them",
                entities.len()
            )));
        }
        found.push(entry);
    }
    let exact = Window::after(pin.visible).exact(View::Latest, core.lineage.present, dataset.id);
    Ok((found, Cursor(Kind::Exact(exact))))
}

fn newest(core: &Core, pin: &Pin<'_>, dataset: &Dataset, entity: &[u8]) -> Result<Option<Entry>> {
    for tail in pin.tails.oldest_first().rev().filter(|_| dataset.is_due_in_tails(0)) {
        let inner = tail.read();
        let Some(part) = inner.datasets.get(&dataset.id) else { continue };
        if let Some(entry) = inner.newest(dataset.id, entity, pin.visible) {
            let found = (!entry.is_delete()).then(|| tail_entry(&inner, part, entry, true));
            drop(inner);
            return found.map(|entry| with_new(pin, dataset, entry)).transpose();
        }
    }
    // What was sealed after this moment began is not of it. What was sealed before is what the index store has: who takes
    // it away from there forgets it here first, and a moment that mixes the two is torn.
    let known = core.alive.get(dataset.id, entity).filter(|version| version.key <= pin.sealed_upto);
    let version = match known {
        Some(version) => Some(version),
        None => pin.newest_sealed(dataset.id, entity)?,
    };
    match version {
        Some(version) if version.op != Op::Delete => {
            let (chunk, at) = sealed(pin, dataset, entity, version.key)?;
            Ok(Some(sealed_entry(&chunk, at, true, version.born == version.key)))
        }
        _ => Ok(None),
    }
}

/// Marks the first entry of a life.
fn with_new(pin: &Pin<'_>, dataset: &Dataset, entry: Entry) -> Result<Entry> {
    let born = pin.born(dataset, &entry.entity, entry.key.get())?;
    Ok(Entry { new: born.born == entry.key.get(), ..entry })
}

/// Where a sealed entry of this entity is that something else names.
fn sealed(pin: &Pin<'_>, dataset: &Dataset, entity: &[u8], key: u64) -> Result<(Arc<Chunk>, usize)> {
    let lost = || {
        Error::damaged(
            pin.snapshot().dir(),
            None,
            format!(
                "dataset {} has no chunk with key {key} for entity '{}', which its index or a newer entry names",
                dataset.id,
                Name(entity)
            ),
        )
    };
    let chunk = pin.chunk_covering(dataset, key)?.ok_or_else(lost)?;
    let at = chunk.find(key).filter(|at| chunk.entry(*at).entity == entity).ok_or_else(lost)?;
    Ok((chunk, at))
}

/// Every entry of an entity that is still there, oldest first: the newest that the limits allow, and whether older ones
/// were left out. Their view does not matter.
pub fn history(core: &Core, name: &[u8], entity: &[u8], limits: Limits) -> Result<(Vec<Entry>, bool)> {
    let store = core.store();
    let (pin, dataset) = Pin::of(core, &store, name)?;
    let mut found = Found { entries: Vec::new(), bytes: 0, limits };
    let mut is_full = false;
    for tail in pin.tails.oldest_first().rev() {
        let inner = tail.read();
        let Some(part) = inner.datasets.get(&dataset.id) else { continue };
        let mut next = inner.newest(dataset.id, entity, pin.visible);
        while let Some(entry) = next.filter(|_| !is_full) {
            is_full = !found.take(tail_entry(&inner, part, entry, limits.payloads));
            next = part.older(entry);
        }
    }
    let mut newest_first = found.finish(&pin, &dataset)?;
    if !is_full {
        let bytes = newest_first.iter().map(size_of).sum();
        let mut found = Found { entries: newest_first, bytes, limits };
        let mut next = pin.snapshot().newest(dataset.id, entity)?.map(|version| version.key);
        while let Some(key) = next.filter(|_| !is_full) {
            let (chunk, at) = sealed(&pin, &dataset, entity, key)?;
            let row = chunk.entry(at);
            // What was sealed after this moment began is in the tails as well.
            if key <= pin.sealed_upto {
                is_full = !found.take(sealed_entry(&chunk, at, limits.payloads, row.born == key));
            }
            next = Some(row.prev).filter(|prev| dataset.record().has_before(key, *prev));
        }
        newest_first = found.entries;
    }
    newest_first.reverse();
    Ok((newest_first, is_full))
}

/// Live entities in id order.
pub fn entities(core: &Core, name: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<EntityRow>> {
    let store = core.store();
    let (pin, dataset) = Pin::of(core, &store, name)?;
    // What tails say of entities behind `after`, newest word only: a sealed row is overruled by it.
    let mut overruled: BTreeMap<Bytes, Option<u64>> = BTreeMap::new();
    for tail in pin.tails.oldest_first() {
        let inner = tail.read();
        let Some(part) = inner.datasets.get(&dataset.id) else { continue };
        for (_, first) in part.firsts() {
            let entity = part.entity(first);
            if after.is_none_or(|after| entity > after)
                && let Some(entry) = inner.newest(dataset.id, entity, pin.visible)
            {
                overruled.insert(part.entity_bytes(first), (!entry.is_delete()).then_some(entry.key));
            }
        }
    }
    let mut found = Vec::new();
    let mut from = after.map(Bytes::copy_from_slice);
    let take_upto = |found: &mut Vec<EntityRow>, from: &mut Option<Bytes>, upto: Option<&Bytes>| {
        let lower = from.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let upper = upto.cloned().map_or(Bound::Unbounded, Bound::Excluded);
        if let (Bound::Excluded(low), Bound::Excluded(high)) = (&lower, &upper)
            && low >= high
        {
            return;
        }
        for (entity, key) in overruled.range((lower, upper)) {
            if let Some(key) = key.filter(|_| found.len() < limit) {
                found.push(EntityRow { entity: Bytes::copy_from_slice(entity), key: SyncKey::new(key) });
            }
        }
        *from = upto.cloned().or(from.take());
    };
    for row in pin.snapshot().entities(dataset.id, after) {
        if found.len() >= limit {
            break;
        }
        let (entity, version) = row?;
        take_upto(&mut found, &mut from, Some(&entity));
        let key = match pin.newest_in_tails(dataset.id, &entity) {
            Some(in_tail) => in_tail,
            None => (version.op != Op::Delete).then_some(version.key),
        };
        if let Some(key) = key.filter(|_| found.len() < limit) {
            found.push(EntityRow { entity, key: SyncKey::new(key) });
        }
    }
    take_upto(&mut found, &mut from, None);
    Ok(found)
}

/// Entries newest first, below `before`.
pub fn recent(core: &Core, name: &[u8], before: Option<SyncKey>, limits: Limits) -> Result<Vec<Entry>> {
    let store = core.store();
    let (pin, dataset) = Pin::of(core, &store, name)?;
    let mut below = before.map_or(u64::MAX, SyncKey::get).min(pin.visible.saturating_add(1));
    let mut found = Found { entries: Vec::new(), bytes: 0, limits };
    let mut is_full = false;
    'tails: for tail in pin.tails.oldest_first().rev() {
        let inner = tail.read();
        let Some(part) = inner.datasets.get(&dataset.id) else { continue };
        for entry in part.between(0, below.saturating_sub(1)).iter().rev() {
            is_full = !found.take(tail_entry(&inner, part, entry, limits.payloads));
            if is_full {
                break 'tails;
            }
        }
    }
    if is_full {
        // Not under the tail's lock: to finish takes it again, and a writer may wait in between.
        return found.finish(&pin, &dataset);
    }
    below = below.min(pin.sealed_upto.saturating_add(1));
    let record = dataset.record();
    'chunks: while let Some(chunk) = pin.snapshot().chunk_before(dataset.id, record.epoch, below)? {
        for at in (0..chunk.search(below.saturating_sub(1))).rev() {
            let row = chunk.entry(at);
            below = row.key;
            let is_gone = row.key <= record.history_floor
                && record.has_dropped(row.key, row.op, pin.snapshot().mark(dataset.id, row.key)?);
            if !is_gone && !found.take(sealed_entry(&chunk, at, limits.payloads, row.born == row.key)) {
                break 'chunks;
            }
        }
    }
    found.finish(&pin, &dataset)
}

/// The bytes of an entry that limits count.
fn size_of(entry: &Entry) -> usize {
    entry.entity.len() + entry.payload.as_ref().map_or(0, Bytes::len)
}

struct Found {
    entries: Vec<Entry>,
    bytes: usize,
    limits: Limits,
}

impl Found {
    fn take(&mut self, entry: Entry) -> bool {
        let size = size_of(&entry);
        let full = self.limits.is_full(self.entries.len(), self.bytes, size);
        if !full {
            self.bytes += size;
            self.entries.push(entry);
        }
        !full
    }

    fn finish(mut self, pin: &Pin<'_>, dataset: &Dataset) -> Result<Vec<Entry>> {
        for entry in self.entries.iter_mut().take_while(|entry| entry.key.get() > pin.sealed_upto) {
            entry.new = pin.born(dataset, &entry.entity, entry.key.get())?.born == entry.key.get();
        }
        Ok(self.entries)
    }
}
