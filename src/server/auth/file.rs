//! The file of tokens. It may be written at any time, also while it is read.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Grant, Scope};
use crate::{Error, Result};

/// What tells one state of a file from another: when it was modified, and its size.
pub type Stamp = (SystemTime, u64);

/// How long a file must have been left alone before it is read again.
const SETTLED: Duration = Duration::from_millis(200);
/// How often a file that changes while it is read is read again.
const READ_TRIES: usize = 5;

/// The state that a file is in.
pub fn stamp(file: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// Whether this was the state of a file only a moment ago. A clock that was set back has no say.
pub fn is_fresh((modified, _): Stamp) -> bool {
    SystemTime::now().duration_since(modified).is_ok_and(|since| since < SETTLED)
}

/// The grants in a file, and the state of the file that they stand in.
///
/// # Errors
///
/// [`Error::Invalid`] with the line that is wrong.
pub fn read(file: &Path) -> Result<(Option<Stamp>, Arc<[Grant]>)> {
    let wrong = |what: String| Error::Invalid { what: format!("the tokens in {}: {what}", file.display()) };
    let (stamp, text) = whole(file, |file| std::fs::read_to_string(file)).map_err(wrong)?;
    // One that is cut off in its prefix would reach more than it should.
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(wrong(
            "the last line does not end; end it with a line break, unless it is still being written".into(),
        ));
    }
    let mut grants = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let grant = grant(line).ok_or_else(|| {
            wrong(format!("line {}: write `SHA256 read|write|admin [PREFIX]`, with the hash in hex", number + 1))
        })?;
        grants.push(grant);
    }
    Ok((stamp, grants.into()))
}

/// A file as it was at one moment: one that changed between before and after is read again.
fn whole(
    file: &Path,
    read: impl Fn(&Path) -> std::io::Result<String>,
) -> std::result::Result<(Option<Stamp>, String), String> {
    for _ in 0..READ_TRIES {
        let before = stamp(file);
        let text = read(file).map_err(|error| format!("cannot be read: {error}"))?;
        if stamp(file) == before {
            return Ok((before, text));
        }
    }
    Err("it changes while it is read; write another file and rename it to this one".into())
}

fn grant(line: &str) -> Option<Grant> {
    let mut parts = line.splitn(3, ' ');
    let (token, scope, prefix) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let mut hash = [0; 32];
    if token.len() != 64 || !token.is_ascii() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(token.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Grant { token: hash, scope: Scope::named(scope)?, prefix: prefix.as_bytes().to_vec() })
}

#[cfg(test)]
mod tests {
    use super::super::{Tokens, hash, hex};
    use super::*;

    #[test]
    fn a_file_that_is_cut_off_is_refused() {
        let line = format!("{} write team/inbox", hex(&hash("one")));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        // As `team/` it would reach more than was meant.
        for cut in [&line[..], &line[..line.len() - 5], &line[..line.len() - 10]] {
            std::fs::write(&file, format!("# phones\n{cut}")).unwrap();
            assert!(Tokens::load(Some(file.clone())).unwrap_err().to_string().contains("does not end"), "{cut}");
        }
        std::fs::write(&file, format!("# phones\n{line}\n")).unwrap();
        let tokens = Tokens::load(Some(file.clone())).unwrap();
        // Nor does it take away what was known.
        std::fs::write(&file, &line[..20]).unwrap();
        let then = SystemTime::now() - Duration::from_secs(60);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(then).unwrap();
        tokens.reload();
        assert!(tokens.access_of("one").is_ok());
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        std::fs::write(&file, "half\n").unwrap();
        let reads = std::cell::Cell::new(0);
        let read = |path: &Path| {
            let text = std::fs::read_to_string(path);
            reads.set(reads.get() + 1);
            if reads.get() == 1 {
                std::fs::write(path, "half\nand the rest\n").unwrap();
            }
            text
        };
        assert_eq!(whole(&file, read).unwrap().1, "half\nand the rest\n");
        assert_eq!(reads.get(), 2);
        let grows = |path: &Path| {
            let text = std::fs::read_to_string(path)?;
            std::fs::write(path, format!("{text}more\n"))?;
            Ok(text)
        };
        assert!(whole(&file, grows).unwrap_err().contains("rename"));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        std::fs::write(&file, "\nabc read\n").unwrap();
        assert!(Tokens::load(Some(file)).unwrap_err().to_string().contains("line 2"));
    }
}
