//! Where a client is: an opaque, checksummed, pure value. `docs/format.md` has its bytes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::codec::{Malformed, Reader, put_varint};
use crate::error::{Error, Result, Stale, StaleReason};
use crate::limits::{MAX_CURSOR_BYTES, MAX_KEY};
use crate::planted::{Bug, planted};
use crate::types::{SyncKey, View};

/// The first byte of every encoded cursor. Zero is never a version.
const VERSION: u8 = 1;
/// What the text of a cursor that is no bare key begins with.
const TEXT_PREFIX: char = 'c';
/// Longest text after the prefix: the longest cursor in base64.
const MAX_TEXT_BYTES: usize = MAX_CURSOR_BYTES.div_ceil(3) * 4;

const OLDEST: u8 = 1;
const HEAD: u8 = 2;
const AFTER: u8 = 3;
const SINCE_TIME: u8 = 4;
const EXACT: u8 = 5;

const VIEW_LATEST: u8 = 1;
const VIEW_EVERY: u8 = 2;

// Version, kind, lineage, five varints of at most 10 bytes, view, CRC.
const _: () = assert!(1 + 1 + 8 + 5 * 10 + 1 + 4 <= MAX_CURSOR_BYTES);

/// Where a read begins.
///
/// A page hands out the cursor for the next one. It is a pure value: store it as text or bytes, ask it again, give it to
/// another process. What it names may be gone by then; the read says so with [`Error::Stale`].
///
/// ```
/// use tidelog::{Cursor, SyncKey};
///
/// let cursor: Cursor = "1234".parse()?;
/// assert_eq!(cursor, Cursor::after(SyncKey::new(1234)));
/// assert_eq!(cursor.position(), Some(SyncKey::new(1234)));
/// assert_eq!(Cursor::from_bytes(&cursor.to_bytes())?, cursor);
/// assert_eq!(Cursor::head().to_string().parse::<Cursor>()?, Cursor::head());
/// assert!("not a cursor".parse::<Cursor>().is_err());
/// # Ok::<(), tidelog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor(pub(crate) Kind);

/// What a cursor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// From the oldest entry that is still there.
    Oldest,
    /// From the head at the time of the call.
    Head,
    /// After a bare key, which a caller vouches for; 0 is the start.
    After(u64),
    /// From a commit time, in milliseconds since the Unix epoch.
    SinceTime(u64),
    /// Handed out by a read.
    Exact(Exact),
}

/// A place that a read reached, bound to one history of one dataset.
///
/// Always `start <= position <= bound` and `first_bound <= bound`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Exact {
    /// The history of the store that it was made in.
    pub lineage: u64,
    /// The dataset's incarnation.
    pub incarnation: u64,
    /// Where its window began.
    pub start: u64,
    /// Up to where it was read.
    pub position: u64,
    /// Where its window ends; equal to `position` once it is read to its end.
    pub bound: u64,
    /// Where the window would have ended, had its bound never moved.
    pub first_bound: u64,
    /// What the window delivers: some exactly in the middle of a window (`position < bound`).
    pub view: Option<View>,
}

impl Cursor {
    /// Before everything: reading from here to the end gives the whole present state.
    pub const START: Cursor = Cursor(Kind::After(0));

    /// The oldest entry that is still there: a way into a [`Keep::Window`](crate::Keep::Window) dataset.
    pub const fn oldest() -> Cursor {
        Cursor(Kind::Oldest)
    }

    /// The present head: only what comes after this call is delivered.
    pub const fn head() -> Cursor {
        Cursor(Kind::Head)
    }

    /// After this key. A bare key carries no lineage: the caller vouches that it came from this store, and that the
    /// client holds the whole state there. That is so at a page's position when its `more` is false; in the middle of a
    /// window only the page's own cursor goes on safely.
    ///
    /// A key that no store can reach (2^63 and above) becomes the highest one; reading from there is
    /// [`StaleReason::Future`](crate::StaleReason::Future) all the same.
    pub const fn after(key: SyncKey) -> Cursor {
        let key = key.get();
        Cursor(Kind::After(if key > MAX_KEY { MAX_KEY } else { key }))
    }

    /// After everything committed before `time_ms` (milliseconds since the Unix epoch). A time carries no incarnation: if
    /// the dataset may have been deleted and created again since then, begin at [`Cursor::START`].
    pub const fn since_time(time_ms: u64) -> Cursor {
        Cursor(Kind::SinceTime(time_ms))
    }

    /// The position that the cursor names, where it names one.
    pub const fn position(&self) -> Option<SyncKey> {
        match self.0 {
            Kind::After(key) | Kind::Exact(Exact { position: key, .. }) => Some(SyncKey::new(key)),
            Kind::Oldest | Kind::Head | Kind::SinceTime(_) => None,
        }
    }

