//! Reading frames out of a segment. A scan says what is there; what follows from it is decided elsewhere, and nothing
//! is repaired here.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::segment::{FIRST_FRAME, Segment};
use crate::error::{Error, Result};
use crate::frame::{ALIGN, FrameHeader, HEADER_LEN, frame_len};
use crate::planted::{Bug, planted};
use crate::vfs::{VfsFile, read_full_at};

/// Read at once; also the memory that a search takes.
const WINDOW: usize = 256 << 10;

/// A frame as it stands in a segment.
pub(super) struct Frame {
    pub(super) at: u64,
    pub(super) header: FrameHeader,
    /// The header's own CRC.
    pub(super) crc: u32,
    pub(super) body: Bytes,
}

/// One step of a scan.
pub(super) enum Step {
    Frame(Frame),
    /// Exactly at the limit.
    End,
    /// What stands at this place is no frame of this log, and why.
    Bad(&'static str),
}

/// What the next frame has to continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The header's own CRC before; none where it is not known.
    pub(super) chain: Option<u32>,
    /// The last key before.
    pub(super) last_key: u64,
}

/// Walks a segment's frames from the first on.
pub(super) struct SegmentReader<'a> {
    segment: &'a Segment,
    window: Window,
    limit: u64,
    at: u64,
    link: Link,
}

impl<'a> SegmentReader<'a> {
    /// Up to `limit`, or as far as frames go.
    pub(super) fn new(segment: &'a Segment, limit: Option<u64>, last_key: u64) -> SegmentReader<'a> {
        let limit = limit.unwrap_or(u64::MAX).min(segment.limit());
        let link = Link { chain: Some(segment.header.chain), last_key };
        SegmentReader { segment, window: Window::new(&segment.file), limit, at: FIRST_FRAME, link }
    }

    /// Where the next frame should stand.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// What the next frame should continue.
    pub(super) fn link(&self) -> Link {
        self.link
    }

    /// Goes on at another place, where a frame stands that need not continue the one before.
    pub(super) fn skip_to(&mut self, at: u64) {
        self.at = at;
        self.link.chain = None;
    }

    /// The next frame. After anything else than a frame, the same again.
    pub(super) fn step(&mut self) -> Result<Step> {
        self.try_step().map_err(|source| Error::io(format!("read {}", self.segment.path.display()), source))
    }

    fn try_step(&mut self) -> io::Result<Step> {
        if self.at == self.limit {
            return Ok(Step::End);
        }
        let at = self.at;
        let bytes = self.window.get(at, HEADER_LEN)?;
        let Some((header, crc)) = FrameHeader::decode(bytes, &self.segment.header.place(at)) else {
            return Ok(Step::Bad("no valid frame header"));
        };
        let Some(end) = at.checked_add(header.frame_len()).filter(|end| *end <= self.limit) else {
            return Ok(Step::Bad("a frame runs beyond the segment's end"));
        };
        if self.link.chain.is_some_and(|chain| chain != header.prev_crc) || header.base <= self.link.last_key {
            return Ok(Step::Bad("a frame does not continue the one before it"));
        }
        let body_len = header.body_len as usize;
        let padded = usize::try_from(header.frame_len()).unwrap_or(usize::MAX).saturating_sub(HEADER_LEN);
        let body = self.window.copy(at + HEADER_LEN as u64, padded)?;
        if body.len() != padded || body[body_len..].iter().any(|byte| *byte != 0) {
            return Ok(Step::Bad("a frame's padding is wrong"));
        }
        let body = body.slice(..body_len);
        if crc32fast::hash(&body) != header.body_crc && !planted(Bug::BodyUnchecked) {
            return Ok(Step::Bad("a frame's body does not match its checksum"));
        }
        self.at = end;
        self.link = Link { chain: Some(crc), last_key: header.last_key() };
        Ok(Step::Frame(Frame { at, header, crc, body }))
    }
}

/// Looks, from `from` on, for headers that were written at the very place where they stand, whatever surrounds them.
/// A chance match is as unlikely as any wrong checksum: the place and the segment's salt are part of it.
pub(super) fn find_headers(
    segment: &Segment,
    from: u64,
    found: &mut dyn FnMut(u64, &FrameHeader) -> ControlFlow<()>,
) -> Result<()> {
    let io = |source| Error::io(format!("read {}", segment.path.display()), source);
    let mut window = Window::new(&segment.file);
    let mut at = from.next_multiple_of(ALIGN);
    while at.saturating_add(HEADER_LEN as u64) <= segment.limit() {
        let bytes = window.get(at, HEADER_LEN).map_err(io)?;
        if let Some((header, _)) = FrameHeader::decode(bytes, &segment.header.place(at))
            && found(at, &header).is_break()
        {
            break;
        }
        at += ALIGN;
    }
    Ok(())
}

/// A stretch of a file in memory.
struct Window {
    file: Arc<dyn VfsFile>,
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    fn new(file: &Arc<dyn VfsFile>) -> Window {
        Window { file: Arc::clone(file), bytes: Vec::new(), start: 0 }
    }

    /// At most `len` bytes (which is small) at `at`; fewer at the end of the file.
    fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        if self.held(at, len).is_none() {
            self.bytes.resize(WINDOW.max(len), 0);
            let count = read_full_at(&*self.file, &mut self.bytes, at)?;
            self.bytes.truncate(count);
            self.start = at;
        }
        Ok(self.held(at, len.min(self.bytes.len())).unwrap_or_default())
    }

    /// The same for any length, as a copy.
    fn copy(&mut self, at: u64, len: usize) -> io::Result<Bytes> {
        if len <= WINDOW {
            return Ok(Bytes::copy_from_slice(self.get(at, len)?));
        }
        let mut bytes = vec![0; len];
        let count = read_full_at(&*self.file, &mut bytes, at)?;
        bytes.truncate(count);
        Ok(Bytes::from(bytes))
    }

    fn held(&self, at: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..start.checked_add(len)?)
    }
}

/// Bytes that frames with these bodies take.
pub(super) fn frames_len(body_lens: impl Iterator<Item = usize>) -> u64 {
    body_lens.map(frame_len).sum()
}
