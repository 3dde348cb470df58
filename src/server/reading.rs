//! Reading what takes memory, within what is there for all.

use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::gates::{self, FullSync, Patience};
use super::problem::Problem;
use crate::{Cursor, Engine, EntryRef, Limits, Page};

/// About what an entry takes in an answer besides its names and its payload, in bytes.
pub const ENTRY_BYTES: usize = 160;

/// What is read in place at most, in bytes of entities and payloads and in entries looked at: it takes about as long as
/// handing the read to another thread. An entry may have to be looked up in the index.
const AT_ONCE_BYTES: usize = 64 << 10;
pub const AT_ONCE_ENTRIES: usize = 64;
/// What such a page may take as an answer.
const AT_ONCE_WEIGHT: usize = 4 * AT_ONCE_BYTES;

/// The leave to hold what was read until it is sent.
#[derive(Debug)]
pub struct Leave {
    /// About how many bytes it takes.
    pub weight: usize,
    /// For its memory.
    pub page: OwnedSemaphorePermit,
    /// For a read from the start.
    pub full_sync: Option<FullSync>,
}

impl Leave {
    /// What a page of this weight needs of a leave.
    fn new(page: OwnedSemaphorePermit, weight: usize) -> Leave {
        Leave { weight, page: gates::fit(page, weight), full_sync: None }
    }
}

/// Reads under leave for about `bytes`. What proves larger is let go of, and read again under leave for as much as it
/// takes: whatever is asked for, all that is held at once stays within the memory for pages.
///
/// # Errors
///
/// Those of the gates; those of the read stand inside, with its leave.
pub async fn read<T: Send + 'static>(
    app: &App,
    bytes: usize,
    work: impl Fn(&Engine) -> crate::Result<T> + Clone + Send + 'static,
    weigh: impl Fn(&T) -> usize,
) -> Result<(crate::Result<T>, Leave), Problem> {
    read_within(Patience::Some, app, bytes, move |engine, _| work(engine), weigh).await
}

/// The same for work that knows how much it may take.
///
/// # Errors
///
/// As [`read`].
pub async fn read_within<T: Send + 'static>(
    patience: Patience,
    app: &App,
    bytes: usize,
    work: impl Fn(&Engine, usize) -> crate::Result<T> + Clone + Send + 'static,
    weigh: impl Fn(&T) -> usize,
) -> Result<(crate::Result<T>, Leave), Problem> {
    let mut bytes = bytes.clamp(1, app.gates.most_page_bytes());
    loop {
        let page = app.gates.page(bytes, patience).await?;
        let work = work.clone();
        let found = app.run(move |engine| Ok(work(engine, bytes))).await?;
        let weight = found.as_ref().map_or(0, &weigh);
        if weight <= bytes || bytes == app.gates.most_page_bytes() {
            return Ok((found, Leave::new(page, weight)));
        }
        drop(found);
        drop(page);
        // A little more, for what may have come meanwhile.
        bytes = (weight + weight / 8).min(app.gates.most_page_bytes());
    }
}

/// Reads in place if `at_once` can, and else as [`read`] does.
///
/// # Errors
///
/// As [`read`].
pub async fn read_soon<T: Send + 'static>(
    patience: Patience,
    app: &App,
    bytes: usize,
    at_once: impl Fn(&Engine) -> Option<crate::Result<T>>,
    work: impl Fn(&Engine) -> crate::Result<T> + Clone + Send + 'static,
    weigh: impl Fn(&T) -> usize,
) -> Result<(crate::Result<T>, Leave), Problem> {
    let mut waited: Option<(OwnedSemaphorePermit, usize)> = None;
    // Again once it has waited for room; what has come meanwhile may be more than there is room for.
    while let Some(found) = at_once(&app.engine) {
        let weight = found.as_ref().map_or(0, &weigh);
        let page = match &waited {
            _ if weight > AT_ONCE_WEIGHT => break,
            Some((_, room)) if weight > *room => break,
            Some(_) => waited.take().map(|(page, _)| page),
            None => app.gates.page_now(weight),
        };
        if let Some(page) = page {
            return Ok((found, Leave::new(page, weight)));
        }
        drop(found);
        let room = weight + weight / 8;
        waited = Some((app.gates.page(room, patience).await?, room));
    }
    drop(waited);
    read_within(patience, app, bytes, move |engine, _| work(engine), weigh).await
}

/// The page that these limits allow, if that can be read in place, as a whole.
pub fn at_once(engine: &Engine, dataset: &[u8], cursor: &Cursor, limits: Limits) -> Option<crate::Result<Page>> {
    if !engine.in_memory(cursor).ok()? {
        return None;
    }
    let read =
        engine.changes(dataset, cursor, limits.bytes(limits.max_bytes().min(AT_ONCE_BYTES)).scan(AT_ONCE_ENTRIES));
    let is_part = |page: &Page| page.more && page.entries.len() < limits.max_entries();
    // One entry may be of any size, and is not to be written here.
    let is_large = |page: &Page| page.entries.first().is_some_and(|entry| entry.payload_len > AT_ONCE_BYTES);
    if read.as_ref().is_ok_and(|page| is_part(page) || is_large(page)) { None } else { Some(read) }
}

/// Leave to hold an answer of so many bytes.
///
/// # Errors
///
/// Those of the gates.
pub async fn leave(app: &App, bytes: usize) -> Result<Leave, Problem> {
    Ok(Leave { weight: bytes, page: app.gates.page(bytes, Patience::Some).await?, full_sync: None })
}

/// How many bytes a name takes in an answer at most: as text, of which JSON escapes some, or in base64.
pub fn name_bytes(name: &[u8]) -> usize {
    let text = |byte: &u8| match byte {
        0..=0x1f => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    4 + name.len() / 3 + name.iter().map(text).sum::<usize>()
}

/// About how many bytes these entries take in an answer.
pub fn weigh<'a>(dataset: &[u8], entries: impl IntoIterator<Item: Into<EntryRef<'a>>>) -> usize {
    let fixed = ENTRY_BYTES + name_bytes(dataset);
    let weigh = |entry: EntryRef<'_>| {
        let payload = entry.payload.as_ref().map_or(0, |payload| payload.len() + payload.len() / 3);
        fixed + name_bytes(entry.entity) + entry.origin.map_or(0, name_bytes) + payload
    };
    ENTRY_BYTES + entries.into_iter().map(Into::into).map(weigh).sum::<usize>()
}