    /// The cursor as bytes, at most 96 of them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_CURSOR_BYTES);
        out.push(VERSION);
        match &self.0 {
            Kind::Oldest => out.push(OLDEST),
            Kind::Head => out.push(HEAD),
            Kind::After(key) => {
                out.push(AFTER);
                put_varint(&mut out, *key);
            }
            Kind::SinceTime(time_ms) => {
                out.push(SINCE_TIME);
                put_varint(&mut out, *time_ms);
            }
            Kind::Exact(exact) => {
                out.push(EXACT);
                exact.encode(&mut out);
            }
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The cursor of these bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] with [`StaleReason::Malformed`](crate::StaleReason::Malformed).
    pub fn from_bytes(bytes: &[u8]) -> Result<Cursor> {
        decode(bytes).map(Cursor).map_err(|_| malformed())
    }
}

fn decode(bytes: &[u8]) -> Result<Kind, Malformed> {
    if bytes.len() > MAX_CURSOR_BYTES {
        return Err(Malformed("a cursor is too long"));
    }
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Malformed("a cursor is cut short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) && !planted(Bug::CursorUnchecked) {
        return Err(Malformed("a cursor's checksum is wrong"));
    }
    let mut reader = Reader::new(body);
    if reader.u8()? != VERSION {
        return Err(Malformed("a cursor's version is unknown"));
    }
    let kind = match reader.u8()? {
        OLDEST => Kind::Oldest,
        HEAD => Kind::Head,
        AFTER => Kind::After(key(reader.varint()?)?),
        SINCE_TIME => Kind::SinceTime(reader.varint()?),
        EXACT => Kind::Exact(Exact::decode(&mut reader)?),
        _ => return Err(Malformed("a cursor's kind is unknown")),
    };
    match reader.remaining() {
        0 => Ok(kind),
        _ => Err(Malformed("a cursor has trailing bytes")),
    }
}

/// A key within its range.
fn key(key: u64) -> Result<u64, Malformed> {
    if key <= MAX_KEY { Ok(key) } else { Err(Malformed("a key is above the highest one")) }
}

impl Exact {
    /// The position, then everything else by its distance from it: what must not be negative cannot be written.
    fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.start <= self.position && self.position <= self.bound && self.first_bound <= self.bound);
        debug_assert_eq!(self.view.is_some(), self.position < self.bound);
        out.extend_from_slice(&self.lineage.to_le_bytes());
        put_varint(out, self.incarnation);
        put_varint(out, self.position);
        put_varint(out, self.position.saturating_sub(self.start));
        put_varint(out, self.bound.saturating_sub(self.position));
        put_varint(out, self.bound.saturating_sub(self.first_bound));
        if self.position < self.bound {
            out.push(match self.view {
                Some(View::Every) => VIEW_EVERY,
                Some(View::Latest) | None => VIEW_LATEST,
            });
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Exact, Malformed> {
        let lineage = reader.u64()?;
        let incarnation = key(reader.varint()?)?;
        let position = key(reader.varint()?)?;
        let below = |from: u64, distance: u64| from.checked_sub(distance).ok_or(Malformed("a key is below 0"));
        let start = below(position, reader.varint()?)?;
        let ahead = reader.varint()?;
        let bound = key(position.checked_add(ahead).ok_or(Malformed("a key is above the highest one"))?)?;
        let first_bound = below(bound, reader.varint()?)?;
        let view = match ahead {
            0 => None,
            _ => Some(match reader.u8()? {
                VIEW_LATEST => View::Latest,
                VIEW_EVERY => View::Every,
                _ => return Err(Malformed("a cursor's view is unknown")),
            }),
        };
        Ok(Exact { lineage, incarnation, start, position, bound, first_bound, view })
    }
}

/// All digits for a bare key (`0` is the start); else text that begins with `c`.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::After(key) => fmt::Display::fmt(&key, f),
            _ => write!(f, "{TEXT_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.to_bytes())),
        }
    }
}

/// The inverse of `Display`, and of nothing else: no sign, no leading zeros, no padding.
impl FromStr for Cursor {
    type Err = Error;
    fn from_str(text: &str) -> Result<Cursor> {
        let cursor = match text.strip_prefix(TEXT_PREFIX) {
            Some(encoded) if encoded.len() <= MAX_TEXT_BYTES => {
                let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| malformed())?;
                Cursor::from_bytes(&bytes)?
            }
            Some(_) => return Err(malformed()),
            None => Cursor(Kind::After(digits(text).ok_or_else(malformed)?)),
        };
        // A bare key has one text, its digits; nor may any other cursor have two.
        if matches!(cursor.0, Kind::After(_)) && text.starts_with(TEXT_PREFIX) {
            return Err(malformed());
        }
        Ok(cursor)
    }
}

/// A key written as `Display` writes it.
fn digits(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let key = text.parse().ok()?;
    (plain && key <= MAX_KEY).then_some(key)
}

fn malformed() -> Error {
    Error::Stale(Stale { reason: StaleReason::Malformed, dataset: Vec::new(), position: 0, floor: 0 })
}

#[cfg(test)]
mod tests;
