//! Looks at CURRENT and the MANIFEST before RocksDB does: its reader (11.8) never returns if one flipped bit turns a
//! record's type into one of those for recycled logs.
//!
//! A MANIFEST consists of blocks of 32 KiB, and a block of records: CRC-32C of type and body (4 bytes), length of the
//! body (2), type (1: whole, 2 to 4: first, middle and last part of one), body; little endian. Fewer than 7 bytes at a
//! block's end are left over.
//!
//! Records are appended and then synced. So a power cut may leave anything in place of the last ones: RocksDB takes one
//! that is too short for the end, refuses the store for ever for one of the right length with the wrong bytes, and passes
//! over zeros up to the end of a block. The latter two are a [`TornEnd`].

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Result, crc32c};
use crate::codec::{Malformed, Reader};
use crate::error::Error;
use crate::vfs::Vfs;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
const WHOLE: u8 = 1;
const FIRST_PART: u8 = 2;
const LAST_PART: u8 = 4;
/// The longest end that counts as torn: more is never written before it is synced.
const MAX_TORN_BYTES: u64 = 1 << 20;

/// What of a MANIFEST comes behind its sound records, and RocksDB would stumble over or pass over. It was not synced when
/// the power went, or is rot. The store without it is an older one, with the same data if the ledger agrees and all of its
/// files are there: then nothing is lost but steps that are made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornEnd {
    pub file: PathBuf,
    pub offset: u64,
    pub what: &'static str,
}

impl TornEnd {
    /// As an error.
    pub fn damaged(&self) -> Error {
        Error::damaged(self.file.clone(), self.offset, self.what)
    }

    /// A directory with all files of the store in `dir`, by links, and a MANIFEST without the torn end: to look at the
    /// store without changing it.
    pub(super) fn view(&self, dir: &Path) -> Result<TempDir> {
        let link = |view: TempDir| {
            for entry in fs::read_dir(std::path::absolute(dir)?)? {
                let file = entry?.path();
                if let Some(name) = file.file_name().filter(|name| Some(*name) != self.file.file_name()) {
                    std::os::unix::fs::symlink(&file, view.path().join(name))?;
                }
            }
            let name = self.file.file_name().unwrap_or_default();
            let mut sound = File::open(&self.file)?.take(self.offset);
            std::io::copy(&mut sound, &mut File::create_new(view.path().join(name))?)?;
            Ok(view)
        };
        // Beside the store where there is no other place for it.
        let beside = || tempfile::Builder::new().prefix("look-").tempdir_in(dir.parent().unwrap_or(dir));
        let view = tempfile::tempdir().and_then(link).or_else(|_| beside().and_then(link));
        view.map_err(|error| Error::io(format!("look at {} without its torn end", self.file.display()), error))
    }

    /// Cuts it off. The bytes are kept beside, in a file that ends in `.torn`; one that was kept before is removed.
    pub(super) fn cut(&self, vfs: &dyn Vfs, dir: &Path) -> Result<()> {
        let kept = self.file.with_extension("torn");
        let cut = || {
            let mut file = File::options().read(true).write(true).open(&self.file)?;
            file.seek(SeekFrom::Start(self.offset))?;
            for entry in fs::read_dir(dir)? {
                let other = entry?.path();
                if other.extension() == kept.extension() {
                    fs::remove_file(other)?;
                }
            }
            let mut aside = File::create_new(&kept)?;
            let bytes = std::io::copy(&mut (&mut file).take(MAX_TORN_BYTES), &mut aside)?;
            aside.sync_all()?;
            vfs.sync_dir(dir)?;
            file.set_len(self.offset)?;
            file.sync_all().map(|()| bytes)
        };
        let bytes = cut().map_err(|error| Error::io(format!("cut {}", self.file.display()), error))?;
        tracing::warn!(file = %self.file.display(), offset = self.offset, bytes, "cut a torn end off the MANIFEST");
        Ok(())
    }
}

