//! RocksDB's errors as ours: what a caller can do about it decides, RocksDB's words only inform.

use std::path::{Path, PathBuf};

use rocksdb::ErrorKind;

use crate::codec::Malformed;
use crate::error::Error;

/// RocksDB refused to do `what` in the store in `dir`.
pub(super) fn refused(dir: &Path, what: &str, error: &rocksdb::Error) -> Error {
    let message = error.as_ref();
    if message.contains("No space left on device") || message.contains("Disk quota exceeded") {
        return Error::NoSpace { what: format!("{what} ({message})") };
    }
    let file_gone = error.kind() == ErrorKind::IOError && message.contains("No such file or directory");
    if error.kind() == ErrorKind::Corruption || file_gone {
        let file = file_named(dir, message).unwrap_or_else(|| dir.to_path_buf());
        return Error::damaged(file, offset_named(message), format!("{what}: {message}"));
    }
    Error::Store { what: format!("{what} in {}", dir.display()), cause: message.to_owned() }
}

/// A row's bytes are not what they should be.
pub(super) fn malformed(dir: &Path, family: &str, row: &[u8], what: Malformed) -> Error {
    Error::damaged(dir, None, format!("row {} of '{family}' cannot be read: {}", Hex(row), what.0))
}

/// The file of the store that a message names, if it names one. What RocksDB adds about a file that "may be corrupted"
/// is a guess, and mostly a wrong one.
fn file_named(dir: &Path, message: &str) -> Option<PathBuf> {
    let message = message.split("  The file ").next()?;
    message.split([' ', ',', ';', '"', '\'', '(', ')']).find_map(|word| {
        let word = word.trim_end_matches(['.', ':']);
        let name = Path::new(word).file_name()?.to_str()?;
        let table = name.ends_with(".sst") || name.ends_with(".blob");
        (table || name == "CURRENT" || name.starts_with("MANIFEST-")).then(|| dir.join(name))
    })
}

/// The offset that a message names, if it names one.
fn offset_named(message: &str) -> Option<u64> {
    let mut words = message.split([' ', ',', ';', ':', '=']).filter(|word| !word.is_empty());
    words.find(|word| *word == "offset")?;
    words.next()?.parse().ok()
}

/// Bytes for people.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.iter().take(64) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > 64 { f.write_str("...") } else { Ok(()) }
    }
}
