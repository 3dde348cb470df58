//! Durable consumers: store and forward to a processor that comes and goes.
//!
//! A consumer's position lies in the store. Delivery is at least once: what was fetched and not acknowledged comes again.
//! From its first fetch or acknowledgement on, retention keeps history above the position, up to
//! [`Options::consumer_budget`](crate::Options::consumer_budget).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::changes::{Unseen, read, rules};
use super::core::Core;
use super::pin::{Dataset, Pin};
use super::request::Work;
use crate::error::{Error, Name, Result, Stale, StaleReason};
use crate::limits::MAX_CONSUMER_BYTES;
use crate::tail::Acked;
use crate::types::{Consumer, Durability, Keep, Limits, Page, SyncKey, View};
use crate::window::Window;

/// The next page behind the acknowledged position.
pub fn fetch(core: &Core, consumer: &str, name: &[u8], limits: Limits) -> Result<Page> {
    check(consumer)?;
    let store = core.store();
    let (pin, dataset) = Pin::of(core, &store, name)?;
    let known = acked(&pin, &dataset, consumer.as_bytes())?;
    let floor = dataset.record().history_floor;
    let evicted = || Error::Evicted { consumer: consumer.to_string(), dataset: name.to_vec(), floor };
    if known.is_some_and(|acked| acked.position.max(acked.bound) < floor) {
        return Err(evicted());
    }
    let is_amid = |acked: Acked| acked.bound > acked.position;
    if limits.view == View::Every && known.is_some_and(is_amid) {
        // What it was sent then would be taken for something that it never saw. A window has no state to go on with.
        return Err(match core.retention_or_default(dataset.retention()).keep {
            Keep::Window => evicted(),
            Keep::Live => Error::invalid(format!(
                "consumer '{consumer}' is reading the state of dataset '{}' with `View::Latest`; it goes on with that to \
                 its end",
                Name(name)
            )),
        });
    }
    let rules = rules(core, &dataset, limits.view)?;
    let acked = known.unwrap_or_else(|| match limits.view {
        // One that is new reads the state as of now.
        View::Latest => Acked { position: dataset.floors().oldest(rules, pin.visible).position, bound: dataset.head() },
        View::Every => Acked { position: 0, bound: 0 },
    });
    let Acked { position, bound } = acked;
    let window = match bound > position {
        true => Window { start: 0, position, bound, first_bound: bound },
        false => Window::after(position),
    };
    // It may have seen more than it has acknowledged: no delete is left out as unseen.
    let (mut page, _) = read(core, &pin, &dataset, rules, window, limits, Unseen::Told)?;
    if page.is_passed() {
        // There is nothing in it that could be acknowledged, so nothing would ever lead above it.
        (page, _) = read(core, &pin, &dataset, rules, Window::after(page.position.get()), limits, Unseen::Told)?;
    }
    // Nothing is held while a commit is waited for: it may wait for the index store to be opened again.
    drop(pin);
    drop(store);
    if known.is_none() {
        begin(core, consumer, name, dataset.id, acked)?;
    }
    Ok(page)
}

