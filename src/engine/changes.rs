//! One page of changes: the window rules over chunks and tails.

mod moment;
mod owned;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::core::Core;
use super::pin::{Dataset, Pin, Reading};
use crate::chunk::{Chunk, ChunkEntry, ChunkMeta};
use crate::cursor::{Cursor, Kind};
use crate::error::{Error, Result, Stale, StaleReason};
use crate::planted::{Bug, planted};
use crate::tail::{COPY_ABOVE_BYTES, Tail, TailEntry};
use crate::types::entries::{Builder, EntryHead, Place};
use crate::types::{Keep, Limits, Op, Page, Pending, SyncKey, View};
use crate::window::{self, Born, Facts, Rules, Verdict, Window};
use moment::position_at;
pub use owned::{sealed_entry, tail_entry};

/// The page of `dataset` after `cursor`.
pub fn changes(core: &Core, name: &[u8], cursor: &Cursor, limits: Limits) -> Result<Page> {
    let store = core.store();
    Pin::read(core, &store, name, |pin, dataset| Ok(page(core, pin, dataset, cursor, limits)?.0))
}

/// The page of a dataset as of a pinned moment, and how many entries were looked at for it.
pub fn page(core: &Core, pin: &Pin<'_>, dataset: &Dataset, cursor: &Cursor, limits: Limits) -> Result<(Page, usize)> {
    let rules = rules(core, dataset, limits.view)?;
    let window = window_of(core, pin, dataset, cursor, rules)?;
    let unseen = if limits.unseen_deletes { Unseen::ToldAboveStart } else { Unseen::LeftOut };
    read(core, pin, dataset, rules, window, limits, unseen)
}

/// What becomes of deletes that a client with this cursor cannot have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    LeftOut,
    /// Told unless the window began from nothing.
    ToldAboveStart,
    Told,
}

/// The next page of a window, and how many entries were looked at for it.
pub fn read(
    core: &Core,
    pin: &Pin<'_>,
    dataset: &Dataset,
    rules: Rules,
    window: Window,
    limits: Limits,
    unseen: Unseen,
) -> Result<(Page, usize)> {
    let floors = dataset.floors();
    let mut window =
        window.resume(rules, pin.visible, floors).map_err(|reason| stale(dataset, window.position, reason))?;
    let entries = Builder::new();
    let (scanned, chunk, block) = (0, None, None);
    let mut reader = Reader { pin, dataset, rules, limits, unseen, window, entries, scanned, chunk, block };
    let more = !reader.sealed()? || !reader.tails()?;
    window = reader.window;
    if !more {
        window.position = window.bound;
    }
    let (entries, scanned, chunk) = (reader.entries.finish(), reader.scanned, reader.chunk);
    core.metrics.pages.fetch_add(1, Ordering::Relaxed);
    core.metrics.entries_read.fetch_add(entries.len() as u64, Ordering::Relaxed);
    let page = Page {
        entries,
        next: Cursor(Kind::Exact(window.exact(rules.view, core.lineage.present, dataset.id))),
        position: SyncKey::new(window.position),
        more,
        head: SyncKey::new(dataset.head()),
        pending: pending(pin, dataset, window.position, chunk)?,
        headroom: window.headroom(rules, floors),
    };
    Ok((page, scanned))
}

/// The rules for a dataset: one that once lost a live entry is read like a window for good.
///
/// # Errors
///
/// [`Error::Invalid`] if it cannot be read in this view.
pub fn rules(core: &Core, dataset: &Dataset, view: View) -> Result<Rules> {
    let keep = core.retention_or_default(dataset.retention()).keep;
    if keep == Keep::Window && view == View::Latest {
        return Err(Error::invalid(
            "this dataset keeps a window of its past (`Keep::Window`): it can be read with `View::Every` only",
        ));
    }
    Ok(Rules { view, keep: if dataset.record().window_floor > 0 { Keep::Window } else { keep } })
}

