//! The entries of a page: rows over a few shared blocks of bytes.

use std::iter::FusedIterator;
use std::ops::Range;

use bytes::Bytes;

use super::{Entry, EntryRef, Op, SyncKey};

/// The block into which bytes are copied that cannot be shared.
const OWN: u32 = 0;
/// No origin.
const NOBODY: u32 = u32::MAX;

/// The entries of a page, in key order.
///
/// To look at them costs nothing: `for entry in &page.entries` gives an [`EntryRef`], which borrows from the page. By
/// value they are [`Entry`]s, which share their bytes with the engine and can be kept.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("store");
/// # use tidelog::{Batch, Cursor, Engine, Entry, Limits, Options};
/// # let engine = Engine::open(&dir, Options::default())?;
/// # let mut batch = Batch::new();
/// # batch.put("inbox", "message-1", "hello");
/// # engine.append(batch)?;
/// let page = engine.changes("inbox", &Cursor::START, Limits::default())?;
/// assert_eq!(page.entries.get(0).and_then(|entry| entry.payload), Some(&b"hello"[..]));
/// let kept: Vec<Entry> = page.entries.into_iter().collect();
/// assert_eq!(kept[0].entity, "message-1");
/// # Ok::<(), tidelog::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Entries {
    rows: Vec<Row>,
    /// The first one is [`OWN`].
    blocks: Vec<Bytes>,
    /// Where origins lie in [`OWN`], one for each run of entries that have the same.
    origins: Vec<Range<u32>>,
    /// Of entities and of the payloads that are delivered.
    bytes: usize,
}

/// One entry: the entity at a place in a block, and the payload behind it.
#[derive(Debug, Clone, Copy)]
struct Row {
    key: u64,
    time_ms: u64,
    block: u32,
    at: u32,
    payload_len: u32,
    origin: u32,
    entity_len: u16,
    op: Op,
    new: bool,
    last: bool,
    has_payload: bool,
}

const _: () = assert!(size_of::<Row>() == 40);

/// An entry beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryHead<'a> {
    pub key: u64,
    pub op: Op,
    pub time_ms: u64,
    pub origin: Option<&'a [u8]>,
    pub new: bool,
    pub last: bool,
    /// Whether the payload is delivered.
    pub with_payload: bool,
}

impl Row {
    #[inline]
    fn new(head: &EntryHead<'_>, origin: u32, place: Place) -> Row {
        let EntryHead { key, op, time_ms, new, last, with_payload, .. } = *head;
        let Place { block, at, entity_len, payload_len } = place;
        let has_payload = with_payload && op != Op::Delete;
        Row { key, time_ms, block, at, payload_len, origin, entity_len, op, new, last, has_payload }
    }

    fn entity(&self) -> Range<usize> {
        let at = self.at as usize;
        at..at + usize::from(self.entity_len)
    }

    fn payload(&self) -> Option<Range<usize>> {
        let at = self.entity().end;
        self.has_payload.then_some(at..at + self.payload_len as usize)
    }

    fn bytes(&self) -> usize {
        usize::from(self.entity_len) + if self.has_payload { self.payload_len as usize } else { 0 }
    }
}

/// Where an entry's bytes are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// As [`Builder::share`] numbered it.
    pub block: u32,
    pub at: u32,
    pub entity_len: u16,
    pub payload_len: u32,
}

