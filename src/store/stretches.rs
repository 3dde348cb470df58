//! What was read lately of some chunks of a dataset that has too many for all to be remembered: who reads it from end to
//! end, page by page, needs two iterators of RocksDB's once for many pages and not for each.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::recent::{SealedChunk, SealedChunks};
use crate::chunk::ChunkMeta;

/// Chunks of the first stretch that a reader needs: with many readers at once, of whom each finds what it read forgotten,
/// this may be all that it uses of it.
const FIRST_CHUNKS: usize = 8;
/// Most chunks of a stretch. Each has twice as many as the one before it.
const MAX_CHUNKS: usize = 128;
/// As many entries end a stretch: so many marks it may have, beside those of its last chunk.
const MAX_ENTRIES: u64 = 8_192;

/// Chunks of one dataset side by side, with all their marks.
#[derive(Debug)]
pub struct Stretch {
    /// Where its first chunk begins, or what was asked for if that lies before it: no chunk lies between.
    from: u64,
    chunks: SealedChunks,
}

impl Stretch {
    /// At most so many of the chunks that hold a key >= `from`; none if there are none. `metas` and `marks` are read from the
    /// same moment.
    pub fn read<E, M>(
        from: u64,
        most_chunks: usize,
        metas: impl Iterator<Item = Result<ChunkMeta, E>>,
        marks: impl FnOnce(u64, u64) -> M,
    ) -> Result<Option<Stretch>, E>
    where
        M: Iterator<Item = Result<(u64, u64), E>>,
    {
        let (mut some, mut entries) = (Vec::new(), 0);
        for meta in metas {
            let meta = meta?;
            entries += u64::from(meta.count);
            some.push(meta);
            if some.len() >= most_chunks || entries >= MAX_ENTRIES {
                break;
            }
        }
        let (Some(first), Some(last)) = (some.first(), some.last()) else { return Ok(None) };
        let from = from.min(first.first);
        let marks: Vec<(u64, u64)> = marks(first.first, last.last).collect::<Result<_, E>>()?;
        let mut rest = &marks[..];
        let chunk = |meta: ChunkMeta| {
            let (of, others) = rest.split_at(rest.partition_point(|(old, _)| *old <= meta.last));
            rest = others;
            SealedChunk::with_marks(meta, of.to_vec())
        };
        let chunks = SealedChunks::new(some.into_iter().map(chunk).collect());
        Ok(Some(Stretch { from, chunks }))
    }

    /// Those of its chunks that hold a key >= `key`; none if others may come before them.
    pub fn from(&self, key: u64) -> &[SealedChunk] {
        if key < self.from { &[] } else { self.chunks.from(key) }
    }

    /// How many chunks the stretch after it is to have.
    fn next_chunks(&self) -> usize {
        (self.chunks.from(0).len() * 2).clamp(FIRST_CHUNKS, MAX_CHUNKS)
    }

    fn memory(&self) -> usize {
        size_of::<Stretch>() + self.chunks.memory()
    }
}

/// Stretches of any datasets, the oldest first, in bounded memory.
pub(super) struct Stretches {
    most_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    stretches: VecDeque<(u64, Arc<Stretch>)>,
}

impl Stretches {
    pub(super) fn new(most_bytes: usize) -> Stretches {
        Stretches { most_bytes, kept: Mutex::default() }
    }

    /// One that has the chunk that holds the smallest key >= `key`.
    pub(super) fn get(&self, id: u64, key: u64) -> Option<Arc<Stretch>> {
        let kept = self.kept.lock();
        let mut of_dataset = kept.stretches.iter().filter(|(of, _)| *of == id);
        of_dataset.find(|(_, stretch)| !stretch.from(key).is_empty()).map(|(_, stretch)| Arc::clone(stretch))
    }

    /// How many chunks one that begins at `key` is to have.
    pub(super) fn chunks_from(&self, id: u64, key: u64) -> usize {
        let ends_before = |stretch: &Stretch| stretch.chunks.last().is_some_and(|last| last + 1 == key);
        let kept = self.kept.lock();
        let before = kept.stretches.iter().find(|(of, stretch)| *of == id && ends_before(stretch));
        before.map_or(FIRST_CHUNKS, |(_, stretch)| stretch.next_chunks())
    }

    pub(super) fn insert(&self, id: u64, stretch: &Arc<Stretch>) {
        let mut kept = self.kept.lock();
        kept.bytes += stretch.memory();
        kept.stretches.push_back((id, Arc::clone(stretch)));
        while kept.bytes > self.most_bytes {
            let Some((_, oldest)) = kept.stretches.pop_front() else { break };
            kept.bytes -= oldest.memory();
        }
    }

