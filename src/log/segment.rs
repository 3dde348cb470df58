//! A segment: one preallocated file of the log. Its header names it, its place in the chain and the salt that its
//! frames' checksums are bound to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::AppendError;
use super::names::FileName;
use crate::codec::{Malformed, Reader};
use crate::error::{Error, Result};
use crate::frame::{ALIGN, LogPos, Place};
use crate::planted::{Bug, planted};
use crate::vfs::{Vfs, VfsFile, allocate, is_full, read_full_at, write_all_at};

/// Where a segment's first frame begins: bytes of its header.
pub const FIRST_FRAME: u64 = SEGMENT_HEADER_LEN as u64;
pub(super) const SEGMENT_HEADER_LEN: usize = 128;
const MAGIC: [u8; 8] = *b"TIDELSEG";
const VERSION: u32 = 1;
const CRC_AT: usize = SEGMENT_HEADER_LEN - 4;
const RESERVED: usize = 60;
const _: () = assert!(FIRST_FRAME.is_multiple_of(ALIGN));

/// What a segment's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its id, from 1 on.
    pub id: u64,
    /// A random number, new each time that a file is used.
    pub salt: u64,
    /// The store it belongs to.
    pub store: u64,
    /// The segment before it; 0 if there is none.
    pub predecessor: u64,
    /// Where the frames of the one before end. All of them were synced before this header was written.
    pub predecessor_end: u64,
    /// The own CRC of the last header before this segment, which its first frame continues; 0 if there is none.
    pub chain: u32,
    /// Bytes that were allocated for the file.
    pub capacity: u64,
}

impl SegmentHeader {
    /// The stored form.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.chain.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.store.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.predecessor.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.predecessor_end.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.capacity.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header of its stored form.
    ///
    /// # Errors
    ///
    /// If the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return Err(Malformed("this is not a log segment"));
        }
        let version = reader.u32()?;
        let chain = reader.u32()?;
        let (id, salt, store) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (predecessor, predecessor_end, capacity) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let reserved: [u8; RESERVED] = reader.array()?;
        if reader.u32()? != crc32fast::hash(bytes.get(..CRC_AT).unwrap_or_default()) {
            return Err(Malformed("the checksum of the segment's header is wrong"));
        }
        let linked = predecessor < id && predecessor_end.is_multiple_of(ALIGN);
        if version != VERSION || reserved != [0; RESERVED] || !linked || capacity < FIRST_FRAME {
            return Err(Malformed("the segment's header is wrong"));
        }
        Ok(SegmentHeader { id, salt, store, predecessor, predecessor_end, chain, capacity })
    }

    /// The version of a header that a newer build wrote: magic, version and checksum stay where they are.
    fn newer(bytes: &[u8]) -> Option<u32> {
        let mut reader = Reader::new(bytes);
        let (magic, version): ([u8; 8], u32) = (reader.array().ok()?, reader.u32().ok()?);
        let crc = crc32fast::hash(bytes.get(..CRC_AT)?);
        let sound = magic == MAGIC && bytes.get(CRC_AT..SEGMENT_HEADER_LEN) == Some(&crc.to_le_bytes()[..]);
        (sound && version > VERSION).then_some(version)
    }

    /// The place of an offset in this segment.
    pub fn place(&self, offset: u64) -> Place {
        Place { segment: self.id, offset, salt: self.salt }
    }
}

/// A segment that is there. There may be many: none is kept open.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) header: SegmentHeader,
    pub(super) path: PathBuf,
    /// The file's length.
    pub(super) len: u64,
}

impl Stored {
    /// Opens its file.
    pub(super) fn open(&self, vfs: &dyn Vfs, write: bool) -> Result<Segment> {
        let Stored { header, path, len } = self.clone();
        match vfs.open(&path, write) {
            Ok(file) => Ok(Segment { header, path, file, len, written: len }),
            Err(error) => Err(Error::io(format!("open {}", path.display()), error)),
        }
    }
}

/// An open segment.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn VfsFile>,
    /// The file's length; frames end before it and before the header's capacity.
    pub(super) len: u64,
    /// Up to where the file is known to have been written to, or thought to: not only reserved.
    pub(super) written: u64,
}

