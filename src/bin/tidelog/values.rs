//! What is given on the command line as a number.

use std::num::NonZeroUsize;

use tidelog::units::{bytes, milliseconds};

/// A cap to set: a number, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting(pub Option<u64>);

/// A size in bytes, or `none`.
pub fn setting_bytes(text: &str) -> Result<Setting, String> {
    or_none(text, bytes)
}

/// A number, or `none`.
pub fn count(text: &str) -> Result<Setting, String> {
    or_none(text, |text| text.parse().map_err(|_| "write a number, or none".to_owned()))
}

/// How many things are asked for.
pub fn limit(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "it must be a whole number, at least 1".to_owned())
}

/// A time in Unix milliseconds.
pub fn time(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write a time in milliseconds since 1970 (UTC), as 1767225600000".to_owned())
}

/// A duration in milliseconds, or `none`.
pub fn age(text: &str) -> Result<Setting, String> {
    or_none(text, milliseconds)
}

fn or_none(text: &str, parse: impl Fn(&str) -> Result<u64, String>) -> Result<Setting, String> {
    if text == "none" { Ok(Setting(None)) } else { parse(text).map(|number| Setting(Some(number))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_are_numbers_or_none() {
        assert_eq!(age("none"), Ok(Setting(None)));
        assert_eq!(age("15m"), Ok(Setting(Some(900_000))));
        assert_eq!(count("none"), Ok(Setting(None)));
        assert_eq!(count("0"), Ok(Setting(Some(0))));
        assert_eq!(setting_bytes("1M"), Ok(Setting(Some(1 << 20))));
        for text in ["", "None", "1K", "-1"] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