    /// Forgets those of these datasets, of which there may be far more than stretches.
    pub(super) fn forget(&self, ids: &[u64]) {
        let mut kept = self.kept.lock();
        let of: HashSet<u64> = kept.stretches.iter().map(|(id, _)| *id).collect();
        let changed: HashSet<u64> = ids.iter().copied().filter(|id| of.contains(id)).collect();
        if !changed.is_empty() {
            kept.stretches.retain(|(id, _)| !changed.contains(id));
            kept.bytes = kept.stretches.iter().map(|(_, stretch)| stretch.memory()).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// Chunks of ten keys each, and a mark for the fifth of each.
    fn read(from: u64, most: usize, chunks: u64) -> Option<Stretch> {
        let meta = |n: u64| ChunkMeta { first: n * 10 + 1, last: n * 10 + 10, count: 10, ..ChunkMeta::default() };
        let metas = (0..chunks).map(meta).filter(|meta| meta.last >= from).map(Ok::<_, Error>);
        let marks = |first, last| (0..chunks).map(|n| n * 10 + 5).filter(move |key| (first..=last).contains(key));
        Stretch::read(from, most, metas, |first, last| marks(first, last).map(|key| Ok((key, key + 1)))).unwrap()
    }

    fn lasts(stretch: &Stretch, key: u64) -> Vec<u64> {
        stretch.from(key).iter().map(|chunk| chunk.meta.last).collect()
    }

    #[test]
    fn a_stretch_tells_of_its_chunks_and_of_no_others() {
        let stretch = read(25, 3, 10).unwrap();
        assert_eq!(lasts(&stretch, 25), [30, 40, 50]);
        assert_eq!(lasts(&stretch, 31), [40, 50]);
        assert_eq!(lasts(&stretch, 50), [50]);
        // The chunk from 21 to 30 holds these too.
        assert_eq!(lasts(&stretch, 21), [30, 40, 50]);
        assert_eq!(lasts(&stretch, 20), [] as [u64; 0]);
        assert_eq!(lasts(&stretch, 51), [] as [u64; 0]);
        let marks: Vec<_> = stretch.from(25).iter().flat_map(|chunk| chunk.marks().unwrap()).collect();
        assert_eq!(marks, [&(25, 26), &(35, 36), &(45, 46)]);
        assert!(read(101, 3, 10).is_none());
        // Nothing lies between what was asked for and the first chunk.
        assert_eq!(lasts(&read(0, 3, 10).unwrap(), 0), [10, 20, 30]);
    }

    #[test]
    fn a_stretch_ends_with_many_entries_and_is_none_if_a_row_cannot_be_read() {
        let large = |n: u64| ChunkMeta { first: n, last: n, count: MAX_ENTRIES as u32, ..ChunkMeta::default() };
        let none = |_, _| std::iter::empty();
        let metas = (1..9).map(|n| Ok::<_, Error>(large(n)));
        assert_eq!(lasts(&Stretch::read(1, 5, metas, none).unwrap().unwrap(), 1), [1]);
        let broken = std::iter::once(Err(Error::Closed));
        assert!(Stretch::read(1, 5, broken, none).is_err());
        let marks = |_, _| std::iter::once(Err(Error::Closed));
        assert!(Stretch::read(1, 5, std::iter::once(Ok(large(1))), marks).is_err());
    }

    #[test]
    fn who_reads_on_is_given_more_at_a_time() {
        let stretches = Stretches::new(1 << 20);
        let (mut key, mut lengths) = (1, Vec::new());
        for _ in 0..7 {
            let most = stretches.chunks_from(7, key);
            let stretch = Arc::new(read(key, most, 1_000).unwrap());
            stretches.insert(7, &stretch);
            key = stretch.chunks.last().unwrap() + 1;
            lengths.push(most);
        }
        assert_eq!(lengths, [8, 16, 32, 64, 128, 128, 128]);
        assert_eq!(stretches.chunks_from(8, key), 8, "that is another dataset");
    }

    #[test]
    fn the_oldest_make_room_and_what_changes_is_forgotten() {
        let stretch = Arc::new(read(1, 8, 100).unwrap());
        let stretches = Stretches::new(10 * stretch.memory());
        (1..=12).for_each(|id| stretches.insert(id, &stretch));
        let kept = |id| stretches.get(id, 35).is_some();
        assert_eq!((1..=12).filter(|id| kept(*id)).collect::<Vec<_>>(), (3..=12).collect::<Vec<_>>());
        stretches.forget(&[1, 5, 7, 99]);
        assert_eq!((1..=12).filter(|id| kept(*id)).collect::<Vec<_>>(), [3, 4, 6, 8, 9, 10, 11, 12]);
        // There is room for two more.
        (20..=21).for_each(|id| stretches.insert(id, &stretch));
        assert!(kept(3) && kept(21));
        stretches.insert(22, &stretch);
        assert!(!kept(3) && kept(4) && kept(22));
        assert!(stretches.get(4, 81).is_none());
    }
}