impl Segment {
    /// Opens the segment `id` of `store`.
    ///
    /// # Errors
    ///
    /// `Damaged` if it is missing or is another one, `FormatTooNew`.
    pub(super) fn open(vfs: &dyn Vfs, log_dir: &Path, id: u64, store: u64, write: bool) -> Result<Segment> {
        let path = log_dir.join(FileName::Segment(id).to_string());
        let file = match vfs.open(&path, write) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::damaged(path, None, "a log segment is missing"));
            }
            Err(error) => return Err(Error::io(format!("open {}", path.display()), error)),
        };
        let io = |source| Error::io(format!("read {}", path.display()), source);
        let len = file.len().map_err(io)?;
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        let count = read_full_at(&*file, &mut bytes, 0).map_err(io)?;
        let bytes = bytes.get(..count).unwrap_or_default();
        if let Some(found) = SegmentHeader::newer(bytes) {
            return Err(Error::FormatTooNew { file: path, found, supported: VERSION });
        }
        match SegmentHeader::decode(bytes) {
            Ok(header) if header.id == id && header.store == store => {
                Ok(Segment { header, path, file, len, written: len })
            }
            Ok(_) => Err(Error::damaged(path, 0, "this is another segment than its name says, or another store's")),
            Err(Malformed(why)) => Err(Error::damaged(path, 0, why)),
        }
    }

    /// The same, not open.
    pub(super) fn stored(&self) -> Stored {
        Stored { header: self.header, path: self.path.clone(), len: self.len }
    }

    /// Where frames must end.
    pub(super) fn limit(&self) -> u64 {
        self.len.min(self.header.capacity)
    }

    /// An offset of it as a position.
    pub(super) fn pos(&self, offset: u64) -> LogPos {
        LogPos { segment: self.header.id, offset }
    }
}

/// What is in the log's directory, in order; other files are not looked at.
pub(super) fn list(vfs: &dyn Vfs, log_dir: &Path) -> Result<Vec<FileName>> {
    let names = vfs.list(log_dir).map_err(|source| Error::io(format!("list {}", log_dir.display()), source))?;
    let mut names: Vec<FileName> = names.iter().filter_map(|name| FileName::parse(name)).collect();
    names.sort_unstable();
    Ok(names)
}

/// The log's directory: makes segments, out of spares where there are some.
#[derive(Clone)]
pub(super) struct LogDir {
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) path: PathBuf,
}

/// Spares that are kept.
pub(super) const MAX_SPARES: usize = 2;

impl LogDir {
    pub(super) fn file(&self, name: FileName) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// What is in the directory; see [`list`].
    pub(super) fn list(&self) -> Result<Vec<FileName>> {
        list(&*self.vfs, &self.path)
    }

    /// Creates a segment whose header and directory entry are durable. On a full disk nothing is left behind.
    pub(super) fn create(&self, header: SegmentHeader) -> Result<Segment, AppendError> {
        let path = self.file(FileName::Segment(header.id));
        let prepared = self.prepare(&path, &header);
        let (file, is_new) = prepared.map_err(|error| {
            let what = format!("create {}: {error}", path.display());
            match is_full(&error) {
                true => {
                    self.discard(&path);
                    AppendError::NoSpace(what)
                }
                false => AppendError::Failed(what),
            }
        })?;
        let name = || if planted(Bug::SegmentNameNotSynced) { Ok(()) } else { self.vfs.sync_dir(&self.path) };
        let durable = file.sync_all().and_then(|()| name()).and_then(|()| file.len());
        match durable {
            Ok(len) => Ok(Segment { header, path, file, len, written: if is_new { FIRST_FRAME } else { len } }),
            Err(error) => Err(AppendError::Failed(format!("sync {}: {error}", path.display()))),
        }
    }

    /// The file of a segment, and whether it is new: a spare was written to before.
    fn prepare(&self, path: &Path, header: &SegmentHeader) -> io::Result<(Arc<dyn VfsFile>, bool)> {
        if self.vfs.exists(path)? {
            self.vfs.remove(path)?;
        }
        let spare = self.list().unwrap_or_default().into_iter().find(|name| matches!(name, FileName::Spare(_)));
        let is_new = spare.is_none();
        let file = match spare {
            Some(spare) => {
                self.vfs.rename(&self.file(spare), path)?;
                self.vfs.open(path, true)?
            }
            None => self.vfs.create_new(path)?,
        };
        allocate(&*file, header.capacity)?;
        write_all_at(&*file, &header.encode(), 0)?;
        Ok((file, is_new))
    }

    /// Makes a spare of a segment that nothing lists any more, or removes it. A failure leaves a file that the next
    /// opening finds, and is only noted.
    pub(super) fn retire(&self, id: u64, segment_bytes: u64) {
        let path = self.file(FileName::Segment(id));
        let spares = match self.list() {
            Ok(names) => names.iter().filter(|name| matches!(name, FileName::Spare(_))).count(),
            Err(_) => MAX_SPARES,
        };
        let len = self.vfs.open(&path, false).and_then(|file| file.len()).unwrap_or(u64::MAX);
        if spares >= MAX_SPARES || len > segment_bytes.saturating_mul(2) {
            return self.discard(&path);
        }
        if let Err(error) = self.vfs.rename(&path, &self.file(FileName::Spare(id))) {
            tracing::warn!(file = %path.display(), %error, "a log segment could not be made a spare");
        }
    }

    /// Removes a file that nothing needs.
    pub(super) fn discard(&self, path: &Path) {
        match self.vfs.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), %error, "a file of the log could not be removed");
            }
            _ => {}
        }
    }

    pub(super) fn error(&self, what: &str, source: io::Error) -> Error {
        Error::io(format!("{what} {}", self.path.display()), source)
    }
}
