//! The sealed chunks of a dataset at a pinned moment: remembered, or from its snapshot.

use std::iter::Peekable;
use std::sync::Arc;

use super::{Dataset, Pin};
use crate::chunk::{Chunk, ChunkMeta};
use crate::error::{Error, Result};
use crate::store::{Rows, SealedChunk, SealedChunks};

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

    /// The counts of a dataset's chunks that hold a key >= `from`, in key order.
    fn metas<'s>(&'s self, dataset: &'s Dataset, from: u64) -> Metas<'s> {
        match self.remembered_chunks(dataset) {
            Some(known) => Metas::Known(known.from(from).iter()),
            None => Metas::Rows(self.snapshot().metas(dataset.id, from)),
        }
    }

    /// The counts of the chunk that holds the smallest key >= `key`.
    pub fn meta_covering(&self, dataset: &Dataset, key: u64) -> Result<Option<ChunkMeta>> {
        self.metas(dataset, key).next().transpose()
    }

    /// The chunk that holds the smallest key >= `key`.
    pub fn chunk_covering(&self, dataset: &Dataset, key: u64) -> Result<Option<Arc<Chunk>>> {
        let meta = self.meta_covering(dataset, key)?;
        meta.map(|meta| self.chunk(dataset, &meta)).transpose()
    }

    /// All chunks that hold a key >= `from`, in key order, with their counts unless they were walked over.
    pub fn chunks<'s>(&'s self, dataset: &'s Dataset, from: u64) -> Chunks<'s, 'a> {
        if is_walked(dataset) {
            // An error is told by the usual way, which finds out more about it.
            let walked = self.snapshot().walk_chunks(dataset.id, from).collect::<Result<Vec<_>>>();
            if let Ok(walked) = walked {
                return Chunks::Walked(walked.into_iter());
            }
        }
        Chunks::Found { pin: self, dataset, metas: self.metas(dataset, from) }
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
    pub fn marks<'s>(&'s self, dataset: &'s Dataset, position: u64) -> Marks<'s, 'a> {
        match self.remembered_chunks(dataset) {
            Some(known) => Marks::Known { pin: self, id: dataset.id, position, known, of: &[] },
            None => Marks::Rows(self.snapshot().marks(dataset.id, position).peekable()),
        }
    }
}

/// Whether a dataset is small and read for the first time in a while.
fn is_walked(dataset: &Dataset) -> bool {
    !dataset.remembered && dataset.record().bytes <= SMALL_BYTES
}

/// Chunks, in key order.
pub enum Chunks<'s, 'a> {
    Walked(std::vec::IntoIter<Chunk>),
    Found { pin: &'s Pin<'a>, dataset: &'s Dataset, metas: Metas<'s> },
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
pub enum Metas<'s> {
    Known(std::slice::Iter<'s, SealedChunk>),
    Rows(Rows<'s, ChunkMeta>),
}

impl Iterator for Metas<'_> {
    type Item = Result<ChunkMeta>;

    fn next(&mut self) -> Option<Result<ChunkMeta>> {
        match self {
            Metas::Known(known) => known.next().map(|chunk| Ok(chunk.meta)),
            Metas::Rows(rows) => rows.next(),
        }
    }
}

/// Which entries are superseded.
pub enum Marks<'s, 'a> {
    /// The marks of the chunk that was entered last, from the key on that was asked last.
    Known {
        pin: &'s Pin<'a>,
        id: u64,
        position: u64,
        known: &'s SealedChunks,
        of: &'s [(u64, u64)],
    },
    Rows(Peekable<Rows<'s, (u64, u64)>>),
}

impl Marks<'_, '_> {
    /// From now on entries of this chunk are asked for.
    pub fn enter(&mut self, entered: &Chunk) {
        let Marks::Known { pin, id, position, known, of } = self else { return };
        let Some(chunk) = known.from(entered.last_key()).first() else { return };
        if let Some(marks) = chunk.marks() {
            *of = marks;
            return;
        }
        let snapshot = pin.snapshot();
        match snapshot.marks_of(*id, entered.first_key(), entered.last_key()).collect::<Result<Vec<_>>>() {
            Ok(marks) if !pin.is_torn() => *of = chunk.set_marks(marks),
            // What cannot be read may not be in the way; and what is of another moment is not remembered.
            _ => *self = Marks::Rows(snapshot.marks(*id, *position).peekable()),
        }
    }

    /// The successor of the entry at `key`, if it has one.
    pub fn successor(&mut self, key: u64) -> Result<Option<u64>> {
        match self {
            Marks::Known { of, .. } => {
                *of = &of[of.iter().take_while(|(old, _)| *old < key).count()..];
                Ok(of.first().filter(|(old, _)| *old == key).map(|(_, next)| *next))
            }
            Marks::Rows(rows) => {
                while rows.next_if(|mark| matches!(mark, Ok((old, _)) if *old < key)).is_some() {}
                match rows.peek() {
                    Some(Ok((old, next))) if *old == key => Ok(Some(*next)),
                    Some(Err(_)) => Err(rows.next().and_then(Result::err).unwrap_or(Error::Closed)),
                    _ => Ok(None),
                }
            }
        }
    }
}
