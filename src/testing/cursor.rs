use crate::codec::put_varint;
use crate::cursor::Cursor;
use crate::error::{Error, StaleReason};

/// A cursor as bytes and as text. Whatever is taken must be what would be written; all else is malformed.
pub fn cursor(data: &[u8]) -> bool {
    let mut taken = bytes(data) | bytes(&sealed(data));
    // Version and kind put right, so that the rest is reached.
    if let Some((kind, rest)) = data.split_first() {
        taken |= bytes(&sealed(&[&[1, kind % 7], rest].concat())) | numbers(data);
    }
    if let Ok(written) = std::str::from_utf8(data) {
        taken |= text(written) | text(&format!("c{written}"));
    }
    taken
}

/// With its checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &crc32fast::hash(body).to_le_bytes()].concat()
}

fn bytes(data: &[u8]) -> bool {
    let cursor = Cursor::from_bytes(data);
    let taken = cursor.is_ok();
    match cursor {
        Ok(cursor) => {
            assert_eq!(cursor.to_bytes(), data, "{cursor:?} has two forms");
            let written = cursor.to_string();
            assert_eq!(written.parse::<Cursor>().ok(), Some(cursor), "{written}");
        }
        Err(error) => malformed(&error),
    }
    taken
}

fn text(written: &str) -> bool {
    let cursor = written.parse::<Cursor>();
    let taken = cursor.is_ok();
    match cursor {
        Ok(cursor) => {
            assert_eq!(cursor.to_string(), written, "{cursor:?} has two texts");
            assert_eq!(Cursor::from_bytes(&cursor.to_bytes()).ok(), Some(cursor));
        }
        Err(error) => malformed(&error),
    }
    taken
}

/// Five numbers of eight bytes, of which the first bits say how long each one is.
fn numbers(data: &[u8]) -> bool {
    let mut body = vec![1, 5];
    body.extend_from_slice(&[7; 8]);
    for number in data.chunks(8).take(5) {
        let mut bytes = [0; 8];
        bytes[..number.len()].copy_from_slice(number);
        let number = u64::from_le_bytes(bytes);
        put_varint(&mut body, number >> (number % 64));
    }
    let with_view = |view: &[u8]| bytes(&sealed(&[&body[..], view].concat()));
    with_view(&[]) | (0..4).any(|view| with_view(&[view]))
}

fn malformed(error: &Error) {
    assert!(matches!(error, Error::Stale(stale) if stale.reason == StaleReason::Malformed), "{error:?}");
}
