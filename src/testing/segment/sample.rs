//! A small log that is the same every time.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::{Image, Ledger, LedgerState, Log, LogOptions, NewFrame, SimDisk, Upto, segment_path};
use crate::frame::{Body, BodyBuilder};
use crate::options::SyncKeys;
use crate::types::Op;

pub const DIR: &str = "/store";
pub const SEGMENT_BYTES: u64 = 4096;
/// Frames of the second segment; the first one is full.
const FRAMES: usize = 5;

pub struct Sample {
    /// Its files: a ledger, and two segments in `log`.
    pub image: Image,
    /// The beginning, and where each frame ends.
    pub ends: Vec<Upto>,
}

pub fn sample() -> &'static Sample {
    static SAMPLE: LazyLock<Sample> = LazyLock::new(make);
    &SAMPLE
}

/// The frames of the sample's last segment, as a seed for the fuzzer.
pub fn sample_segment() -> Vec<u8> {
    let file = &sample().image[&segment_path(2)];
    let end = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    file[super::FRAMES_AT..end].to_vec()
}

pub fn options(seed: u64) -> LogOptions {
    let state = AtomicU64::new(seed << 32);
    let random = move || Ok(state.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    LogOptions { segment_bytes: SEGMENT_BYTES, now_ms: 1_700_000_000_000, random: Arc::new(random) }
}

/// A commit of a few records.
pub fn body(n: u64) -> (Body, u32) {
    let mut builder = BodyBuilder::new(n.is_multiple_of(3).then_some(&b"device"[..]), None);
    let dataset = if n == 1 { builder.create(b"dataset") } else { builder.existing(1) };
    for record in 0..=n % 3 {
        builder.change(dataset, Op::Update, format!("entity-{record}").as_bytes(), &[n as u8; 150]);
    }
    builder.finish().expect("a commit within its limits")
}

/// Each frame is synced before the next is written, so each proves the one before it.
fn make() -> Sample {
    let (memory, dir) = (SimDisk::new(), Path::new(DIR));
    memory.make_dir(dir);
    let ledger = Ledger::create(&memory, dir, LedgerState::new(5, 6, SyncKeys::Counter)).expect("a ledger");
    let ledger = Arc::new(Mutex::new(ledger));
    let mut log = Log::create(Arc::new(memory.clone()), dir, options(1), ledger).expect("a log");
    let (mut ends, mut key, mut n) = (vec![Upto::default()], 1, 0);
    while ends.iter().filter(|end| end.pos.segment == 2).count() < FRAMES {
        n += 1;
        let (body, body_crc) = body(n);
        let frame = NewFrame { body: &body.bytes, body_crc, count: body.count(), base: key, time_ms: 1000 + n };
        let pos = log.append(&[frame]).expect("a frame");
        log.sync_point().sync().expect("a sync in memory");
        log.note_synced(pos);
        key += u64::from(body.count());
        ends.push(Upto { key: key - 1, pos });
        key += n % 2;
    }
    Sample { image: memory.image(), ends }
}
