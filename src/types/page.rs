use bytes::Bytes;

use super::{Entries, SyncKey};
use crate::cursor::Cursor;
use crate::error::Error;

/// Which entries a read delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum View {
    /// What a client needs to reach the present state: superseded entries and pointless deletes are skipped.
    #[default]
    Latest,
    /// Every recorded entry, for event sourcing and audit. From below the history floor it is an error.
    Every,
}

/// How much one page may hold, and what of it.
///
/// ```
/// use tidelog::{Limits, View};
///
/// let page_of_50 = Limits::entries(50).bytes(1 << 20).view(View::Every);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    pub(crate) max_entries: usize,
    pub(crate) max_bytes: usize,
    /// What each entry takes of them besides its entity and payload: of a page that is written out, names and numbers count.
    pub(crate) entry_bytes: usize,
    pub(crate) max_scan: usize,
    pub(crate) view: View,
    pub(crate) payloads: bool,
    pub(crate) unseen_deletes: bool,
}

impl Default for Limits {
    /// 1,000 entries, 4 MiB, the latest view, with payloads.
    fn default() -> Limits {
        Limits {
            max_entries: 1000,
            max_bytes: 4 << 20,
            entry_bytes: 0,
            max_scan: 100_000,
            view: View::Latest,
            payloads: true,
            unseen_deletes: false,
        }
    }
}

impl Limits {
    /// At most this many entries in a page (at least 1), the rest as by default.
    pub fn entries(max_entries: usize) -> Limits {
        Limits { max_entries: max_entries.max(1), ..Limits::default() }
    }

    /// At most this many bytes of entities and payloads in a page. A page holds one entry however large it is.
    pub fn bytes(self, max_bytes: usize) -> Limits {
        Limits { max_bytes, ..self }
    }

    /// At most this many entries looked at for a page, skipped ones included (at least 1; default 100,000). A page
    /// whose budget is spent may be empty and say `more`; its cursor has advanced.
    pub fn scan(self, max_scan: usize) -> Limits {
        Limits { max_scan: max_scan.max(1), ..self }
    }

    /// Which entries are delivered.
    pub fn view(self, view: View) -> Limits {
        Limits { view, ..self }
    }

    /// How many entries a page may hold.
    pub fn max_entries(&self) -> usize {
        self.max_entries
    }

    /// How many bytes of entities and payloads a page may hold.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Whether what holds so many entries and bytes has no room for an entry of `size` bytes. There is room for one, however
    /// large it is.
    pub(crate) fn is_full(&self, entries: usize, bytes: usize, size: usize) -> bool {
        let besides = (entries + 1).saturating_mul(self.entry_bytes);
        entries >= self.max_entries || (entries > 0 && (bytes + size).saturating_add(besides) > self.max_bytes)
    }

    /// Leaves the payloads out: key, op, entity and length only.
    pub fn without_payloads(self) -> Limits {
        Limits { payloads: false, ..self }
    }

    /// Delivers deletes also of entities that began to exist after the cursor: for a client that may have applied more
    /// than it has given back as its cursor, and would keep for ever what it is not told to delete. A read that began at
    /// the start leaves them out all the same: a client that begins anew forgets what it holds.
    pub fn unseen_deletes(self) -> Limits {
        Limits { unseen_deletes: true, ..self }
    }
}

/// What is still due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Pending {
    /// Entries above the page's position. An upper bound for [`View::Latest`]; zero only if nothing is due.
    pub entries: u64,
    /// Their entities and payloads in bytes, uncompressed; an upper bound likewise.
    pub bytes: u64,
}

/// One page of changes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page {
    /// The entries, in key order.
    pub entries: Entries,
    /// Where the next read goes on. A pure value: it may be stored, and asked again.
    pub next: Cursor,
    /// The position reached. With `more == false`, applying all pages up to here gives exactly the dataset's state at
    /// this key.
    pub position: SyncKey,
    /// Whether this window holds more.
    pub more: bool,
    /// The dataset's newest visible key.
    pub head: SyncKey,
    /// What is due beyond this page, up to `head`.
    pub pending: Pending,
    /// How far `next` is from going stale: by how much the dataset's floor would have to rise, in keys.
    pub headroom: u64,
}

impl Page {
    /// Whether it ends its window with nothing while there is more above: the next read is to be made at once.
    pub(crate) fn is_passed(&self) -> bool {
        self.entries.is_empty() && !self.more && self.position < self.head
    }
}

/// The changes of one dataset in a [`ManyPage`].
#[derive(Debug)]
#[non_exhaustive]
pub enum DatasetChanges {
    /// A page of it.
    Page(Page),
    /// The budget was spent before this dataset was reached: ask again with the same cursor.
    NotReached,
    /// This dataset cannot be served (its cursor is stale, it does not exist); the others are not affected.
    Failed(Error),
}

/// The answer of [`Engine::changes_many`](crate::Engine::changes_many), in the order of the request.
#[derive(Debug)]
#[non_exhaustive]
pub struct ManyPage {
    /// One answer for each dataset asked for.
    pub datasets: Vec<DatasetChanges>,
    /// Whether any dataset has more or was not reached.
    pub more: bool,
    /// The request's index at which the next call should begin, so that none starves.
    pub next_index: usize,
    /// The store-wide key up to which all of them were read.
    pub visible: SyncKey,
}

/// One row of [`Engine::entities`](crate::Engine::entities).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EntityRow {
    /// The entity's id.
    pub entity: Bytes,
    /// The key of its newest entry: its tag.
    pub key: SyncKey,
}

/// One page of dataset names, in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamePage {
    /// The names.
    pub names: Vec<Bytes>,
    /// Whether there are more: ask again after the last name.
    pub more: bool,
}
