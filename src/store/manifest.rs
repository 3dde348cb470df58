//! Looks at CURRENT and the MANIFEST before RocksDB does: its reader (11.8) never returns if one flipped bit turns a
//! record's type into one of those for recycled logs.
//!
//! A MANIFEST consists of blocks of 32 KiB, and a block of records: CRC-32C of type and body (4 bytes), length of the
//! body (2), type (1: whole, 2 to 4: first, middle and last part of one), body; little endian. Fewer than 7 bytes at a
//! block's end are left over.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::{Result, crc32c};
use crate::codec::{Malformed, Reader};
use crate::error::Error;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
const LAST_PART: u8 = 4;

/// Refuses a store whose MANIFEST is not there or not sound. A torn end is sound: it is what a crash leaves, and what
/// it lacks is found out otherwise.
pub(super) fn check(dir: &Path) -> Result<()> {
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
        Ok(Ok(())) => Ok(()),
        Ok(Err((offset, malformed))) => Err(Error::damaged(file, offset, malformed.0)),
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

fn check_blocks(file: &Path) -> std::io::Result<Result<(), (u64, Malformed)>> {
    let mut bytes = File::open(file)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut offset = 0;
    loop {
        block.clear();
        let read = (&mut bytes).take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if offset == 0 && read == 0 {
            return Ok(Err((0, Malformed("it is empty"))));
        }
        if let Err((at, malformed)) = check_block(&block) {
            return Ok(Err((offset + at as u64, malformed)));
        }
        if read < BLOCK_BYTES {
            return Ok(Ok(()));
        }
        offset += read as u64;
    }
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