/// The window that `cursor` means for this dataset.
fn window_of(core: &Core, pin: &Pin<'_>, dataset: &Dataset, cursor: &Cursor, rules: Rules) -> Result<Window> {
    let refuse = |position, reason| stale(dataset, position, reason);
    match cursor.0 {
        Kind::Oldest => Ok(dataset.floors().oldest(rules, pin.visible)),
        Kind::Head => Ok(Window::after(pin.visible)),
        Kind::SinceTime(time_ms) => Ok(match position_at(pin, dataset, time_ms)? {
            0 => Window::after(0),
            // What is gone may have moved the position below the moment: the client may have seen what lies between, so
            // no delete is left out, as if the bound had moved.
            start => Window { start, position: start, bound: pin.visible.max(start), first_bound: start },
        }),
        Kind::After(key) => {
            window::accept_bare(key, dataset.id, pin.visible, &core.lineage.gaps)
                .map_err(|reason| refuse(key, reason))?;
            Ok(Window::after(key))
        }
        Kind::Exact(exact) => {
            let shared = window::Shared {
                lineage: core.lineage.present,
                earlier: &core.lineage.earlier,
                incarnation: dataset.id,
                visible: pin.visible,
            };
            window::accept(&exact, &shared).map_err(|reason| refuse(exact.position, reason))?;
            Window::of(&exact, rules.view).map_err(|_| {
                Error::invalid("a cursor in the middle of a `View::Latest` window cannot go on with `View::Every`")
            })
        }
    }
}

fn stale(dataset: &Dataset, position: u64, reason: StaleReason) -> Error {
    let floor = match reason {
        StaleReason::Trimmed => dataset.record().floor,
        StaleReason::HistoryTrimmed => dataset.record().history_floor,
        _ => 0,
    };
    Error::Stale(Stale { reason, dataset: dataset.record().name.clone(), position, floor })
}

/// A page in the making.
struct Reader<'p, 'a> {
    pin: &'p Pin<'a>,
    dataset: &'p Dataset,
    rules: Rules,
    limits: Limits,
    unseen: Unseen,
    window: Window,
    entries: Builder,
    scanned: usize,
    /// The chunk that was read last, with its counts if they were at hand.
    chunk: Option<(Option<ChunkMeta>, Arc<Chunk>)>,
    /// The tail's block that was shared last: the tail's base, the block there, and in the page.
    block: Option<(u64, u32, u32)>,
}

impl Reader<'_, '_> {
    /// Reads what is sealed; false if a limit ended the page.
    fn sealed(&mut self) -> Result<bool> {
        let upto = self.window.bound.min(self.pin.sealed_upto).min(self.dataset.record().head);
        if self.window.position >= upto {
            return Ok(true);
        }
        let id = self.dataset.id;
        let latest = self.rules.view == View::Latest;
        let reading = Reading::of(self.window.position > self.window.start, latest);
        let mut marks = latest.then(|| self.pin.marks(self.dataset, self.window.position, reading));
        // What comes into a tail from now on is above the bound.
        let tails: Vec<&Arc<Tail>> = match latest && self.dataset.is_due_in_tails(0) {
            true => self.pin.tails.oldest_first().filter(|tail| tail.read().datasets.contains_key(&id)).collect(),
            false => Vec::new(),
        };
        for chunk in self.pin.chunks(self.dataset, self.window.position.saturating_add(1), reading) {
            let chunk = Arc::clone(&self.chunk.insert(chunk?).1);
            if let Some(marks) = &mut marks {
                marks.enter(&chunk);
            }
            let from = chunk.search(self.window.position);
            self.entries.reserve((chunk.len() - from).min(self.limits.max_entries - self.entries.len()));
            let mut block = None;
            for at in from..chunk.len() {
                let key = chunk.key(at);
                if key > upto {
                    return Ok(true);
                }
                let successor = marks.as_mut().map(|marks| marks.successor(key)).transpose()?.flatten();
                if !self.take_sealed(&chunk, at, successor, &tails, &mut block)? {
                    return Ok(false);
                }
            }
            if chunk.last_key() >= upto {
                break;
            }
        }
        Ok(true)
    }

