//! Row keys: a function builds each, its twin parses it.
//!
//! Ids and sync-keys are big endian, so that byte order is number order. Text that is followed by something else is
//! escaped: `0x00` becomes `0x00 0xff`, and `0x00 0x00` ends it. So byte order is the order of the plain text, and no
//! text is a prefix of another.

use crate::codec::{Malformed, Reader};
use crate::limits::{MAX_CONSUMER_BYTES, MAX_DATASET_BYTES, MAX_ENTITY_BYTES, MAX_IDEMPOTENCY_ID_BYTES};

/// Row of `meta`: the format version.
pub const FORMAT: &[u8] = b"F";
/// Row of `meta`: what has been applied.
pub const APPLIED: &[u8] = b"A";

const NAME: u8 = b'n';
const RECORD: u8 = b'r';
const CONSUMER: u8 = b'k';
const CONSUMER_NAME: u8 = b'K';
const IDEMPOTENCY: u8 = b'i';
const EXPIRY: u8 = b'x';
const DUE: u8 = b'd';
const WORK: u8 = b'w';

/// Two numbers, each big endian: a dataset's id and a sync-key.
pub fn pair(id: u64, key: u64) -> [u8; 16] {
    ((u128::from(id) << 64) | u128::from(key)).to_be_bytes()
}

/// The twin of [`pair`].
pub fn parse_pair(row: &[u8]) -> Result<(u64, u64), Malformed> {
    let both = u128::from_be_bytes(row.try_into().map_err(|_| Malformed("a row key is not 16 bytes long"))?);
    Ok(((both >> 64) as u64, both as u64))
}

/// The rows of one dataset, in every column family whose keys begin with the id.
pub fn dataset_range(id: u64) -> (Vec<u8>, Vec<u8>) {
    (id.to_be_bytes().to_vec(), id.saturating_add(1).to_be_bytes().to_vec())
}

/// An entity of a dataset.
pub fn entity(id: u64, entity: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(entity.len() + 8);
    row.extend_from_slice(&id.to_be_bytes());
    row.extend_from_slice(entity);
    row
}

/// The twin of [`entity`].
pub fn parse_entity(row: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut reader = Reader::new(row);
    let id = big_endian(&mut reader)?;
    match reader.remaining() {
        0 => Err(Malformed("a row key has no entity")),
        len if len > MAX_ENTITY_BYTES => Err(Malformed("a row key is above its limit")),
        len => Ok((id, reader.take(len)?)),
    }
}

/// Row of `datasets`: the id of a name.
pub fn name(name: &[u8]) -> Vec<u8> {
    tagged(NAME, name)
}

/// The twin of [`name`].
pub fn parse_name(row: &[u8]) -> Result<&[u8], Malformed> {
    untagged(NAME, row, MAX_DATASET_BYTES)
}

/// All rows of [`name`] that begin with `prefix`.
pub fn names_range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let from = name(prefix);
    let to = successor(&from);
    (from, to)
}

/// Row of `datasets`: the record of an id.
pub fn record(id: u64) -> Vec<u8> {
    tagged(RECORD, &id.to_be_bytes())
}

/// The twin of [`record`].
pub fn parse_record(row: &[u8]) -> Result<u64, Malformed> {
    number(RECORD, row)
}

/// All rows of [`record`] from `id` on.
pub fn records_range(id: u64) -> (Vec<u8>, Vec<u8>) {
    (record(id), vec![RECORD + 1])
}

/// Row of `meta`: a consumer, by dataset.
pub fn consumer(id: u64, name: &[u8]) -> Vec<u8> {
    let mut row = tagged(CONSUMER, &id.to_be_bytes());
    row.extend_from_slice(name);
    row
}

/// The twin of [`consumer`].
pub fn parse_consumer(row: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut reader = Reader::new(untagged(CONSUMER, row, 8 + MAX_CONSUMER_BYTES)?);
    let id = big_endian(&mut reader)?;
    Ok((id, reader.take(reader.remaining())?))
}

/// All rows of [`consumer`] of one dataset.
pub fn consumers_range(id: u64) -> (Vec<u8>, Vec<u8>) {
    let from = consumer(id, b"");
    let to = successor(&from);
    (from, to)
}

/// All rows of [`consumer`].
pub fn all_consumers_range() -> (Vec<u8>, Vec<u8>) {
    (vec![CONSUMER], vec![CONSUMER + 1])
}

/// Row of `meta`: a consumer, by name.
pub fn consumer_name(name: &[u8], id: u64) -> Vec<u8> {
    let mut row = vec![CONSUMER_NAME];
    escape(&mut row, name);
    row.extend_from_slice(&id.to_be_bytes());
    row
}

