//! Bytes, times and figures for people.

use std::fmt::Write;

/// Bytes as text of at most `max` characters: what is not UTF-8, and what could move a terminal's cursor or turn its
/// text around, is escaped.
pub fn shown(bytes: &[u8], max: usize) -> String {
    // An escape takes ten characters at most, and a character four bytes: what is beyond is cut unseen.
    let seen = &bytes[..bytes.len().min(max.saturating_mul(4).saturating_add(4))];
    let mut text = String::new();
    let mut chars = 0;
    for chunk in seen.utf8_chunks() {
        for c in chunk.valid().chars() {
            let piece = if is_unsafe(c) { c.escape_default().to_string() } else { c.to_string() };
            if !push(&mut text, &mut chars, &piece, max) {
                return text;
            }
        }
        // The end of what is seen may cut a character in two.
        let at_end = chunk.invalid().as_ptr_range().end == seen.as_ptr_range().end;
        if at_end && seen.len() < bytes.len() {
            break;
        }
        for byte in chunk.invalid() {
            if !push(&mut text, &mut chars, &format!("\\x{byte:02x}"), max) {
                return text;
            }
        }
    }
    if seen.len() < bytes.len() {
        text.push('\u{2026}');
    }
    text
}

/// Adds a piece if there is room for it, else the sign that something is missing.
fn push(text: &mut String, chars: &mut usize, piece: &str, max: usize) -> bool {
    *chars += piece.chars().count();
    let fits = *chars <= max;
    text.push_str(if fits { piece } else { "\u{2026}" });
    fits
}

/// Control characters, and the invisible ones that change how others are shown.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A time in Unix milliseconds as date and time of day, UTC.
pub fn utc(ms: u64) -> String {
    if ms == 0 {
        return "-".to_owned();
    }
    let (days, of_day) = (ms / 86_400_000, ms % 86_400_000);
    // Days since 0000-03-01 in the proleptic Gregorian calendar, in eras of 400 years (Howard Hinnant's algorithm).
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (h, m, s, milli) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}.{milli:03}");
    text
}

/// A number with its thousands apart.
pub fn number(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// How many of a thing there are.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// A size.
pub fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_trick_a_terminal_is_escaped() {
        assert_eq!(shown(b"plain \xc3\xa9", 99), "plain \u{e9}");
        assert_eq!(shown(b"\x1b[2J\n", 99), "\\u{1b}[2J\\n");
        assert_eq!(shown("a\u{202e}b".as_bytes(), 99), "a\\u{202e}b");
        assert_eq!(shown(b"\xff\xc3", 99), "\\xff\\xc3");
        assert_eq!(shown(b"", 99), "");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(shown(b"abcdef", 3), "abc\u{2026}");
        assert_eq!(shown(b"abc", 3), "abc");
        assert_eq!(shown("\u{1f600}".repeat(3).as_bytes(), 2), "\u{1f600}\u{1f600}\u{2026}");
        assert_eq!(shown(&[b'a'; 100], 3), "aaa\u{2026}");
        assert_eq!(shown(b"\xff\xff", 4), "\\xff\u{2026}");
        let max = usize::MAX;
        assert_eq!(shown(&[b'a'; 100], max).len(), 100);
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(utc(0), "-");
        assert_eq!(utc(1), "1970-01-01 00:00:00.001");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00.000");
        assert_eq!(utc(1_767_225_599_999), "2025-12-31 23:59:59.999");
        assert!(!utc(u64::MAX).is_empty());
    }
}
