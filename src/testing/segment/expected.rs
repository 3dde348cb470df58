//! What recovery should make of a log, read plainly from docs/format.md: whole files in memory, no windows, no repair.

use bytes::Bytes;

use super::{
    FIRST_FRAME, FrameHeader, HEADER_LEN, Image, LedgerState, LogPos, SegmentHeader, Upto, frame_len, segment_path,
};

/// How far keys jump after an unclean stop: a log that is ahead of its ledger by more belongs to another ledger.
const KEY_JUMP: u64 = 1 << 24;

pub enum Expected {
    /// It opens, and hands out these.
    Frames { frames: Vec<(u64, Bytes)>, last_key: u64 },
    /// It is refused.
    Damaged(&'static str),
}

struct Found {
    header: FrameHeader,
    body: Bytes,
    at: u64,
    end: u64,
    crc: u32,
}

pub fn expected(image: &Image, state: &LedgerState, applied: Upto) -> Expected {
    read(image, state, applied).unwrap_or_else(Expected::Damaged)
}

fn read(image: &Image, state: &LedgerState, applied: Upto) -> Result<Expected, &'static str> {
    let mut segments = Vec::new();
    for id in &state.segments {
        let bytes = image.get(&segment_path(*id)).ok_or("a segment is missing")?;
        let header = SegmentHeader::decode(bytes).map_err(|wrong| wrong.0)?;
        if header.id != *id || header.store != state.store {
            return Err("another segment");
        }
        if segments.last().is_some_and(|(before, _): &(SegmentHeader, _)| before.id != header.predecessor) {
            return Err("a segment follows another one");
        }
        segments.push((header, bytes));
    }
    let (last, last_bytes) = *segments.last().ok_or("no segment")?;
    if (last_bytes.len() as u64) < last.capacity {
        return Err("the last segment is cut short");
    }
    segments.retain(|(header, _)| header.id >= applied.pos.segment);
    if applied.pos.segment != 0 && segments.first().is_none_or(|(header, _)| header.id != applied.pos.segment) {
        return Err("the applied segment is missing");
    }
    let (mut all, mut in_last, mut last_key, mut chain) = (Vec::new(), Vec::new(), 0, None);
    let mut end = FIRST_FRAME;
    for (index, (header, bytes)) in segments.iter().enumerate() {
        if chain.is_some_and(|chain| chain != header.chain) {
            return Err("a segment does not continue the one before");
        }
        let limit = header.capacity.min(bytes.len() as u64);
        let next = segments.get(index + 1).map(|(next, _)| next.predecessor_end);
        let limit = next.unwrap_or(u64::MAX).min(limit);
        let (frames, reached) = frames(header, bytes, limit, last_key);
        end = reached;
        if next.is_some() && end != limit {
            return Err("a bad frame below the next segment");
        }
        last_key = frames.last().map_or(last_key, |frame| frame.header.last_key());
        chain = Some(frames.last().map_or(header.chain, |frame| frame.crc));
        match next {
            Some(_) => all.extend(frames),
            None => in_last = frames,
        }
    }
    let proven = proven(state, &last, last_bytes, end)
        .max(all.iter().chain(&in_last).map(|frame| frame.header.synced).max().unwrap_or_default())
        .max(applied.pos);
    let end_pos = LogPos { segment: last.id, offset: end };
    if end_pos < proven {
        return Err("it was synced beyond");
    }
    if state.clean.is_none_or(|clean| clean.end != end_pos) {
        if last_key.max(applied.key) >= state.lease.saturating_add(KEY_JUMP) {
            return Err("the ledger is older than the log");
        }
        if in_last.iter().any(|frame| frame.at < proven.offset && proven.offset < frame.end) {
            return Err("synced up to the middle of a frame");
        }
    }
    all.append(&mut in_last);
    let straddles = |frame: &&Found| frame.header.base <= applied.key && frame.header.last_key() > applied.key;
    if all.iter().any(|frame| straddles(&frame)) {
        return Err("applied up to the middle of a commit");
    }
    all.retain(|frame| frame.header.base > applied.key);
    let frames = all.into_iter().map(|frame| (frame.header.base, frame.body)).collect();
    Ok(Expected::Frames { frames, last_key })
}

/// Sound frames from the first on, and where they end.
fn frames(header: &SegmentHeader, bytes: &[u8], limit: u64, mut last_key: u64) -> (Vec<Found>, u64) {
    let (mut found, mut at, mut chain) = (Vec::new(), FIRST_FRAME, header.chain);
    while at < limit {
        let Some((frame, crc)) = FrameHeader::decode(&bytes[at as usize..], &header.place(at)) else { break };
        let end = at + frame_len(frame.body_len as usize);
        let body_at = at as usize + HEADER_LEN;
        if end > limit || frame.prev_crc != chain || frame.base <= last_key {
            break;
        }
        let body = &bytes[body_at..body_at + frame.body_len as usize];
        let padding = &bytes[body_at + body.len()..end as usize];
        if crc32fast::hash(body) != frame.body_crc || padding.iter().any(|byte| *byte != 0) {
            break;
        }
        found.push(Found { header: frame, body: Bytes::copy_from_slice(body), at, end, crc });
        (at, chain, last_key) = (end, crc, frame.last_key());
    }
    (found, at)
}

/// What the ledger and headers behind the end of sound frames say was synced.
fn proven(state: &LedgerState, last: &SegmentHeader, bytes: &[u8], end: u64) -> LogPos {
    let mut proven = LogPos { segment: last.id, offset: FIRST_FRAME };
    for pos in [state.synced_upto, state.sealing_upto.pos, state.applied_upto.pos] {
        proven = proven.max(pos);
    }
    proven = proven.max(state.clean.map_or(LogPos::default(), |clean| clean.end));
    let limit = last.capacity.min(bytes.len() as u64) as usize;
    for at in (end as usize..limit).step_by(8) {
        let whole = bytes.get(at..at + HEADER_LEN).filter(|_| at + HEADER_LEN <= limit);
        if let Some((header, _)) = whole.and_then(|bytes| FrameHeader::decode(bytes, &last.place(at as u64))) {
            proven = proven.max(header.synced);
        }
    }
    proven
}