impl Entries {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of all entities and of the payloads that were read.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entry at this index.
    pub fn get(&self, index: usize) -> Option<EntryRef<'_>> {
        self.rows.get(index).map(|row| self.at(row))
    }

    /// The first entry.
    pub fn first(&self) -> Option<EntryRef<'_>> {
        self.get(0)
    }

    /// The last entry.
    pub fn last(&self) -> Option<EntryRef<'_>> {
        self.rows.last().map(|row| self.at(row))
    }

    /// All entries, borrowed.
    pub fn iter(&self) -> Iter<'_> {
        Iter { entries: self, rows: self.rows.iter() }
    }

    #[inline]
    fn at(&self, row: &Row) -> EntryRef<'_> {
        let block = &self.blocks[row.block as usize][..];
        EntryRef {
            key: SyncKey::new(row.key),
            op: row.op,
            entity: &block[row.entity()],
            payload: row.payload().map(|range| &block[range]),
            payload_len: row.payload_len as usize,
            time_ms: row.time_ms,
            origin: self.origin(row).map(|range| &self.blocks[OWN as usize][range]),
            new: row.new,
            last: row.last,
        }
    }

    #[inline]
    fn origin(&self, row: &Row) -> Option<Range<usize>> {
        self.origins.get(row.origin as usize).map(|at| at.start as usize..at.end as usize)
    }

    /// The entry of a row, sharing its bytes.
    fn owned(&self, row: &Row) -> Entry {
        let block = &self.blocks[row.block as usize];
        Entry {
            key: SyncKey::new(row.key),
            op: row.op,
            entity: block.slice(row.entity()),
            payload: row.payload().map(|range| block.slice(range)),
            payload_len: row.payload_len as usize,
            time_ms: row.time_ms,
            origin: self.origin(row).map(|range| self.blocks[OWN as usize].slice(range)),
            new: row.new,
            last: row.last,
        }
    }
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Entries) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Entries {}