/// The twin of [`consumer_name`].
pub fn parse_consumer_name(row: &[u8]) -> Result<(Vec<u8>, u64), Malformed> {
    let mut reader = Reader::new(row);
    tag(&mut reader, CONSUMER_NAME)?;
    let name = unescape(&mut reader, MAX_CONSUMER_BYTES)?;
    let id = big_endian(&mut reader)?;
    end(&reader)?;
    Ok((name, id))
}

/// All rows of [`consumer_name`].
pub fn consumer_names_range() -> (Vec<u8>, Vec<u8>) {
    (vec![CONSUMER_NAME], vec![CONSUMER_NAME + 1])
}

/// Row of `meta`: what a batch with this idempotency id was given.
pub fn idempotency(id: &[u8]) -> Vec<u8> {
    tagged(IDEMPOTENCY, id)
}

/// The twin of [`idempotency`].
pub fn parse_idempotency(row: &[u8]) -> Result<&[u8], Malformed> {
    untagged(IDEMPOTENCY, row, MAX_IDEMPOTENCY_ID_BYTES)
}

/// Row of `meta`: when an idempotency id was used.
pub fn expiry(time_ms: u64, id: &[u8]) -> Vec<u8> {
    let mut row = tagged(EXPIRY, &time_ms.to_be_bytes());
    row.extend_from_slice(id);
    row
}

/// The twin of [`expiry`].
pub fn parse_expiry(row: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut reader = Reader::new(untagged(EXPIRY, row, 8 + MAX_IDEMPOTENCY_ID_BYTES)?);
    let time_ms = big_endian(&mut reader)?;
    Ok((time_ms, reader.take(reader.remaining())?))
}

/// All rows of [`expiry`] up to and including `upto_ms`.
pub fn expiries_range(upto_ms: u64) -> (Vec<u8>, Vec<u8>) {
    (vec![EXPIRY], successor(&tagged(EXPIRY, &upto_ms.to_be_bytes())))
}

/// Row of `meta`: a dataset whose retention by age is due at a time.
pub fn due(due_ms: u64, id: u64) -> Vec<u8> {
    tagged(DUE, &pair(due_ms, id))
}

/// The twin of [`due`].
pub fn parse_due(row: &[u8]) -> Result<(u64, u64), Malformed> {
    parse_pair(untagged(DUE, row, 16)?)
}

/// All rows of [`due`] up to and including `upto_ms`.
pub fn dues_range(upto_ms: u64) -> (Vec<u8>, Vec<u8>) {
    (vec![DUE], successor(&tagged(DUE, &upto_ms.to_be_bytes())))
}

/// Row of `meta`: a dataset queued for compaction.
pub fn work(id: u64) -> Vec<u8> {
    tagged(WORK, &id.to_be_bytes())
}

/// The twin of [`work`].
pub fn parse_work(row: &[u8]) -> Result<u64, Malformed> {
    number(WORK, row)
}

/// All rows of [`work`].
pub fn works_range() -> (Vec<u8>, Vec<u8>) {
    (vec![WORK], vec![WORK + 1])
}

/// The shortest bytes that sort behind everything that begins with `prefix`. Every prefix used here begins with a tag
/// below `0xff`, so there is one.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut bound = prefix.to_vec();
    while let Some(last) = bound.pop() {
        if last < 0xff {
            bound.push(last + 1);
            break;
        }
    }
    bound
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(rest.len() + 9);
    row.push(tag);
    row.extend_from_slice(rest);
    row
}

fn untagged(tag: u8, row: &[u8], max: usize) -> Result<&[u8], Malformed> {
    match row.split_first() {
        Some((found, rest)) if *found == tag && rest.len() <= max => Ok(rest),
        Some((found, _)) if *found == tag => Err(Malformed("a row key is above its limit")),
        _ => Err(Malformed("a row key has another tag")),
    }
}

fn number(tag: u8, row: &[u8]) -> Result<u64, Malformed> {
    let mut reader = Reader::new(untagged(tag, row, 8)?);
    big_endian(&mut reader)
}

fn tag(reader: &mut Reader<'_>, tag: u8) -> Result<(), Malformed> {
    if reader.u8()? == tag { Ok(()) } else { Err(Malformed("a row key has another tag")) }
}

fn big_endian(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    Ok(u64::from_be_bytes(reader.array()?))
}

fn end(reader: &Reader<'_>) -> Result<(), Malformed> {
    if reader.remaining() == 0 { Ok(()) } else { Err(Malformed("a row key is too long")) }
}

fn escape(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

fn unescape(reader: &mut Reader<'_>, max: usize) -> Result<Vec<u8>, Malformed> {
    let mut text = Vec::with_capacity(reader.remaining().min(max));
    loop {
        let byte = reader.u8()?;
        if byte == 0 {
            match reader.u8()? {
                0 => return Ok(text),
                0xff => {}
                _ => return Err(Malformed("an escaped text has another escape")),
            }
        }
        if text.len() == max {
            return Err(Malformed("an escaped text is above its limit"));
        }
        text.push(byte);
    }
}
