//! The sealed chunks of a dataset at a pinned moment: remembered, or from its snapshot.

use std::iter::Peekable;
use std::sync::Arc;

use super::{Dataset, Pin};
use crate::chunk::{Chunk, ChunkMeta};
use crate::error::{Error, Result};
use crate::store::{Rows, SealedChunk, SealedChunks, Stretch};

/// A dataset of at most so many bytes is walked over when it is read for the first time.
const SMALL_BYTES: u64 = 8 << 10;

impl<'a> Pin<'a> {
    /// The dataset's chunks, if they are remembered.
    fn remembered_chunks<'s>(&self, dataset: &'s Dataset) -> Option<&'s SealedChunks> {
        // To read all its counts costs as much as several pages, and most of what is read for the first time in a while is
        // not read again soon: the next one does that.
        if !dataset.remembered {
            return None;
        }
        // What nobody else holds is remembered by no one, and what is read of it is thrown away.
        if !self.trusting || Arc::strong_count(&dataset.sealed) == 1 {
            return None;
        }
        if !dataset.sealed.knows_chunks() {
            self.snapshot();
        }
        // What a later snapshot says is not remembered of this moment. A row that cannot be read may not be in the way of
        // what is asked for.
        match self.is_torn() {
            true => None,
            false => dataset.sealed.chunks(|| self.snapshot().metas(dataset.id, 0)).unwrap_or(None),
        }
    }

    /// A dataset's chunks from that on which holds the smallest key >= `key`, as far as a stretch reaches:
    /// remembered, or read now. None if there is no such chunk, or a row that cannot be read may be one.
    fn stretch(&self, dataset: &Dataset, key: u64, with_marks: bool) -> Option<Arc<Stretch>> {
        let id = dataset.id;
        if let Some(known) = self.recall(|store| store.stretch(id, key, with_marks)) {
            return Some(known);
        }
        let (count, snapshot) = (self.remembering()?, self.snapshot());
        let marks = with_marks.then_some(|first, last| snapshot.marks_of(id, first, last));
        let most = self.store.stretch_chunks(id, key);
        let stretch = Stretch::read(key, most, snapshot.metas(id, key), marks).ok().flatten().map(Arc::new)?;
        self.store.remember_stretch(count, id, &stretch);
        Some(stretch)
    }

    /// The counts of a dataset's chunks that hold a key >= `from`, in key order.
    fn metas<'s>(&'s self, dataset: &'s Dataset, from: u64, reading: Reading) -> Metas<'s, 'a> {
        match self.remembered_chunks(dataset) {
            Some(known) => Metas::Known(known.from(from).iter()),
            None if reading.is_on() => {
                let with_marks = reading == Reading::OnWithMarks;
                Metas::Stretches { pin: self, dataset, with_marks, stretch: None, from }
            }
            None => Metas::Rows(self.snapshot().metas(dataset.id, from)),
        }
    }

    /// The counts of the chunk that holds the smallest key >= `key`.
    pub fn meta_covering(&self, dataset: &Dataset, key: u64) -> Result<Option<ChunkMeta>> {
        self.metas(dataset, key, Reading::Here).next().transpose()
    }

    /// The chunk that holds the smallest key >= `key`.
    pub fn chunk_covering(&self, dataset: &Dataset, key: u64) -> Result<Option<Arc<Chunk>>> {
        let meta = self.meta_covering(dataset, key)?;
        meta.map(|meta| self.chunk(dataset, &meta)).transpose()
    }

    /// All chunks that hold a key >= `from`, in key order, with their counts unless they were walked over.
    pub fn chunks<'s>(&'s self, dataset: &'s Dataset, from: u64, reading: Reading) -> Chunks<'s, 'a> {
        if is_walked(dataset) {
            // An error is told by the usual way, which finds out more about it.
            let walked = self.snapshot().walk_chunks(dataset.id, from).collect::<Result<Vec<_>>>();
            if let Ok(walked) = walked {
                return Chunks::Walked(walked.into_iter());
            }
        }
        Chunks::Found { pin: self, dataset, metas: self.metas(dataset, from, reading) }
    }

    /// The chunk of these counts.
    pub fn chunk(&self, dataset: &Dataset, meta: &ChunkMeta) -> Result<Arc<Chunk>> {
        let (id, epoch, last) = (dataset.id, dataset.record().epoch, meta.last);
        match self.store.recent_chunk(id, epoch, last) {
            Some(chunk) => Ok(chunk),
            None => {
                let snapshot = self.snapshot();
                match self.is_torn() {
                    true => snapshot.read_chunk(id, last).map(Arc::new),
                    false => snapshot.load_chunk(id, epoch, last),
                }
            }
        }
    }

    /// The marks of a dataset's superseded entries above `position`, to be asked in key order.
    pub fn marks<'s>(&'s self, dataset: &'s Dataset, position: u64, reading: Reading) -> Marks<'s, 'a> {
        match self.remembered_chunks(dataset) {
            Some(known) => Marks::new(Source::Known { pin: self, id: dataset.id, position, known, of: &[] }),
            None if reading.is_on() && !is_walked(dataset) => {
                Marks::new(Source::Stretches { pin: self, dataset, position, stretch: None, last: 0, at: 0 })
            }
            None => Marks::new(Source::Rows(self.snapshot().marks(dataset.id, position).peekable())),
        }
    }
}

