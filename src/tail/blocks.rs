//! Where a dataset's part of a tail keeps its bytes: side by side, since they are read and sealed together, while a
//! commit's are scattered over many datasets.

use bytes::Bytes;

/// The most that a block holds, unless one entry is larger: who keeps one small payload keeps all of its block.
const BLOCK_BYTES: usize = 16 << 10;
/// An entry larger than this that does not fit what is left of a block is kept by itself, so that little is left over.
const ALONE_ABOVE_BYTES: usize = BLOCK_BYTES / 8;

/// Blocks of entries: an entity, then its payload. Those that are full are shared with readers.
#[derive(Default)]
pub(super) struct Blocks {
    /// The one that is being filled has an empty place among them.
    full: Vec<Bytes>,
    filling: Vec<u8>,
    filling_at: Option<u32>,
    /// Bytes of all blocks so far, but for entries that are kept by themselves.
    held: usize,
}

impl Blocks {
    /// Copies an entry, and returns its block and where it lies in that.
    pub fn add(&mut self, entity: &[u8], payload: &[u8]) -> (u32, u32) {
        let len = entity.len() + payload.len();
        let room = self.filling.capacity() - self.filling.len();
        if room < len && len > ALONE_ABOVE_BYTES {
            self.full.push(Bytes::from([entity, payload].concat()));
            return (self.full.len() as u32 - 1, 0);
        }
        let block = match self.filling_at.filter(|_| room >= len) {
            Some(block) => block,
            None => self.begin(len),
        };
        let at = self.filling.len() as u32;
        self.filling.extend_from_slice(entity);
        self.filling.extend_from_slice(payload);
        (block, at)
    }

    /// Begins the next block, with room for `len` bytes at least.
    fn begin(&mut self, len: usize) -> u32 {
        // The first one fits exactly: most datasets of a store of many have one entry in a tail.
        let size = (self.held / 2).min(BLOCK_BYTES).max(len);
        self.held += size;
        let full = std::mem::replace(&mut self.filling, Vec::with_capacity(size));
        if let Some(at) = self.filling_at {
            self.full[at as usize] = Bytes::from(full);
        }
        self.full.push(Bytes::new());
        let at = self.full.len() as u32 - 1;
        self.filling_at = Some(at);
        at
    }

    /// The bytes of a block.
    pub fn bytes(&self, block: u32) -> &[u8] {
        match self.filling_at == Some(block) {
            true => &self.filling,
            false => &self.full[block as usize],
        }
    }

    /// A block, to share; none while it is being filled.
    pub fn shared(&self, block: u32) -> Option<&Bytes> {
        if self.filling_at == Some(block) { None } else { self.full.get(block as usize) }
    }

    /// Goes on as if nothing but this many bytes had been added, in so many blocks. No reader has seen any other.
    pub fn forget_all_but(&mut self, bytes: u64, blocks: usize) {
        self.full.truncate(blocks);
        if self.filling_at.is_some_and(|at| at as usize >= blocks) {
            (self.filling, self.filling_at) = (Vec::new(), None);
        }
        self.held = bytes as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kept_as_they_were_with_little_room_beside() {
        let mut blocks = Blocks::default();
        let mixed = (0..2_000).map(|n| (n % 40 + 1, n * 7 % 700));
        let large = (0..200).map(|n| (9, [5_500, 8_200, 17_000, 1, 2_000][n % 5]));
        let sizes = mixed.chain(large).chain([(3, 100_000), (8, 5)]);
        let entries: Vec<_> = sizes.map(|(entity, payload)| (vec![entity as u8; entity], vec![7; payload])).collect();
        let (mut bytes, mut alone) = (0, 0);
        let kept: Vec<(u32, u32)> = entries
            .iter()
            .map(|(entity, payload)| {
                let len = entity.len() + payload.len();
                let before = (blocks.held, blocks.filling.len());
                let kept = blocks.add(entity, payload);
                bytes += len;
                if (blocks.held, blocks.filling.len()) == before {
                    alone += len;
                }
                let held = blocks.held + alone;
                assert!(held <= bytes + bytes / 4 + BLOCK_BYTES, "{held} for {bytes}");
                kept
            })
            .collect();
        for ((entity, payload), (block, at)) in entries.iter().zip(&kept) {
            let entry = [&entity[..], payload].concat();
            assert!(blocks.bytes(*block)[*at as usize..].starts_with(&entry));
            let shared = blocks.shared(*block).map(|block| &block[*at as usize..]);
            assert!(shared.is_none_or(|bytes| bytes.starts_with(&entry)));
        }
        assert!(blocks.shared(kept[0].0).is_some() && blocks.shared(kept[kept.len() - 1].0).is_none());
    }
}
