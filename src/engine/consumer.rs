//! Durable consumers: store and forward to a processor that comes and goes.
//!
//! A consumer's position lies in the store. Delivery is at least once: what was fetched and not acknowledged comes again.
//! From its first acknowledgement on, retention keeps history above the position, up to
//! [`Options::consumer_budget`](crate::Options::consumer_budget).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::changes::page;
use super::core::Core;
use super::pin::{Dataset, Pin};
use super::request::Work;
use crate::cursor::Cursor;
use crate::error::{Error, Result, Stale, StaleReason};
use crate::limits::MAX_CONSUMER_BYTES;
use crate::types::{Consumer, Durability, Limits, Page, SyncKey};

/// The next page behind the acknowledged position.
pub fn fetch(core: &Core, consumer: &str, name: &[u8], limits: Limits) -> Result<Page> {
    check(consumer)?;
    let (pin, dataset) = Pin::of(core, name)?;
    let position = position(&pin, &dataset, consumer.as_bytes())?;
    let cursor = position.map_or(Cursor::START, |position| Cursor::after(SyncKey::new(position)));
    let answer = page(core, &pin, &dataset, &cursor, limits);
    match answer {
        Err(Error::Stale(Stale { reason: StaleReason::Trimmed | StaleReason::HistoryTrimmed, floor, .. }))
            if position.is_some() =>
        {
            Err(Error::Evicted { consumer: consumer.to_string(), floor })
        }
        answer => answer,
    }
}

/// Acknowledges all up to `upto`.
pub fn ack(core: &Core, consumer: &str, name: &[u8], upto: SyncKey) -> Result<SyncKey> {
    check(consumer)?;
    let (pin, dataset) = Pin::of(core, name)?;
    if upto.get() > pin.visible {
        let (reason, position) = (StaleReason::Future, upto.get());
        return Err(Stale { reason, dataset: name.to_vec(), position, floor: 0 }.into());
    }
    let before = position(&pin, &dataset, consumer.as_bytes())?;
    let position = before.map_or(upto.get(), |before| before.max(upto.get()));
    let incarnation = dataset.id;
    drop(pin);
    if before != Some(position) {
        let (dataset, consumer) = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(consumer.as_bytes()));
        let bytes = dataset.len() + consumer.len() + 64;
        core.commits.append(core, Work::Ack { dataset, incarnation, consumer, position }, Durability::Synced, bytes)?;
    }
    Ok(SyncKey::new(position))
}

/// Forgets a consumer.
pub fn remove(core: &Core, consumer: &str, name: &[u8]) -> Result<()> {
    check(consumer)?;
    let (pin, dataset) = Pin::of(core, name)?;
    if position(&pin, &dataset, consumer.as_bytes())?.is_none() {
        return Err(Error::NotFound { what: format!("consumer '{consumer}' of dataset '{}'", name.escape_ascii()) });
    }
    drop(pin);
    let (dataset, consumer) = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(consumer.as_bytes()));
    let bytes = dataset.len() + consumer.len() + 64;
    core.commits.append(core, Work::RemoveConsumer { dataset, consumer }, Durability::Synced, bytes)?;
    Ok(())
}

/// Consumers in order of name and dataset.
pub fn list(core: &Core, after: Option<(&str, &[u8])>, limit: usize) -> Result<Vec<Consumer>> {
    let pin = Pin::new(core);
    let mut rows: BTreeMap<(Bytes, Bytes), (u64, u64)> = BTreeMap::new();
    let key = |name: &Bytes, dataset: &Dataset| (name.clone(), Bytes::copy_from_slice(&dataset.record.name));
    let mut seen = None;
    loop {
        let some = pin.snapshot.consumers(seen.as_ref().map(|(name, id): &(Bytes, u64)| (&name[..], *id)), 1024)?;
        for row in &some {
            if let Some(dataset) = dataset_of(&pin, row.id)? {
                rows.insert(key(&row.name, &dataset), (row.record.position, dataset.record.history_floor));
            }
        }
        match some.last() {
            Some(last) => seen = Some((last.name.clone(), last.id)),
            None => break,
        }
    }
    for tail in pin.tails.oldest_first() {
        let acks: Vec<_> = {
            let inner = tail.read();
            let visible =
                inner.consumers.iter().filter_map(|(who, acked)| Some((who.clone(), *acked.at(pin.visible)?.1)));
            visible.collect()
        };
        for ((id, name), position) in acks {
            let Some(dataset) = dataset_of(&pin, id)? else { continue };
            let key = key(&name, &dataset);
            match position {
                Some(position) => {
                    let before = rows.get(&key).map_or(0, |(before, _)| *before);
                    rows.insert(key, (position.max(before), dataset.record.history_floor));
                }
                None => drop(rows.remove(&key)),
            }
        }
    }
    let behind = |(name, dataset): &(Bytes, Bytes)| {
        after.is_none_or(|(last, of)| (last.as_bytes(), of) < (&name[..], &dataset[..]))
    };
    let due = rows.into_iter().filter(|(key, _)| behind(key));
    let consumers = due.take(limit).map(|((name, dataset), (position, floor))| Consumer {
        name: String::from_utf8_lossy(&name).into_owned(),
        dataset: dataset.to_vec(),
        position: SyncKey::new(position),
        evicted: position < floor,
    });
    Ok(consumers.collect())
}

/// The dataset of an id, if it still exists.
fn dataset_of(pin: &Pin<'_>, id: u64) -> Result<Option<Dataset>> {
    let created =
        pin.tails.oldest_first().find_map(|tail| tail.read().datasets.get(&id).and_then(|part| part.created.clone()));
    let name = match created {
        Some(name) => Some(name.to_vec()),
        None => pin.snapshot.record(id)?.map(|record| record.name),
    };
    let Some(name) = name else { return Ok(None) };
    Ok(pin.dataset(&name)?.filter(|dataset| dataset.id == id).map(|mut dataset| {
        dataset.record.name = name;
        dataset
    }))
}

/// The acknowledged position, if there ever was an acknowledgement.
fn position(pin: &Pin<'_>, dataset: &Dataset, consumer: &[u8]) -> Result<Option<u64>> {
    let key = (dataset.id, Bytes::copy_from_slice(consumer));
    let sealed = pin.snapshot.consumer(dataset.id, consumer)?.map(|record| record.position);
    // An acknowledgement never takes back a higher one, whichever was written last.
    Ok(pin.tails.oldest_first().fold(sealed, |before, tail| {
        let inner = tail.read();
        match inner.consumers.get(&key).and_then(|acked| acked.at(pin.visible)) {
            Some((_, Some(position))) => Some(before.map_or(*position, |before| before.max(*position))),
            Some((_, None)) => None,
            None => before,
        }
    }))
}

fn check(consumer: &str) -> Result<()> {
    if consumer.is_empty() || consumer.len() > MAX_CONSUMER_BYTES {
        return Err(Error::invalid(format!(
            "a consumer's name has {} bytes, 1..={MAX_CONSUMER_BYTES} are allowed",
            consumer.len()
        )));
    }
    Ok(())
}
