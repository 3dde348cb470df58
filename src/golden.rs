//! Bytes of every released format, kept for ever: what was written once is read by every later version.

use std::path::Path;

/// Compares `bytes` with the file `tests/golden/<name>`. With `TIDELOG_GOLDEN=write` in the environment a file that does
/// not exist is written first; one that does is never changed.
pub fn check(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if !path.exists() && std::env::var_os("TIDELOG_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    assert_eq!(bytes, golden, "{} is not what is written now: a format must not change unnoticed", path.display());
}
