use std::fmt;

/// A position in a dataset's log.
///
/// Promised: within one incarnation of a dataset, keys strictly increase, become visible in order and are never
/// reused. Not promised: that they are dense, or how they compare between datasets. 0 is "before everything".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SyncKey(u64);

impl SyncKey {
    /// Before everything.
    pub const ZERO: SyncKey = SyncKey(0);

    /// The key with this number.
    pub const fn new(key: u64) -> SyncKey {
        SyncKey(key)
    }

    /// The key's number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The lowest key that [`SyncKeys::Timestamp`](crate::SyncKeys::Timestamp) gives to a commit made at `time_ms`
    /// (milliseconds since the Unix epoch). Times beyond the year 2248 saturate.
    pub const fn from_time_ms(time_ms: u64) -> SyncKey {
        if time_ms >> 43 != 0 { SyncKey(crate::limits::MAX_KEY) } else { SyncKey(time_ms << 20) }
    }
}

impl fmt::Display for SyncKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for SyncKey {
    fn from(key: u64) -> SyncKey {
        SyncKey(key)
    }
}