/// Whether what follows is likely to be read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Here,
    /// In the middle of a window, which is read to its end.
    On,
    /// The same, and marks are asked for.
    OnWithMarks,
}

impl Reading {
    pub fn of(goes_on: bool, with_marks: bool) -> Reading {
        match (goes_on, with_marks) {
            (false, _) => Reading::Here,
            (true, false) => Reading::On,
            (true, true) => Reading::OnWithMarks,
        }
    }

    fn is_on(self) -> bool {
        self != Reading::Here
    }
}

/// Whether a dataset is small and read for the first time in a while.
fn is_walked(dataset: &Dataset) -> bool {
    !dataset.remembered && dataset.record().bytes <= SMALL_BYTES
}

/// Chunks, in key order.
pub enum Chunks<'s, 'a> {
    Walked(std::vec::IntoIter<Chunk>),
    Found { pin: &'s Pin<'a>, dataset: &'s Dataset, metas: Metas<'s, 'a> },
}

impl Iterator for Chunks<'_, '_> {
    type Item = Result<(Option<ChunkMeta>, Arc<Chunk>)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Chunks::Walked(chunks) => chunks.next().map(|chunk| Ok((None, Arc::new(chunk)))),
            Chunks::Found { pin, dataset, metas } => {
                let found = metas.next()?.and_then(|meta| Ok((Some(meta), pin.chunk(dataset, &meta)?)));
                Some(found)
            }
        }
    }
}

