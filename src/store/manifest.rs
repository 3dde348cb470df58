//! Looks at CURRENT and the MANIFEST before RocksDB does: its reader (11.8) never returns if one flipped bit turns a
//! record's type into one of those for recycled logs.
//!
//! A MANIFEST consists of blocks of 32 KiB, and a block of records: CRC-32C of type and body (4 bytes), length of the
//! body (2), type (1: whole, 2 to 4: first, middle and last part of one), body; little endian. Fewer than 7 bytes at a
//! block's end are left over.
//!
//! Records are appended and then synced. So a power cut may leave a last record that is too short, which RocksDB takes
//! for the end, or one of the right length with the wrong bytes, for which it would refuse the store for ever. The
//! latter is a [`TornEnd`].

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Result, crc32c};
use crate::codec::{Malformed, Reader};
use crate::error::Error;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
const LAST_PART: u8 = 4;
/// Of a torn end, at most so many bytes are kept.
const MAX_TORN_BYTES: u64 = 1 << 20;

/// The end of a MANIFEST from its last sound record on, which RocksDB would stumble over: a record that is wrong, and
/// none behind it that is sound. What was in it was not synced, or else it is rot in what was synced last; what is
/// missing then is found out otherwise, as with an end that is too short.
#[derive(Debug)]
pub(super) struct TornEnd {
    file: PathBuf,
    offset: u64,
}

impl TornEnd {
    /// A directory with all files of the store in `dir`, by links, and a MANIFEST without the torn end: to look at the
    /// store without changing it.
    pub fn view(&self, dir: &Path) -> Result<tempfile::TempDir> {
        let link = |view: &Path| {
            for entry in fs::read_dir(std::path::absolute(dir)?)? {
                let file = entry?.path();
                if let Some(name) = file.file_name().filter(|name| Some(*name) != self.file.file_name()) {
                    std::os::unix::fs::symlink(&file, view.join(name))?;
                }
            }
            let sound = File::open(&self.file)?.take(self.offset);
            let name = self.file.file_name().unwrap_or_default();
            std::io::copy(&mut { sound }, &mut File::create_new(view.join(name))?)
        };
        let view = tempfile::tempdir().and_then(|view| link(view.path()).map(|_| view));
        view.map_err(|error| Error::io(format!("look at {} without its torn end", self.file.display()), error))
    }

    /// Cuts it off. The bytes are kept beside, in a file with `.torn` appended.
    pub fn cut(&self) -> Result<()> {
        let kept = self.file.with_extension("torn");
        let cut = || {
            let mut file = File::options().read(true).write(true).open(&self.file)?;
            file.seek(SeekFrom::Start(self.offset))?;
            let mut aside = File::create(&kept)?;
            let bytes = std::io::copy(&mut (&mut file).take(MAX_TORN_BYTES), &mut aside)?;
            aside.sync_all()?;
            file.set_len(self.offset)?;
            file.sync_all().map(|()| bytes)
        };
        let bytes = cut().map_err(|error| Error::io(format!("cut {}", self.file.display()), error))?;
        tracing::warn!(file = %self.file.display(), offset = self.offset, bytes, "cut a torn end off the MANIFEST");
        Ok(())
    }
}

/// Refuses a store whose MANIFEST is not there or not sound.
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
    match check_blocks(&file) {
        Ok(None) => Ok(None),
        Ok(Some(Wrong { offset, is_last: true, .. })) if offset > 0 => Ok(Some(TornEnd { file, offset })),
        Ok(Some(Wrong { offset, what, .. })) => Err(Error::damaged(file, offset, what.0)),
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

/// The first record that is wrong.
struct Wrong {
    offset: u64,
    what: Malformed,
    /// Whether no sound one comes after it.
    is_last: bool,
}

fn check_blocks(file: &Path) -> std::io::Result<Option<Wrong>> {
    let mut bytes = File::open(file)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut offset = 0;
    let mut wrong: Option<Wrong> = None;
    loop {
        block.clear();
        let read = (&mut bytes).take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if offset == 0 && read == 0 {
            return Ok(Some(Wrong { offset, what: Malformed("it is empty"), is_last: true }));
        }
        match &mut wrong {
            // Where the next record of a block begins is known from those before; the first begins with the block.
            Some(wrong) => wrong.is_last &= !begins_soundly(&block),
            None => {
                if let Err((at, what)) = check_block(&block) {
                    let is_last = !(at + 1..block.len()).any(|next| begins_soundly(&block[next..]));
                    wrong = Some(Wrong { offset: offset + at as u64, what, is_last });
                }
            }
        }
        if read < BLOCK_BYTES || wrong.as_ref().is_some_and(|wrong| !wrong.is_last) {
            return Ok(wrong);
        }
        offset += read as u64;
    }
}

/// Whether a sound record stands at the beginning.
fn begins_soundly(bytes: &[u8]) -> bool {
    // Longer than what is left is none here, whatever comes behind.
    check_record(&mut Reader::new(bytes), false) == Ok(true)
}

/// Where in a block which record is wrong.
fn check_block(block: &[u8]) -> Result<(), (usize, Malformed)> {
    let mut reader = Reader::new(block);
    while reader.remaining() >= HEADER_BYTES {
        let at = reader.position();
        match check_record(&mut reader, block.len() < BLOCK_BYTES) {
            Ok(true) => {}
            Ok(false) => break,
            Err(malformed) => return Err((at, malformed)),
        }
    }
    Ok(())
}

/// Whether there may be another record behind this one.
fn check_record(reader: &mut Reader<'_>, last_block: bool) -> Result<bool, Malformed> {
    let crc = reader.u32()?;
    let len = usize::from(u16::from_le_bytes(reader.array()?));
    let tag = reader.u8()?;
    let zero = crc == 0 && len == 0 && tag == 0;
    if zero && reader.take(reader.remaining())?.iter().all(|byte| *byte == 0) {
        return Ok(false); // preallocated
    }
    if tag == 0 || tag > LAST_PART {
        return Err(Malformed("a record's type is unknown"));
    }
    if len > reader.remaining() {
        return if last_block { Ok(false) } else { Err(Malformed("a record is longer than its block")) };
    }
    let body = reader.take(len)?;
    if crc32c::masked(crc32c::extend(crc32c::extend(0, &[tag]), body)) != crc {
        return Err(Malformed("a record's checksum is wrong"));
    }
    Ok(true)
}