    /// Takes a sealed entry, given its successor among the sealed ones, the tails that may hold another one, and the page's
    /// block that the chunk is, once it is one.
    fn take_sealed(
        &mut self,
        chunk: &Chunk,
        at: usize,
        mark: Option<u64>,
        tails: &[&Arc<Tail>],
        block: &mut Option<u32>,
    ) -> Result<bool> {
        let (key, row) = (chunk.key(at), chunk.row(at));
        let op = row.op();
        let is_delete = op == Op::Delete;
        // A tombstone at or below the floor that nothing replaced is dropped, even while it still lies in its chunk.
        let floor = self.dataset.record().floor;
        let purged = is_delete && mark.is_none() && key <= floor;
        let successor = match (self.rules.view, mark) {
            (View::Every, _) => None,
            (View::Latest, Some(next)) => Some(next),
            (View::Latest, None) if purged => Some(key),
            (View::Latest, None) => oldest_in(tails.iter().copied(), self.dataset.id, chunk.entity(row)),
        };
        let facts = Facts { key, is_delete, successor };
        let verdict = self.window.judge(self.rules, floor, &facts, || Ok::<_, Error>(row.life()))?;
        let with_payload = self.limits.payloads;
        let (place, entity_len, payload_len) = row.place();
        let size = usize::from(entity_len) + if with_payload { payload_len as usize } else { 0 };
        Ok(self.take(key, verdict, size, |entries, new| {
            let (time_ms, origin, last) = (row.time_ms(), chunk.origin(row), row.last());
            let head = EntryHead { key, op, time_ms, origin, new, last, with_payload };
            if !with_payload && chunk.bytes().len() > COPY_ABOVE_BYTES {
                let ChunkEntry { entity, payload, .. } = chunk.entry(at);
                return entries.copy(&head, entity, payload);
            }
            let block = *block.get_or_insert_with(|| entries.share(chunk.bytes().clone()));
            entries.push(&head, Place { block, at: place, entity_len, payload_len });
        }))
    }

    /// Reads what is in tails; false if a limit ended the page.
    fn tails(&mut self) -> Result<bool> {
        let pin = self.pin;
        if !self.dataset.is_due_in_tails(self.window.position) {
            return Ok(true);
        }
        for tail in pin.tails.oldest_first() {
            let mut life = None;
            loop {
                match self.take_from(tail, life) {
                    Taken::All => break,
                    Taken::Some => life = None,
                    Taken::Full => return Ok(false),
                    // The index store is asked, but not under the tail's lock, which the writer waits for.
                    Taken::UpTo { key, entity } => {
                        life = Some((key, pin.born(self.dataset, &entity, key)?));
                    }
                }
            }
        }
        Ok(true)
    }

    /// Takes what is due of a tail, as far as lives are known there; `life` is that of the entry at one key.
    fn take_from(&mut self, tail: &Tail, life: Option<(u64, Born)>) -> Taken {
        let (inner, id, floor) = (tail.read(), self.dataset.id, self.dataset.record().floor);
        let Some(part) = inner.datasets.get(&id) else { return Taken::All };
        let bound = if planted(Bug::BoundIgnored) { u64::MAX } else { self.window.bound };
        let due = part.between(self.window.position, bound);
        self.entries.reserve(due.len().min(AT_ONCE).min(self.limits.max_entries - self.entries.len()));
        for entry in due.iter().take(AT_ONCE) {
            let successor = match self.rules.view {
                View::Every => None,
                View::Latest => match part.newer(entry) {
                    Some(newer) => Some(newer.key),
                    None => self.successor_above(tail.base(), part.entity(entry)),
                },
            };
            let facts = Facts { key: entry.key, is_delete: entry.is_delete(), successor };
            let verdict = self.window.judge(self.rules, floor, &facts, || match life {
                Some((key, born)) if key == entry.key => Ok(born),
                _ => part.born(entry, floor).ok_or(()),
            });
            let Ok(verdict) = verdict else {
                return Taken::UpTo { key: entry.key, entity: part.entity_bytes(entry) };
            };
            let with_payload = self.limits.payloads;
            let size = entry.bytes() as usize - if with_payload { 0 } else { entry.payload_len() };
            let (frame, mut block) = (&inner.frames[entry.frame as usize], self.block);
            let taken = self.take(entry.key, verdict, size, |entries, new| {
                let TailEntry { key, op, last, .. } = *entry;
                let origin = frame.origin.as_deref();
                let head = EntryHead { key, op, time_ms: frame.time_ms, origin, new, last, with_payload };
                let (of, at, entity_len, payload_len) = entry.place();
                let known = block.filter(|known| (known.0, known.1) == (tail.base(), of));
                let whole = with_payload || entry.bytes() <= COPY_ABOVE_BYTES as u64;
                let shared = match known {
                    Some((.., shared)) if whole => shared,
                    _ => match part.block(entry).filter(|_| whole) {
                        Some(bytes) => entries.share(bytes.clone()),
                        None => return entries.copy(&head, part.entity(entry), part.payload(entry)),
                    },
                };
                block = Some((tail.base(), of, shared));
                entries.push(&head, Place { block: shared, at, entity_len, payload_len });
            });
            self.block = block;
            if !taken {
                return Taken::Full;
            }
        }
        if due.len() > AT_ONCE { Taken::Some } else { Taken::All }
    }

