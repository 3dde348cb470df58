//! Following one dataset: a page, and then whatever comes. Between pages it holds a name and a cursor.

use axum::body::Bytes;

use super::app::App;
use super::gates::{FullSync, Patience};
use super::problem::Problem;
use super::reading::{self, Leave};
use crate::{Cursor, Engine, Error, Limits, Page, Pending, SyncKey};

/// How a page of this dataset is written.
pub type Write = fn(&[u8], &Page) -> Result<Vec<u8>, Problem>;

/// A dataset that is followed, and how far.
#[derive(Debug, Clone)]
pub struct Follow {
    dataset: Box<[u8]>,
    cursor: Cursor,
    limits: Limits,
    /// Most bytes of a page as it is written, unless it is a single entry.
    most: usize,
    /// Whether there was more when it was last read.
    more: bool,
    /// Up to where it was read: there is something to read once the dataset's head is beyond.
    position: SyncKey,
}

/// A page on its way to a client, with the room that it takes until it is sent.
#[derive(Debug)]
pub struct Written {
    bytes: Vec<u8>,
    leave: Leave,
    /// Whether there is more at once.
    pub more: bool,
    /// Whether it says nothing.
    pub is_empty: bool,
}

/// What a read found.
struct Got {
    bytes: Vec<u8>,
    entries: usize,
    more: bool,
    next: Cursor,
    position: SyncKey,
}

impl Follow {
    /// Follows `dataset` from `cursor`, by pages within these limits.
    pub fn new(dataset: Vec<u8>, cursor: Cursor, limits: Limits) -> Follow {
        let (most, position) = (usize::MAX, SyncKey::ZERO);
        Follow { dataset: dataset.into(), cursor, limits, most, more: false, position }
    }

    /// By pages of at most so many bytes as they are written, unless a single entry is larger.
    pub fn by_messages(self, most: usize) -> Follow {
        // Of a page of which each entry counts with its names and numbers a third is left for base64.
        let max_bytes = self.limits.max_bytes.min(most / 4 * 3);
        let entry_bytes = reading::ENTRY_BYTES + self.dataset.len();
        Follow { limits: Limits { max_bytes, entry_bytes, ..self.limits }, most, ..self }
    }

    /// The dataset.
    pub fn dataset(&self) -> &[u8] {
        &self.dataset
    }

    /// Up to where it was read. The dataset's head may have been beyond it already: a window ends where it began to end,
    /// whatever comes while it is read.
    pub fn position(&self) -> SyncKey {
        self.position
    }

    /// Whether all of it is read: a full sync.
    pub fn is_from_start(&self) -> bool {
        is_whole(&self.cursor)
    }

    /// The next page; an empty one if nothing is due. A dataset that does not exist yet is empty too, for whoever holds
    /// nothing of it.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::changes`](crate::Engine::changes); `dataset_not_found` for whoever holds something of it.
    pub async fn read(&mut self, app: &App, patience: Patience, write: Write) -> Result<Written, Problem> {
        // What has just come is in memory.
        let at_once = |engine: &Engine| {
            // Of much that was there already, more than a little will come.
            if self.more && self.limits.max_entries > reading::AT_ONCE_ENTRIES {
                return None;
            }
            let read = reading::at_once(engine, &self.dataset, &self.cursor, self.limits)?;
            Some(self.written(read, write)).filter(|got| self.too_many(got).is_none())
        };
        let follow = self.clone();
        let whole = move |engine: &Engine| {
            let mut limits = follow.limits;
            loop {
                let got = follow.written(engine.changes(&follow.dataset, &follow.cursor, limits), write);
                match follow.too_many(&got) {
                    Some(fit) => limits.max_entries = fit,
                    None => return got,
                }
            }
        };
        let weigh = |got: &Result<Got, Problem>| got.as_ref().map_or(0, |got| got.bytes.len());
        // What is written is larger than what is read: without leave for that it would be read twice.
        let bytes = if self.most == usize::MAX { self.limits.max_bytes } else { self.most };
        let (read, leave) = reading::read_soon(patience, app, bytes, at_once, whole, weigh).await?;
        let Got { bytes, entries, more, next, position } = read??;
        (self.cursor, self.position, self.more) = (next, position, more);
        Ok(Written { bytes, leave, more, is_empty: entries == 0 })
    }

    /// If it is larger than a page may be as it is written: how many of its entries are about as much as may be. So it is
    /// with what takes far more there than could be known: long origins, and names that are to be escaped.
    fn too_many(&self, got: &crate::Result<Result<Got, Problem>>) -> Option<usize> {
        let Ok(Ok(Got { bytes, entries, .. })) = got else { return None };
        let is_too_large = bytes.len() > self.most && *entries > 1;
        is_too_large.then(|| (entries.saturating_mul(self.most) / bytes.len()).max(1))
    }

    fn written(&self, read: crate::Result<Page>, write: Write) -> crate::Result<Result<Got, Problem>> {
        let page = match read {
            Err(Error::DatasetNotFound { .. }) if self.cursor.position().is_none_or(|at| at == SyncKey::ZERO) => {
                nothing()
            }
            read => read?,
        };
        let Page { more, next, position, .. } = page;
        let entries = page.entries.len();
        Ok(write(&self.dataset, &page).map(|bytes| Got { bytes, entries, more, next, position }))
    }
}

/// Whether all that there is of a dataset is read from there.
pub fn is_whole(from: &Cursor) -> bool {
    from.position() == Some(SyncKey::ZERO) || *from == Cursor::oldest()
}

/// The page of a dataset that does not exist.
pub fn nothing() -> Page {
    let (position, head) = (SyncKey::ZERO, SyncKey::ZERO);
    let (next, pending) = (Cursor::START, Pending::default());
    Page { entries: crate::Entries::default(), next, position, more: false, head, pending, headroom: u64::MAX }
}

impl Written {
    /// Keeps a full sync's place, too, until it is sent.
    pub fn hold(mut self, full: Option<FullSync>) -> Written {
        self.leave.full_sync = full;
        self
    }

    /// The page, and the leave to be kept until it is sent.
    pub fn into_parts(self) -> (Vec<u8>, Leave) {
        (self.bytes, self.leave)
    }

    /// The page as bytes that hold its leave, and a full sync's place, until they are sent or thrown away.
    pub fn into_bytes(self, full: Option<FullSync>) -> Bytes {
        Bytes::from_owner(self.hold(full))
    }
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
