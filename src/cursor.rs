//! Where a client is: an opaque, checksummed, pure value.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::types::SyncKey;

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor(u64);

impl Cursor {
    /// Before everything: reading from here to the end gives the whole present state.
    pub const START: Cursor = Cursor(0);

    /// The oldest entry that is still there: a way into a [`Keep::Window`](crate::Keep::Window) dataset.
    pub const fn oldest() -> Cursor {
        todo!()
    }

    /// The present head: only what comes after this call is delivered.
    pub const fn head() -> Cursor {
        todo!()
    }

    /// After this key. A bare key carries no lineage: the caller vouches that it came from this store.
    pub const fn after(_key: SyncKey) -> Cursor {
        todo!()
    }

    /// After everything committed before `time_ms` (milliseconds since the Unix epoch).
    pub const fn since_time(_time_ms: u64) -> Cursor {
        todo!()
    }

    /// The position that the cursor names, where it names one.
    pub const fn position(&self) -> Option<SyncKey> {
        todo!()
    }

    /// The cursor as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }

    /// The cursor of these bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] with [`StaleReason::Malformed`](crate::StaleReason::Malformed).
    pub fn from_bytes(_bytes: &[u8]) -> Result<Cursor> {
        todo!()
    }
}

/// All digits for a bare key (`0` is the start); else text that begins with `c`.
impl fmt::Display for Cursor {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl FromStr for Cursor {
    type Err = Error;
    fn from_str(_text: &str) -> Result<Cursor> {
        todo!()
    }
}