    /// The entity's oldest version in a tail newer than the one that begins at `base`.
    fn successor_above(&self, base: u64, entity: &[u8]) -> Option<u64> {
        if self.rules.view == View::Every {
            return None;
        }
        oldest_in(self.pin.tails.oldest_first().filter(|tail| tail.base() > base), self.dataset.id, entity)
    }

    /// Takes one entry into the page, or passes over it; false if it no longer fits.
    #[inline]
    fn take(&mut self, key: u64, verdict: Verdict, size: usize, add: impl FnOnce(&mut Builder, bool)) -> bool {
        if self.scanned == self.limits.max_scan {
            return false;
        }
        self.scanned += 1;
        let verdict = match (verdict, self.unseen) {
            (Verdict::Elided, Unseen::Told) => Verdict::Deliver { new: true },
            (Verdict::Elided, Unseen::ToldAboveStart) if self.window.start > 0 => Verdict::Deliver { new: true },
            (verdict, _) => verdict,
        };
        if let Verdict::Deliver { new } = verdict {
            if self.limits.is_full(self.entries.len(), self.entries.bytes(), size) {
                return false;
            }
            add(&mut self.entries, new);
        }
        self.window.position = key;
        true
    }
}

/// The key of the entity's oldest version in the first of these tails that has one.
fn oldest_in<'t>(mut tails: impl Iterator<Item = &'t Arc<Tail>>, id: u64, entity: &[u8]) -> Option<u64> {
    tails.find_map(|tail| tail.read().oldest(id, entity).map(|entry| entry.key))
}

/// Entries taken from a tail under one hold of its lock, which the writer waits for.
const AT_ONCE: usize = 256;

/// How far a tail was read.
enum Taken {
    All,
    /// There is more.
    Some,
    /// A limit ended the page.
    Full,
    /// When the life of this entry began must be found out first.
    UpTo {
        key: u64,
        entity: Bytes,
    },
}

/// What lies above `position`: what was ever appended there, less what is known to be before it. `read` is the last
/// chunk that was read on the way to the position.
fn pending(
    pin: &Pin<'_>,
    dataset: &Dataset,
    position: u64,
    read: Option<(Option<ChunkMeta>, Arc<Chunk>)>,
) -> Result<Pending> {
    let record = dataset.record();
    let (mut entries, mut bytes) = pin.due_in_tails(dataset, position);
    if position >= record.head {
        return Ok(Pending { entries, bytes });
    }
    // Chunks count what was ever appended up to their ends, so two of them tell what lies between: the one at the position,
    // and the last one, which ends as the record does. All before the chunk that was read last is behind the position: if
    // that one is not, nothing else is to be found.
    let (meta, mut chunk) = match read.filter(|(_, chunk)| chunk.last_key() > position) {
        Some((None, chunk)) if chunk.last_key() == record.head => (None, Some(chunk)),
        Some((Some(meta), chunk)) => (Some(meta), Some(chunk)),
        other => (pin.meta_covering(dataset, position.saturating_add(1))?, other.map(|(_, chunk)| chunk)),
    };
    if let Some(meta) = meta {
        entries += record.seq.saturating_sub(meta.seq);
        bytes += record.seq_bytes.saturating_sub(meta.seq_bytes);
        if chunk.is_none() && position < meta.first {
            entries += u64::from(meta.count);
            bytes += meta.bytes;
        } else if chunk.is_none() {
            chunk = Some(pin.chunk(dataset, &meta)?);
        }
    }
    if let Some(chunk) = chunk {
        let at = chunk.search(position);
        entries += (chunk.len() - at) as u64;
        bytes += chunk.bytes_from(at);
    }
    Ok(Pending { entries, bytes })
}