/// Counts of chunks.
pub enum Metas<'s, 'a> {
    Known(std::slice::Iter<'s, SealedChunk>),
    /// Those that hold a key >= `from`.
    Stretches {
        pin: &'s Pin<'a>,
        dataset: &'s Dataset,
        with_marks: bool,
        stretch: Option<Arc<Stretch>>,
        from: u64,
    },
    Rows(Rows<'s, ChunkMeta>),
}

impl Iterator for Metas<'_, '_> {
    type Item = Result<ChunkMeta>;

    fn next(&mut self) -> Option<Result<ChunkMeta>> {
        match self {
            Metas::Known(known) => known.next().map(|chunk| Ok(chunk.meta)),
            Metas::Stretches { pin, dataset, with_marks, stretch, from } => {
                let known = |stretch: &Option<Arc<Stretch>>| Some(stretch.as_ref()?.from(*from).first()?.meta);
                let next = known(stretch).or_else(|| {
                    *stretch = pin.stretch(dataset, *from, *with_marks);
                    known(stretch)
                });
                match next {
                    Some(meta) => {
                        *from = meta.last.saturating_add(1);
                        Some(Ok(meta))
                    }
                    None => {
                        *self = Metas::Rows(pin.snapshot().metas(dataset.id, *from));
                        self.next()
                    }
                }
            }
            Metas::Rows(rows) => rows.next(),
        }
    }
}

/// Which entries are superseded.
pub struct Marks<'s, 'a> {
    source: Source<'s, 'a>,
    /// No entry from the one that was asked for last up to this key, exclusive, has a successor: most have none.
    none_below: u64,
}

enum Source<'s, 'a> {
    /// The marks of the chunk that was entered last, from the key on that was asked last.
    Known {
        pin: &'s Pin<'a>,
        id: u64,
        position: u64,
        known: &'s SealedChunks,
        of: &'s [(u64, u64)],
    },
    /// The marks of the chunk that was entered last, which ends at `last`, from the one that was asked for last.
    Stretches {
        pin: &'s Pin<'a>,
        dataset: &'s Dataset,
        position: u64,
        stretch: Option<Arc<Stretch>>,
        last: u64,
        at: usize,
    },
    Rows(Peekable<Rows<'s, (u64, u64)>>),
}

impl<'s, 'a> Marks<'s, 'a> {
    fn new(source: Source<'s, 'a>) -> Marks<'s, 'a> {
        Marks { source, none_below: 0 }
    }

    /// From now on entries of this chunk are asked for.
    pub fn enter(&mut self, entered: &Chunk) {
        match &mut self.source {
            Source::Known { pin, id, position, known, of } => {
                let Some(chunk) = known.from(entered.last_key()).first() else { return };
                self.none_below = 0;
                if let Some(marks) = chunk.marks() {
                    *of = marks;
                    return;
                }
                let snapshot = pin.snapshot();
                match snapshot.marks_of(*id, entered.first_key(), entered.last_key()).collect::<Result<Vec<_>>>() {
                    Ok(marks) if !pin.is_torn() => *of = chunk.set_marks(marks),
                    // What cannot be read may not be in the way; and what is of another moment is not remembered.
                    _ => self.source = Source::Rows(snapshot.marks(*id, *position).peekable()),
                }
            }
            Source::Stretches { pin, dataset, position, stretch, last, at } => {
                self.none_below = 0;
                (*last, *at) = (entered.last_key(), 0);
                let is_there = |stretch: &Option<Arc<Stretch>>| {
                    stretch.as_ref().and_then(|stretch| stretch.from(*last).first()).is_some_and(|chunk| {
                        (chunk.meta.first, chunk.meta.last) == (entered.first_key(), *last) && chunk.marks().is_some()
                    })
                };
                if is_there(stretch) {
                    return;
                }
                *stretch = pin.stretch(dataset, *last, true);
                if !is_there(stretch) {
                    self.source = Source::Rows(pin.snapshot().marks(dataset.id, *position).peekable());
                }
            }
            Source::Rows(_) => {}
        }
    }

    /// The successor of the entry at `key`, if it has one.
    #[inline]
    pub fn successor(&mut self, key: u64) -> Result<Option<u64>> {
        if key < self.none_below { Ok(None) } else { self.find(key) }
    }

    fn find(&mut self, key: u64) -> Result<Option<u64>> {
        let next = match &mut self.source {
            Source::Known { of, .. } => {
                *of = &of[of.iter().take_while(|(old, _)| *old < key).count()..];
                of.first().copied()
            }
            Source::Stretches { stretch, last, at, .. } => {
                let marks = &marks_in(stretch, *last)[*at..];
                let before = marks.iter().take_while(|(old, _)| *old < key).count();
                *at += before;
                marks.get(before).copied()
            }
            Source::Rows(rows) => {
                while rows.next_if(|mark| matches!(mark, Ok((old, _)) if *old < key)).is_some() {}
                match rows.peek() {
                    Some(Err(_)) => return Err(rows.next().and_then(Result::err).unwrap_or(Error::Closed)),
                    Some(Ok(mark)) => Some(*mark),
                    None => None,
                }
            }
        };
        self.none_below = next.map_or(u64::MAX, |(old, _)| old);
        Ok(next.filter(|(old, _)| *old == key).map(|(_, successor)| successor))
    }
}

/// The marks of the chunk that ends at `last`, which is in this stretch.
fn marks_in(stretch: &Option<Arc<Stretch>>, last: u64) -> &[(u64, u64)] {
    let chunk = stretch.as_ref().and_then(|stretch| stretch.from(last).first());
    chunk.and_then(SealedChunk::marks).unwrap_or_default()
}