/// Refuses a store whose MANIFEST is not there or not sound up to its end, which may be torn.
pub(super) fn check(dir: &Path) -> Result<Option<TornEnd>> {
    let current = dir.join("CURRENT");
    let name = match fs::read(&current) {
        Ok(name) => name,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let file = if dir.is_dir() { &current } else { dir };
            return Err(Error::damaged(file, None, "it is missing, so the index store cannot be opened"));
        }
        Err(error) => return Err(Error::io(format!("read {}", current.display()), error)),
    };
    let name = match std::str::from_utf8(&name).ok().and_then(|name| name.strip_suffix('\n')) {
        Some(name) if is_manifest(name) => name,
        _ => return Err(Error::damaged(current, None, "it does not name a MANIFEST")),
    };
    let file = dir.join(name);
    let checked = check_blocks(&file).and_then(|checked| Ok((checked, fs::metadata(&file)?.len())));
    match checked {
        Ok((Ok(()), _)) => Ok(None),
        Ok((Err((offset, Malformed(what))), len)) => {
            let torn = TornEnd { file, offset, what };
            let may_be = offset > 0 && len.saturating_sub(offset) <= MAX_TORN_BYTES;
            if may_be { Ok(Some(torn)) } else { Err(torn.damaged()) }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Error::damaged(file, None, "it is missing, but CURRENT names it"))
        }
        Err(error) => Err(Error::io(format!("read {}", file.display()), error)),
    }
}

fn is_manifest(name: &str) -> bool {
    let number = name.strip_prefix("MANIFEST-").unwrap_or_default();
    (6..=20).contains(&number.len()) && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// What is wrong in a file, and where.
type Wrong = (u64, Malformed);

fn check_blocks(file: &Path) -> std::io::Result<Result<(), Wrong>> {
    let mut bytes = File::open(file)?;
    let mut records = Records::default();
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut offset = 0;
    loop {
        block.clear();
        let read = (&mut bytes).take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if offset == 0 && read == 0 {
            return Ok(Err((0, Malformed("it is empty"))));
        }
        if let Err(wrong) = records.check_block(&block, offset) {
            return Ok(Err(wrong));
        }
        if read < BLOCK_BYTES {
            return Ok(Ok(()));
        }
        offset += read as u64;
    }
}

/// What was seen so far.
#[derive(Default)]
struct Records {
    /// Whether the parts of a record have begun and not ended.
    open: bool,
    /// Since where there are only zeros.
    zeros: Option<u64>,
}

impl Records {
    fn check_block(&mut self, block: &[u8], offset: u64) -> Result<(), Wrong> {
        let mut reader = Reader::new(block);
        while reader.remaining() >= HEADER_BYTES {
            let at = offset + reader.position() as u64;
            let rest = &block[reader.position()..];
            if rest.iter().all(|byte| *byte == 0) {
                self.zeros.get_or_insert(at);
                // Of a record that has begun, RocksDB would miss the end.
                return if self.open { Err((at, Malformed("a record's end is missing"))) } else { Ok(()) };
            }
            if let Some(zeros) = self.zeros {
                return Err((zeros, Malformed("records are missing")));
            }
            let is_last = block.len() < BLOCK_BYTES;
            match check_record(&mut reader, is_last).map_err(|malformed| (at, malformed))? {
                Some(tag) if self.open == matches!(tag, WHOLE | FIRST_PART) => {
                    return Err((at, Malformed("a record's parts are out of order")));
                }
                Some(tag) => self.open = !matches!(tag, WHOLE | LAST_PART),
                None => break,
            }
        }
        Ok(())
    }
}

/// The type of the record that comes next; none if it is too short, as the last one may be.
fn check_record(reader: &mut Reader<'_>, last_block: bool) -> Result<Option<u8>, Malformed> {
    let crc = reader.u32()?;
    let len = usize::from(u16::from_le_bytes(reader.array()?));
    let tag = reader.u8()?;
    if tag == 0 || tag > LAST_PART {
        return Err(Malformed("a record's type is unknown"));
    }
    if len > reader.remaining() {
        return if last_block { Ok(None) } else { Err(Malformed("a record is longer than its block")) };
    }
    let body = reader.take(len)?;
    if crc32c::masked(crc32c::extend(crc32c::extend(0, &[tag]), body)) != crc {
        return Err(Malformed("a record's checksum is wrong"));
    }
    Ok(Some(tag))
}
