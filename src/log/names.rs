//! The names of files in the log's directory: one function builds them, its twin reads them.

use std::ffi::OsStr;
use std::fmt;

/// A file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileName {
    /// A segment of this id.
    Segment(u64),
    /// A segment that was recycled and waits to be used again, under the id it had.
    Spare(u64),
    /// What was cut off the end of the log at this offset of this segment.
    Torn { segment: u64, offset: u64 },
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Segment(id) => write!(f, "{id:020}.log"),
            FileName::Spare(id) => write!(f, "spare-{id:020}"),
            FileName::Torn { segment, offset } => write!(f, "torn-{segment:020}-{offset:020}.bin"),
        }
    }
}

impl FileName {
    /// The file that has this name; none if it is not one of the log's.
    pub(super) fn parse(name: &OsStr) -> Option<FileName> {
        let name = name.to_str()?;
        if let Some(id) = name.strip_suffix(".log") {
            return Some(FileName::Segment(number(id)?));
        }
        if let Some(id) = name.strip_prefix("spare-") {
            return Some(FileName::Spare(number(id)?));
        }
        let (segment, offset) = name.strip_prefix("torn-")?.strip_suffix(".bin")?.split_once('-')?;
        Some(FileName::Torn { segment: number(segment)?, offset: number(offset)? })
    }
}

fn number(digits: &str) -> Option<u64> {
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_nothing_else_is_one() {
        for id in [0, 1, 42, u64::MAX] {
            let torn = FileName::Torn { segment: id, offset: u64::MAX - id };
            for name in [FileName::Segment(id), FileName::Spare(id), torn] {
                assert_eq!(FileName::parse(name.to_string().as_ref()), Some(name));
            }
        }
        assert_eq!(FileName::Segment(42).to_string(), "00000000000000000042.log");
        for other in ["42.log", "+0000000000000000042.log", "99999999999999999999.log", "spare-1", "torn-1-2.bin", ""] {
            assert_eq!(FileName::parse(other.as_ref()), None, "{other}");
        }
    }
}