/// The entries of a page, borrowed.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    entries: &'a Entries,
    rows: std::slice::Iter<'a, Row>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = EntryRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<EntryRef<'a>> {
        self.rows.next().map(|row| self.entries.at(row))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.rows.next_back().map(|row| self.entries.at(row))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Entries {
    type Item = EntryRef<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The entries of a page, each with a share of its bytes.
#[derive(Debug, Clone)]
pub struct IntoIter {
    entries: Entries,
    rest: Range<usize>,
}

impl Iterator for IntoIter {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.rest.next().map(|at| self.entries.owned(&self.entries.rows[at]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl DoubleEndedIterator for IntoIter {
    fn next_back(&mut self) -> Option<Entry> {
        self.rest.next_back().map(|at| self.entries.owned(&self.entries.rows[at]))
    }
}

impl ExactSizeIterator for IntoIter {}
impl FusedIterator for IntoIter {}

impl IntoIterator for Entries {
    type Item = Entry;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter { rest: 0..self.len(), entries: self }
    }
}

/// An entry larger than this gets a block of its own where entries are made of what does not lie side by side.
#[cfg(any(feature = "client", test))]
const ALONE_ABOVE_BYTES: usize = 4 << 10;

/// Entries in the making.
pub(crate) struct Builder {
    entries: Entries,
    own: Vec<u8>,
}

impl Builder {
    pub fn new() -> Builder {
        let mut blocks = Vec::with_capacity(4);
        blocks.push(Bytes::new());
        Builder { entries: Entries { blocks, ..Entries::default() }, own: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all entities and delivered payloads so far.
    pub fn bytes(&self) -> usize {
        self.entries.bytes
    }

    pub fn reserve(&mut self, entries: usize) {
        self.entries.rows.reserve(entries);
    }

    /// Shares a block, in which the places of entries may lie from now on.
    pub fn share(&mut self, block: Bytes) -> u32 {
        self.entries.blocks.push(block);
        // Each is of an entry at least, and these are fewer.
        (self.entries.blocks.len() - 1) as u32
    }

    /// Adds an entry whose bytes lie in a shared block.
    #[inline(always)]
    pub fn push(&mut self, head: &EntryHead<'_>, place: Place) {
        let origin = self.origin(head.origin);
        let row = Row::new(head, origin, place);
        self.entries.bytes += row.bytes();
        self.entries.rows.push(row);
    }

    /// Adds an entry and copies what of its bytes is delivered.
    pub fn copy(&mut self, head: &EntryHead<'_>, entity: &[u8], payload: &[u8]) {
        // Places are below 4 GiB: what is copied is what few tails have not filled a block with yet, and entities.
        let at = self.own.len() as u32;
        self.own.extend_from_slice(entity);
        if head.with_payload {
            self.own.extend_from_slice(payload);
        }
        // Both lengths are limited far below these types' ends.
        let place = Place { block: OWN, at, entity_len: entity.len() as u16, payload_len: payload.len() as u32 };
        self.push(head, place);
    }

    /// Adds a client's entry, which keeps the limits of entities and payloads.
    #[cfg(any(feature = "client", test))]
    pub fn add(&mut self, entry: &Entry) {
        let Entry { key, op, time_ms, new, last, .. } = *entry;
        let (origin, with_payload) = (entry.origin.as_deref(), entry.payload.is_some());
        let head = EntryHead { key: key.get(), op, time_ms, origin, new, last, with_payload };
        let bytes = [&entry.entity, entry.payload.as_deref().unwrap_or_default()].concat();
        let (block, at) = match bytes.len() > ALONE_ABOVE_BYTES || self.own.len() > u32::MAX as usize / 2 {
            true => (self.share(Bytes::from(bytes)), 0),
            false => {
                let at = self.own.len();
                self.own.extend_from_slice(&bytes);
                (OWN, at as u32)
            }
        };
        let place = Place { block, at, entity_len: entry.entity.len() as u16, payload_len: entry.payload_len as u32 };
        self.push(&head, place);
    }

    /// What was added.
    pub fn finish(mut self) -> Entries {
        self.entries.blocks[OWN as usize] = Bytes::from(self.own);
        self.entries
    }

    #[inline]
    fn origin(&mut self, origin: Option<&[u8]>) -> u32 {
        let Some(origin) = origin else { return NOBODY };
        let origins = &mut self.entries.origins;
        let before = origins.last().map(|at| &self.own[at.start as usize..at.end as usize]);
        if before != Some(origin) {
            let at = self.own.len() as u32;
            self.own.extend_from_slice(origin);
            origins.push(at..self.own.len() as u32);
        }
        (origins.len() - 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(key: u64, op: Op, origin: Option<&'static str>) -> EntryHead<'static> {
        let origin = origin.map(str::as_bytes);
        EntryHead { key, op, time_ms: key * 10, origin, new: key == 1, last: key == 3, with_payload: true }
    }

    fn three() -> Entries {
        let mut builder = Builder::new();
        builder.copy(&head(1, Op::Create, Some("ann")), b"e-1", b"one");
        let block = builder.share(Bytes::from_static(b"..e-2two"));
        builder.push(&head(2, Op::Update, Some("ann")), Place { block, at: 2, entity_len: 3, payload_len: 3 });
        builder.copy(&head(3, Op::Delete, Some("bob")), b"e-3", b"");
        builder.copy(&head(4, Op::Update, None), b"e-4", b"four");
        let bare = EntryHead { with_payload: false, ..head(5, Op::Update, None) };
        builder.copy(&bare, b"e-5", b"left out");
        builder.push(&bare, Place { block, at: 2, entity_len: 3, payload_len: 3 });
        builder.finish()
    }

    #[test]
    fn entries_are_as_they_were_put_in_borrowed_and_owned() {
        let entries = three();
        let told: Vec<_> =
            entries.iter().map(|e| (e.key.get(), e.entity, e.payload, e.payload_len, e.origin)).collect();
        type Told = (u64, &'static [u8], Option<&'static [u8]>, usize, Option<&'static [u8]>);
        let expected: [Told; 6] = [
            (1, b"e-1", Some(b"one"), 3, Some(b"ann")),
            (2, b"e-2", Some(b"two"), 3, Some(b"ann")),
            (3, b"e-3", None, 0, Some(b"bob")),
            (4, b"e-4", Some(b"four"), 4, None),
            (5, b"e-5", None, 8, None),
            (5, b"e-2", None, 3, None),
        ];
        assert_eq!(told, expected);
        assert_eq!(entries.bytes(), 6 * 3 + 3 + 3 + 4);
        assert!(entries.first().unwrap().new && !entries.last().unwrap().new && entries.get(2).unwrap().last);
        let owned: Vec<Entry> = entries.clone().into_iter().collect();
        assert!(owned.iter().map(Entry::borrowed).eq(entries.iter()));
        assert!(owned.iter().zip(&entries).all(|(owned, entry)| *owned == entry.to_entry()));
        assert!(
            entries.clone().into_iter().rev().map(|entry| entry.key).eq(entries.iter().rev().map(|entry| entry.key))
        );
    }

    #[test]
    fn none_are_none() {
        let none = Builder::new().finish();
        assert!(none.is_empty() && none.first().is_none() && none.into_iter().next().is_none());
    }
}
