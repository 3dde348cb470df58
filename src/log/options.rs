//! What goes into a log, and what may come back instead.

use std::io;

use bytes::Bytes;

use crate::error::Error;
use crate::options::Random;

/// How a log is opened.
#[derive(Clone)]
pub struct LogOptions {
    /// The size of a segment in bytes; a larger frame makes a larger one.
    pub segment_bytes: u64,
    /// The wall clock's time, below which `SyncKeys::Timestamp` gives no key after an unclean stop.
    pub now_ms: u64,
    /// Where random numbers come from.
    pub random: Random,
}

/// A frame to append.
#[derive(Debug, Clone, Copy)]
pub struct NewFrame<'a> {
    /// The body's stored form.
    pub body: &'a Bytes,
    /// Its CRC-32.
    pub body_crc: u32,
    /// How many keys it takes.
    pub count: u32,
    /// The first of them: above every key before.
    pub base: u64,
    /// The time of the commit.
    pub time_ms: u64,
}

/// Why an append failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendError {
    /// There is no space. Nothing was written, certainly and durably; the log goes on working. The keys are burnt.
    NoSpace(String),
    /// Whether the frames will be found after reopening is unknown, and the log takes no more.
    Failed(String),
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Error {
        match error {
            AppendError::NoSpace(what) => Error::NoSpace { what },
            AppendError::Failed(what) => Error::Io { what, source: io::Error::other("the log takes no more writes") },
        }
    }
}
