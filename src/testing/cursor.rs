use crate::codec::put_varint;
use crate::cursor::Cursor;
use crate::error::{Error, StaleReason};

/// A cursor as bytes and as text. Whatever is taken must be what would be written; all else is malformed.
pub fn cursor(data: &[u8]) {
    bytes(data);
    bytes(&sealed(data));
    // Version and kind put right, so that the rest is reached.
    if let Some((kind, rest)) = data.split_first() {
        bytes(&sealed(&[&[1, kind % 7], rest].concat()));
        numbers(data);
    }
    if let Ok(written) = std::str::from_utf8(data) {
        text(written);
        text(&format!("c{written}"));
    }
}

/// With its checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &crc32fast::hash(body).to_le_bytes()].concat()
}

fn bytes(data: &[u8]) {
    match Cursor::from_bytes(data) {
        Ok(cursor) => {
            assert_eq!(cursor.to_bytes(), data, "{cursor:?} has two forms");
            let written = cursor.to_string();
            assert_eq!(written.parse::<Cursor>().ok(), Some(cursor), "{written}");
        }
        Err(error) => malformed(&error),
    }
}

fn text(written: &str) {
    match written.parse::<Cursor>() {
        Ok(cursor) => {
            assert_eq!(cursor.to_string(), written, "{cursor:?} has two texts");
            assert_eq!(Cursor::from_bytes(&cursor.to_bytes()).ok(), Some(cursor));
        }
        Err(error) => malformed(&error),
    }
}

/// Five numbers of eight bytes, of which the first bits say how long each one is.
fn numbers(data: &[u8]) {
    let mut body = vec![1, 5];
    body.extend_from_slice(&[7; 8]);
    for number in data.chunks(8).take(5) {
        let mut bytes = [0; 8];
        bytes[..number.len()].copy_from_slice(number);
        let number = u64::from_le_bytes(bytes);
        put_varint(&mut body, number >> (number % 64));
    }
    bytes(&sealed(&body));
    for view in 0..4 {
        bytes(&sealed(&[&body[..], &[view]].concat()));
    }
}

fn malformed(error: &Error) {
    assert!(matches!(error, Error::Stale(stale) if stale.reason == StaleReason::Malformed), "{error:?}");
}
