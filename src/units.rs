//! Numbers with units, as people write them: on the command line and in a server's file of settings.

/// A size in bytes: `65536`, `64K`, `64KiB`, `1G`. Units are powers of 1024.
///
/// # Errors
///
/// What to write instead.
pub fn size(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text)?).map_err(|_| format!("{text} is more than this machine can hold"))
}

/// The same, also if it is more than memory can hold.
///
/// # Errors
///
/// What to write instead.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = split(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err("write bytes, or a number with K, M, G or T".to_owned()),
    };
    scaled(digits, 1 << shift).ok_or_else(|| "write bytes, or a number with K, M, G or T".to_owned())
}

/// A duration in milliseconds: `30d`, `12h`, `15m`, `10s`, `500ms`.
///
/// # Errors
///
/// What to write instead.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    let (digits, unit) = split(text);
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    scale
        .and_then(|scale| scaled(digits, scale))
        .ok_or_else(|| "write a whole number with its unit: 30d, 12h, 15m, 10s or 500ms".to_owned())
}

/// Units of time, longest first, in milliseconds.
const UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Milliseconds as [`milliseconds`] reads them, in the longest unit that is exact.
pub fn duration(ms: u64) -> String {
    let (unit, scale) = UNITS.iter().find(|(_, scale)| ms != 0 && ms.is_multiple_of(*scale)).unwrap_or(&("ms", 1));
    format!("{}{unit}", ms / scale)
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn scaled(digits: &str, scale: u64) -> Option<u64> {
    digits.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [("0", 0), ("65536", 65_536), ("64K", 65_536), ("64kib", 65_536), ("3M", 3 << 20)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "1.5M", "1X", "1 M", "99999999999999999999", "99999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_print_as_they_are_read() {
        for (text, ms) in [("30d", 2_592_000_000), ("36h", 129_600_000), ("15m", 900_000), ("10s", 10_000), ("7ms", 7)]
        {
            assert_eq!(milliseconds(text), Ok(ms), "{text}");
            assert_eq!(duration(ms), text);
        }
        assert_eq!(duration(0), "0ms");
        for text in ["", "10", "d", "1w", "1.5h", "-1s", "1D", "999999999999999d"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }
}
