//! The limit: frames of the same size and with the same checksums as Tidelog's, written to one preallocated file with the
//! same syncs. No index, nothing to read. The file was written to before: space that is only reserved is turned into
//! written space by a change of metadata, and syncs take nearly twice as long.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use super::Engine;
use crate::workload::{Change, Hash, Names};

/// Bytes of the file; a run that is longer begins at its start again.
const FILE_BYTES: u64 = 1 << 30;
const HEADER: usize = 64;

pub struct Raw {
    file: File,
    names: Arc<Names>,
    group: Mutex<Group>,
    /// Two groups are under way at most: who waits for one of them is not woken for the other.
    synced: [Condvar; 2],
}

/// Group commit in its simplest form: whoever finds no sync running writes and syncs what all have brought until then.
#[derive(Default)]
struct Group {
    at: u64,
    /// Frames of the group that gathers.
    frames: Vec<u8>,
    gathers: usize,
    synced: usize,
    syncing: bool,
}

impl Raw {
    pub fn open(dir: &Path, names: Arc<Names>) -> Raw {
        std::fs::create_dir_all(dir).expect("a directory");
        let file = File::create(dir.join("raw")).expect("a file");
        let zeros = vec![0; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at).expect("the disk has room");
        }
        file.sync_all().expect("a sync");
        Raw { file, names, group: Mutex::new(Group { gathers: 1, ..Group::default() }), synced: Default::default() }
    }

    /// Adds a batch's frame to `out`.
    pub fn encode(&self, batch: &[Change], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + HEADER, 0);
        out.push(1);
        for change in batch {
            let entity = &self.names.entities[change.entity as usize];
            varint(out, change.dataset);
            out.push(u8::from(change.create));
            varint(out, change.dataset);
            varint(out, entity.len() as u32);
            out.extend_from_slice(entity);
            varint(out, change.payload.len() as u32);
            out.extend_from_slice(&change.payload);
        }
        let body = crc32fast::hash(&out[start + HEADER..]);
        let len = (out.len() - start - HEADER) as u32;
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
        out[start + 12..start + 16].copy_from_slice(&body.to_le_bytes());
        let header = crc32fast::hash(&out[start..start + HEADER - 4]);
        out[start + HEADER - 4..start + HEADER].copy_from_slice(&header.to_le_bytes());
        out.resize(out.len().next_multiple_of(8), 0);
    }

    /// Writes frames behind what is there.
    pub fn write(&self, at: &mut u64, frames: &[u8], sync: bool) {
        if *at + frames.len() as u64 > FILE_BYTES {
            *at = 0;
        }
        self.file.write_all_at(frames, *at).expect("a write");
        *at += frames.len() as u64;
        if sync {
            self.file.sync_data().expect("a sync");
        }
    }
}

fn varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl Engine for Raw {
    fn append(&self, batch: &[Change], sync: bool) {
        let mut frame = Vec::with_capacity(320 * batch.len() + HEADER);
        self.encode(batch, &mut frame);
        let mut group = self.group.lock().expect("no one panicked");
        group.frames.extend_from_slice(&frame);
        let mine = group.gathers;
        while group.synced < mine {
            if group.syncing {
                group = self.synced[mine % 2].wait(group).expect("no one panicked");
                continue;
            }
            let (mut at, frames) = (group.at, std::mem::take(&mut group.frames));
            (group.syncing, group.gathers) = (true, mine + 1);
            drop(group);
            self.write(&mut at, &frames, sync);
            group = self.group.lock().expect("no one panicked");
            (group.at, group.synced, group.syncing) = (at, mine, false);
            self.synced[mine % 2].notify_all();
            // One of the next group syncs it.
            self.synced[(mine + 1) % 2].notify_one();
        }
    }

    fn settle(&self) {}

    fn page(&self, _: u32, _: u64, _: usize, _: &mut Hash) {
        unreachable!("the raw file is in no row that reads");
    }

    fn get(&self, _: u32, _: u32, _: &mut Hash) {
        unreachable!("the raw file is in no row that reads");
    }
}
