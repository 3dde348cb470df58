//! What was read lately of some chunks of a dataset that has too many for all to be remembered: who reads it from end to
//! end, page by page, needs two iterators of RocksDB's once for many pages and not for each.

use std::collections::BTreeMap;
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
const MAX_ENTRIES: usize = 8_192;

/// Chunks of one dataset side by side.
#[derive(Debug)]
pub struct Stretch {
    /// Where its first chunk begins, or what was asked for if that lies before it: no chunk lies between.
    from: u64,
    chunks: SealedChunks,
    /// Whether the chunks have their marks.
    has_marks: bool,
}

impl Stretch {
    /// At most so many of the chunks that hold a key >= `from`; none if there are none, or if these rows cannot be. `metas`
    /// and `marks`, between two keys, are read from the same moment.
    pub fn read<E, M>(
        from: u64,
        most_chunks: usize,
        metas: impl Iterator<Item = Result<ChunkMeta, E>>,
        marks: Option<impl FnOnce(u64, u64) -> M>,
    ) -> Result<Option<Stretch>, E>
    where
        M: Iterator<Item = Result<(u64, u64), E>>,
    {
        let (mut some, mut entries) = (Vec::new(), 0);
        for meta in metas {
            let meta = meta?;
            entries += meta.count as usize;
            some.push(meta);
            if some.len() >= most_chunks || entries >= MAX_ENTRIES {
                break;
            }
        }
        let (Some(first), Some(last)) = (some.first(), some.last()) else { return Ok(None) };
        let (from, has_marks) = (from.min(first.first), marks.is_some());
        let marks: Vec<(u64, u64)> = match marks {
            Some(marks) => marks(first.first, last.last).take(entries + 1).collect::<Result<_, E>>()?,
            None => Vec::new(),
        };
        if marks.len() > entries {
            return Ok(None);
        }
        let mut rest = &marks[..];
        let chunk = |meta: ChunkMeta| {
            let (of, others) = rest.split_at(rest.partition_point(|(old, _)| *old <= meta.last));
            rest = others;
            SealedChunk::new(meta, has_marks.then(|| of.to_vec()))
        };
        let chunks = SealedChunks::new(some.into_iter().map(chunk).collect());
        Ok(Some(Stretch { from, chunks, has_marks }))
    }

    /// Those of its chunks that hold a key >= `key`; none if others may come before them.
    pub fn from(&self, key: u64) -> &[SealedChunk] {
        if key < self.from { &[] } else { self.chunks.from(key) }
    }

    /// How many chunks the stretch after it is to have.
    fn next_chunks(&self) -> usize {
        (self.chunks.from(0).len() * 2).clamp(FIRST_CHUNKS, MAX_CHUNKS)
    }
}

/// Stretches of any datasets, in bounded memory: the oldest make room.
pub(super) struct Stretches {
    most_bytes: usize,
    kept: Mutex<Kept>,
}

/// A dataset, and the last key of a stretch of it.
type Place = (u64, u64);

#[derive(Default)]
struct Kept {
    bytes: usize,
    places: BTreeMap<Place, One>,
    /// Where they are, by age.
    ages: BTreeMap<u64, Place>,
    next_age: u64,
}

struct One {
    stretch: Arc<Stretch>,
    age: u64,
    bytes: usize,
}

impl Kept {
    fn remove(&mut self, place: Place) {
        if let Some(one) = self.places.remove(&place) {
            self.ages.remove(&one.age);
            self.bytes -= one.bytes;
        }
    }
}

impl Stretches {
    pub(super) fn new(most_bytes: usize) -> Stretches {
        Stretches { most_bytes, kept: Mutex::default() }
    }

    /// One that has the chunk that holds the smallest key >= `key`, with marks if they are asked for.
    pub(super) fn get(&self, id: u64, key: u64, with_marks: bool) -> Option<Arc<Stretch>> {
        let fits = |one: &&One| !one.stretch.from(key).is_empty() && one.stretch.has_marks >= with_marks;
        let kept = self.kept.lock();
        let ends_behind = kept.places.range((id, key)..=(id, u64::MAX)).map(|(_, one)| one);
        // Those that end soonest may begin behind it: of many the next ones do.
        ends_behind.take(4).find(fits).map(|one| Arc::clone(&one.stretch))
    }

    /// How many chunks one that begins at `key` is to have.
    pub(super) fn chunks_from(&self, id: u64, key: u64) -> usize {
        let kept = self.kept.lock();
        let before = key.checked_sub(1).and_then(|last| kept.places.get(&(id, last)));
        before.map_or(FIRST_CHUNKS, |one| one.stretch.next_chunks())
    }

