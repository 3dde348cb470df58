//! Where a dataset's part of a tail keeps its bytes: side by side, since they are read and sealed together, while a
//! commit's are scattered over many datasets.

use bytes::{Bytes, BytesMut};

/// The most that a block holds, unless one entry is larger: who keeps one small payload keeps all of its block.
const BLOCK_BYTES: usize = 16 << 10;
/// An entry larger than this that does not fit what is left of a block is kept by itself, so that little is left over.
const ALONE_ABOVE_BYTES: usize = BLOCK_BYTES / 8;

/// Blocks that readers share.
#[derive(Default)]
pub(super) struct Blocks {
    filling: BytesMut,
    /// Bytes of all blocks so far.
    held: usize,
}

impl Blocks {
    /// Copies an entry.
    pub fn add(&mut self, entity: &[u8], payload: &[u8]) -> Bytes {
        let len = entity.len() + payload.len();
        if self.filling.capacity() < len && len > ALONE_ABOVE_BYTES {
            return Bytes::from([entity, payload].concat());
        }
        if self.filling.capacity() < len {
            // The first one fits exactly: most datasets of a store of many have one entry in a tail.
            let size = (self.held / 2).min(BLOCK_BYTES).max(len);
            self.filling = BytesMut::with_capacity(size);
            self.held += size;
        }
        self.filling.extend_from_slice(entity);
        self.filling.extend_from_slice(payload);
        self.filling.split().freeze()
    }

    /// Goes on as if nothing but this many bytes had been added.
    pub fn forget_all_but(&mut self, bytes: u64) {
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
        let kept: Vec<Bytes> = entries
            .iter()
            .map(|(entity, payload)| {
                let len = entity.len() + payload.len();
                let before = (blocks.held, blocks.filling.capacity());
                let kept = blocks.add(entity, payload);
                bytes += len;
                if (blocks.held, blocks.filling.capacity()) == before {
                    alone += len;
                }
                let held = blocks.held + alone;
                assert!(held <= bytes + bytes / 4 + BLOCK_BYTES, "{held} for {bytes}");
                kept
            })
            .collect();
        for ((entity, payload), kept) in entries.iter().zip(&kept) {
            assert_eq!(kept[..], [&entity[..], payload].concat());
        }
    }
}
