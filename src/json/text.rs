//! Bytes in JSON: as text where they are text, else as base64.

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Error, Result, SyncKey};

/// Standard base64 with padding.
pub fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of standard base64 with padding; `field` names the place in the message.
///
/// # Errors
///
/// [`Error::Invalid`].
pub fn decode_base64(field: &str, text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|e| Error::Invalid {
        what: format!("`{field}` is not standard base64 with padding ({e}); encode it again"),
    })
}

/// A payload as JSON, if it can be printed verbatim within a line: valid JSON in UTF-8, without line breaks and
/// without white space around it.
pub fn payload_json(payload: &[u8]) -> Option<&RawValue> {
    if payload.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return None;
    }
    let text = std::str::from_utf8(payload).ok()?;
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    (raw.get().len() == text.len()).then_some(raw)
}

/// Bytes that are text if they can be: exactly one of the two is there.
pub(super) fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(encode_base64(bytes))),
    }
}

/// A key as it is written: a decimal string, since keys may exceed 2^53.
pub(super) fn decimal(key: SyncKey) -> String {
    key.get().to_string()
}

/// A key, written as [`decimal`] does, without a string of its own.
pub(super) struct Decimal(pub SyncKey);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = [b'0'; 20];
        let (mut at, mut left) = (digits.len(), self.0.get());
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        serializer.serialize_str(std::str::from_utf8(&digits[at..]).map_err(serde::ser::Error::custom)?)
    }
}

/// Bytes, written as base64 without a string of their own.
pub(super) struct Base64<'a>(pub &'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}
