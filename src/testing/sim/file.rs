//! A file: what is durable, what it reads as, and what was done in between.

use super::random::Random;

/// What a disk writes whole, at best.
const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub struct File {
    durable: Vec<u8>,
    pub now: Vec<u8>,
    pending: Vec<Pending>,
}

/// A change that a crash may undo.
#[derive(Clone)]
struct Pending {
    /// Its number among all changes of the disk.
    at: u64,
    change: Change,
    standing: Standing,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Grow(usize),
    SetLen(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Not synced yet.
    Waiting,
    /// A sync failed: it may be lost, and no later sync will write it, but until then it reads as written.
    Adrift,
    /// Synced, on top of something adrift.
    Synced,
}

/// How a crash treats what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Mood {
    /// All of it is lost.
    DropAll,
    /// All of it is kept.
    KeepAll,
    /// Everything up to this change is kept, the rest is lost: a disk that keeps to the order.
    Upto(u64),
    /// Each change has a fate of its own.
    Each,
}

impl Mood {
    /// One by chance, for a disk with so many changes.
    pub fn any(random: &mut Random, changes: u64) -> Mood {
        match random.below(8) {
            0 => Mood::DropAll,
            1 => Mood::KeepAll,
            2 => Mood::Upto(random.below(changes + 1)),
            _ => Mood::Each,
        }
    }

    /// Whether a change without parts (of a name or of a length) is kept.
    pub fn keeps(self, at: u64, random: &mut Random) -> bool {
        match self {
            Mood::DropAll => false,
            Mood::KeepAll => true,
            Mood::Upto(last) => at <= last,
            Mood::Each => random.chance(50),
        }
    }
}

impl File {
    /// One that is durable as it is.
    pub fn of(bytes: Vec<u8>) -> File {
        File { durable: bytes.clone(), now: bytes, pending: Vec::new() }
    }

    pub fn write(&mut self, at: u64, offset: usize, bytes: &[u8]) {
        self.change(at, Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub fn grow(&mut self, at: u64, len: usize) {
        if self.now.len() < len {
            self.change(at, Change::Grow(len));
        }
    }

    pub fn set_len(&mut self, at: u64, len: usize) {
        self.change(at, Change::SetLen(len));
    }

    fn change(&mut self, at: u64, change: Change) {
        apply(&mut self.now, &change);
        self.pending.push(Pending { at, change, standing: Standing::Waiting });
    }

    pub fn sync(&mut self) {
        let adrift = self.pending.iter().any(|pending| pending.standing == Standing::Adrift);
        if adrift {
            let waiting = self.pending.iter_mut().filter(|pending| pending.standing == Standing::Waiting);
            waiting.for_each(|pending| pending.standing = Standing::Synced);
            return;
        }
        for pending in self.pending.drain(..) {
            apply(&mut self.durable, &pending.change);
        }
    }

    /// A sync fails, and the pages count as clean from then on.
    pub fn set_adrift(&mut self) {
        let waiting = self.pending.iter_mut().filter(|pending| pending.standing == Standing::Waiting);
        waiting.for_each(|pending| pending.standing = Standing::Adrift);
    }

    /// The content after a crash; without any choice, nothing is kept that was not synced.
    pub fn crashed(&self, choice: Option<(Mood, &mut Random)>) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let Some((mood, random)) = choice else {
            self.pending.iter().filter(|pending| pending.standing == Standing::Synced).for_each(|pending| {
                apply(&mut bytes, &pending.change);
            });
            return bytes;
        };
        for pending in &self.pending {
            match (&pending.change, mood) {
                (change, _) if pending.standing == Standing::Synced => apply(&mut bytes, change),
                (Change::Write { offset, bytes: written }, Mood::Each) => tear(&mut bytes, *offset, written, random),
                (change, mood) if mood.keeps(pending.at, random) => apply(&mut bytes, change),
                _ => {}
            }
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes: written } => {
            let end = offset + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(written);
        }
        Change::Grow(len) if *len <= bytes.len() => {}
        Change::Grow(len) | Change::SetLen(len) => bytes.resize(*len, 0),
    }
}

/// What becomes of one write by itself.
fn tear(bytes: &mut Vec<u8>, offset: usize, written: &[u8], random: &mut Random) {
    let fate = random.below(8);
    // The length may have stayed behind.
    let len = match random.chance(20) {
        true => bytes.len().saturating_sub(offset).min(written.len()),
        false => written.len(),
    };
    let mut put =
        |from: usize, part: &[u8]| apply(bytes, &Change::Write { offset: offset + from, bytes: part.to_vec() });
    let cut = random.below(len as u64 + 1) as usize;
    match fate {
        _ if len == 0 => {}
        0 | 1 => {}
        2 => put(0, &written[..len]),
        3 => put(0, &written[..cut]),
        4 => put(0, &vec![0; len]),
        5 => put(0, &random.bytes(len)),
        _ => {
            // Sector by sector, as they lie on the disk.
            let mut from = 0;
            while from < len {
                let to = (from + SECTOR - (offset + from) % SECTOR).min(len);
                match random.below(8) {
                    0..=2 => {}
                    3 => put(from, &vec![0; to - from]),
                    4 => put(from, &random.bytes(to - from)),
                    _ => put(from, &written[from..to]),
                }
                from = to;
            }
        }
    }
}