/// Registers a consumer that fetches for the first time: retention keeps for it what comes after the state that it reads.
fn begin(core: &Core, consumer: &str, name: &[u8], incarnation: u64, acked: Acked) -> Result<()> {
    match write(core, consumer, name, incarnation, acked) {
        // Reads go on while nothing can be written; it is registered by its first acknowledgement then.
        Ok(()) | Err(Error::Poisoned { .. } | Error::NoSpace { .. } | Error::SealFailed { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn write(core: &Core, consumer: &str, name: &[u8], incarnation: u64, acked: Acked) -> Result<()> {
    let (dataset, consumer) = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(consumer.as_bytes()));
    let bytes = dataset.len() + consumer.len() + 64;
    core.commits.append(core, Work::Ack { dataset, incarnation, consumer, acked }, Durability::Synced, bytes)?;
    Ok(())
}

/// Acknowledges all up to `upto`.
pub fn ack(core: &Core, consumer: &str, name: &[u8], upto: SyncKey) -> Result<SyncKey> {
    check(consumer)?;
    let store = core.store();
    let (pin, dataset) = Pin::of(core, &store, name)?;
    if upto.get() > pin.visible {
        let (reason, position) = (StaleReason::Future, upto.get());
        return Err(Stale { reason, dataset: name.to_vec(), position, floor: 0 }.into());
    }
    let before = acked(&pin, &dataset, consumer.as_bytes())?;
    drop(pin);
    drop(store);
    let now = Acked { position: upto.get(), bound: 0 };
    let now = before.map_or(now, |before| now.onto(before));
    if before != Some(now) {
        write(core, consumer, name, dataset.id, now)?;
    }
    Ok(SyncKey::new(now.position))
}

/// Forgets a consumer.
pub fn remove(core: &Core, consumer: &str, name: &[u8]) -> Result<()> {
    check(consumer)?;
    let store = core.store();
    let (pin, dataset) = Pin::of(core, &store, name)?;
    if acked(&pin, &dataset, consumer.as_bytes())?.is_none() {
        return Err(Error::NotFound { what: format!("consumer '{consumer}' of dataset '{}'", Name(name)) });
    }
    drop(pin);
    drop(store);
    let (dataset, consumer) = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(consumer.as_bytes()));
    let bytes = dataset.len() + consumer.len() + 64;
    core.commits.append(core, Work::RemoveConsumer { dataset, consumer }, Durability::Synced, bytes)?;
    Ok(())
}

/// Consumers in order of name and dataset.
pub fn list(core: &Core, after: Option<(&str, &[u8])>, limit: usize) -> Result<Vec<Consumer>> {
    let store = core.store();
    let pin = Pin::new(core, &store);
    let mut first = First { pin: &pin, after, limit, rows: BTreeMap::new() };
    for (id, name) in in_tails(&pin) {
        first.add(id, name)?;
    }
    // In order of name alone: datasets come in the order of their ids.
    let mut seen = after.map(|(name, _)| (Bytes::copy_from_slice(name.as_bytes()), 0));
    loop {
        let some = pin.snapshot().consumers(seen.as_ref().map(|(name, id): &(Bytes, u64)| (&name[..], *id)), 1024)?;
        seen = some.last().map(|last| (last.name.clone(), last.id));
        for row in some {
            if first.is_before(&row.name) {
                return Ok(first.consumers());
            }
            first.add(row.id, row.name)?;
        }
        if seen.is_none() {
            return Ok(first.consumers());
        }
    }
}

/// The consumers that tails speak of.
fn in_tails(pin: &Pin<'_>) -> BTreeSet<(u64, Bytes)> {
    let mut found = BTreeSet::new();
    for tail in pin.tails.oldest_first() {
        found.extend(tail.read().consumers.keys().cloned());
    }
    found
}

/// The first consumers behind a place, no more than are asked for.
struct First<'p, 'a> {
    pin: &'p Pin<'a>,
    after: Option<(&'p str, &'p [u8])>,
    limit: usize,
    rows: BTreeMap<(Bytes, Bytes), (Acked, u64)>,
}

impl First<'_, '_> {
    fn add(&mut self, id: u64, name: Bytes) -> Result<()> {
        let Some(dataset) = dataset_of(self.pin, id)? else { return Ok(()) };
        if self.after.is_some_and(|after| (&name[..], &dataset.record().name[..]) <= (after.0.as_bytes(), after.1)) {
            return Ok(());
        }
        if let Some(acked) = acked(self.pin, &dataset, &name)? {
            let key = (name, Bytes::copy_from_slice(&dataset.record().name));
            self.rows.insert(key, (acked, dataset.record().history_floor));
            if self.rows.len() > self.limit {
                self.rows.pop_last();
            }
        }
        Ok(())
    }

    /// Whether it is full of names that sort before this one.
    fn is_before(&self, name: &[u8]) -> bool {
        self.rows.len() >= self.limit && self.rows.last_key_value().is_none_or(|((last, _), _)| &last[..] < name)
    }

    fn consumers(self) -> Vec<Consumer> {
        let consumer = |((name, dataset), (acked, floor)): ((Bytes, Bytes), (Acked, u64))| Consumer {
            name: String::from_utf8_lossy(&name).into_owned(),
            dataset: dataset.to_vec(),
            position: SyncKey::new(acked.position),
            evicted: acked.position.max(acked.bound) < floor,
        };
        self.rows.into_iter().map(consumer).collect()
    }
}

/// The dataset of an id, if it still exists.
fn dataset_of(pin: &Pin<'_>, id: u64) -> Result<Option<Dataset>> {
    let created =
        pin.tails.oldest_first().find_map(|tail| tail.read().datasets.get(&id).and_then(|part| part.created.clone()));
    let name = match created {
        Some(name) => Some(name.to_vec()),
        None => pin.snapshot().record(id)?.map(|record| record.name),
    };
    let Some(name) = name else { return Ok(None) };
    Ok(pin.dataset(&name)?.filter(|dataset| dataset.id == id))
}

/// What a consumer has acknowledged, if it is known.
fn acked(pin: &Pin<'_>, dataset: &Dataset, consumer: &[u8]) -> Result<Option<Acked>> {
    let key = (dataset.id, Bytes::copy_from_slice(consumer));
    let sealed = pin.snapshot().consumer(dataset.id, consumer)?;
    let sealed = sealed.map(|record| Acked { position: record.position, bound: record.bound });
    Ok(pin.tails.oldest_first().fold(sealed, |before, tail| {
        let inner = tail.read();
        inner.consumers.get(&key).map_or(before, |acked| acked.onto(before, pin.visible))
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
