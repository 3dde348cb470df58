//! Which blob file is damaged: RocksDB's messages do not name it.
//!
//! Only after a chunk could not be read are the files walked, record by record. A blob file is a header of 30 bytes,
//! records and a footer of 32. A record is 32 bytes (lengths of key and value, expiration, CRC of those three, CRC of
//! key and value; little endian), key, value.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::crc32c;
use crate::codec::{Malformed, Reader};
use crate::limits::MAX_CHUNK_BYTES;

const FILE_HEADER_BYTES: usize = 30;
const FOOTER_BYTES: u64 = 32;
const RECORD_HEADER_BYTES: usize = 32;
const MAGIC: u32 = 2_395_959;

/// The blob files in `dir`, and their length.
pub(super) fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "blob"))
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len())))
        .collect();
    files.sort();
    files
}

/// The file and the offset of the record that is damaged and belongs to `row`, or that ends the search because it is
/// damaged itself.
pub(super) fn damaged(dir: &Path, row: &[u8]) -> Option<(PathBuf, u64)> {
    // The newest file first: it is the likeliest.
    files(dir).into_iter().rev().find_map(|(file, len)| damaged_at(&file, len, row).map(|offset| (file, offset)))
}

fn damaged_at(file: &Path, len: u64, row: &[u8]) -> Option<u64> {
    let mut bytes = BufReader::with_capacity(64 << 10, File::open(file).ok()?);
    let mut header = [0; FILE_HEADER_BYTES];
    if bytes.read_exact(&mut header).is_err() || Reader::new(&header).u32() != Ok(MAGIC) {
        return Some(0);
    }
    let mut at = FILE_HEADER_BYTES as u64;
    while at + FOOTER_BYTES < len {
        let mut header = [0; RECORD_HEADER_BYTES];
        bytes.read_exact(&mut header).ok()?;
        let Ok((key_len, value_len, crc)) = record_header(&header) else { return Some(at) };
        let mut key = vec![0; key_len];
        if bytes.read_exact(&mut key).is_err() {
            return Some(at);
        }
        if key == row {
            let mut value = vec![0; value_len];
            if bytes.read_exact(&mut value).is_err()
                || crc32c::masked(crc32c::extend(crc32c::extend(0, &key), &value)) != crc
            {
                return Some(at);
            }
        } else {
            bytes.seek_relative(value_len as i64).ok()?;
        }
        at += (RECORD_HEADER_BYTES + key_len + value_len) as u64;
    }
    None
}

/// The lengths of key and value, and their CRC.
fn record_header(header: &[u8; RECORD_HEADER_BYTES]) -> Result<(usize, usize, u32), Malformed> {
    let mut reader = Reader::new(header);
    let (key_len, value_len, _expiration) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let (own, crc) = (reader.u32()?, reader.u32()?);
    let sound = crc32c::masked(crc32c::extend(0, header.get(..24).unwrap_or_default())) == own;
    if !sound || key_len > 64 || value_len > 2 * MAX_CHUNK_BYTES as u64 {
        return Err(Malformed("a blob record's header is damaged"));
    }
    Ok((key_len as usize, value_len as usize, crc))
}