    pub(super) fn insert(&self, id: u64, stretch: &Arc<Stretch>) {
        let bytes = size_of::<(Place, One, u64, Place)>() + size_of::<Stretch>() + stretch.chunks.memory();
        let Some(last) = stretch.chunks.last() else { return };
        if bytes > self.most_bytes / 4 {
            return;
        }
        let mut kept = self.kept.lock();
        let is_better = |one: &One| one.stretch.has_marks && !stretch.has_marks && one.stretch.from <= stretch.from;
        if kept.places.get(&(id, last)).is_some_and(is_better) {
            return;
        }
        kept.remove((id, last));
        while kept.bytes + bytes > self.most_bytes {
            let Some((_, oldest)) = kept.ages.pop_first() else { break };
            kept.remove(oldest);
        }
        let age = kept.next_age;
        kept.next_age += 1;
        kept.bytes += bytes;
        kept.ages.insert(age, (id, last));
        kept.places.insert((id, last), One { stretch: Arc::clone(stretch), age, bytes });
    }

    /// Forgets those of these datasets.
    pub(super) fn forget(&self, ids: &[u64]) {
        let mut kept = self.kept.lock();
        for id in ids {
            if kept.places.is_empty() {
                return;
            }
            while let Some(place) = kept.places.range((*id, 0)..=(*id, u64::MAX)).map(|(place, _)| *place).next() {
                kept.remove(place);
            }
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
        let marks = |first, last| marks(first, last).map(|key| Ok((key, key + 1)));
        Stretch::read(from, most, metas, Some(marks)).unwrap()
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
    fn a_stretch_ends_with_many_entries_and_is_none_if_its_rows_cannot_be() {
        let large = |n: u64| ChunkMeta { first: n, last: n, count: MAX_ENTRIES as u32, ..ChunkMeta::default() };
        let small = |n: u64| ChunkMeta { count: 1, ..large(n) };
        let none = |_, _| std::iter::empty();
        let metas = (1..9).map(|n| Ok::<_, Error>(large(n)));
        assert_eq!(lasts(&Stretch::read(1, 5, metas, Some(none)).unwrap().unwrap(), 1), [1]);
        let broken = std::iter::once(Err(Error::Closed));
        assert!(Stretch::read(1, 5, broken, Some(none)).is_err());
        let marks = |_, _| std::iter::once(Err(Error::Closed));
        assert!(Stretch::read(1, 5, std::iter::once(Ok(large(1))), Some(marks)).is_err());
        // Two marks of one entry.
        let marks = |_, _| [Ok::<_, Error>((1, 2)), Ok((1, 3))].into_iter();
        assert!(Stretch::read(1, 5, std::iter::once(Ok(small(1))), Some(marks)).unwrap().is_none());
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
        let probe = Stretches::new(1 << 20);
        probe.insert(1, &stretch);
        let each = probe.kept.lock().bytes;
        let stretches = Stretches::new(10 * each);
        (1..=12).for_each(|id| stretches.insert(id, &stretch));
        let kept = |id| stretches.get(id, 35, true).is_some();
        assert_eq!((1..=12).filter(|id| kept(*id)).collect::<Vec<_>>(), (3..=12).collect::<Vec<_>>());
        stretches.forget(&[1, 5, 7, 99]);
        assert_eq!((1..=12).filter(|id| kept(*id)).collect::<Vec<_>>(), [3, 4, 6, 8, 9, 10, 11, 12]);
        // There is room for two more, and the same again takes none.
        (20..=21).chain(20..=21).for_each(|id| stretches.insert(id, &stretch));
        assert!(kept(3) && kept(21));
        stretches.insert(22, &stretch);
        assert!(!kept(3) && kept(4) && kept(22));
        assert!(stretches.get(4, 81, true).is_none());
        assert_eq!(stretches.kept.lock().bytes, 10 * each);
        // What would push out most of the others is not kept.
        stretches.insert(30, &Arc::new(read(1, 100, 100).unwrap()));
        assert!(!kept(30) && kept(4));
        stretches.forget(&(0..100).collect::<Vec<_>>());
        let kept = stretches.kept.lock();
        assert!(kept.bytes == 0 && kept.ages.is_empty() && kept.places.is_empty());
    }

    #[test]
    fn who_needs_marks_is_not_given_a_stretch_without() {
        let stretches = Stretches::new(1 << 20);
        let meta = |n: u64| ChunkMeta { first: n, last: n, count: 1, ..ChunkMeta::default() };
        let metas = (1..9).map(|n| Ok::<_, Error>(meta(n)));
        type Marks = std::iter::Empty<Result<(u64, u64), Error>>;
        let stretch = Stretch::read(1, 8, metas, None::<fn(u64, u64) -> Marks>).unwrap().unwrap();
        stretches.insert(1, &Arc::new(stretch));
        assert!(stretches.get(1, 3, true).is_none() && stretches.get(1, 3, false).is_some());
        assert!(stretches.get(1, 3, false).unwrap().from(3)[0].marks().is_none());
        // One with marks serves both, and is not lost to one without.
        let metas = || (1..9).map(|n| Ok::<_, Error>(meta(n)));
        let marked = Stretch::read(1, 8, metas(), Some(|_, _| Marks::default())).unwrap().unwrap();
        stretches.insert(1, &Arc::new(marked));
        let bare = Stretch::read(1, 8, metas(), None::<fn(u64, u64) -> Marks>).unwrap().unwrap();
        stretches.insert(1, &Arc::new(bare));
        assert!(stretches.get(1, 3, true).is_some() && stretches.get(1, 3, false).is_some());
    }
}
