//! Every integration test in one binary: each binary links RocksDB again.

#[cfg(feature = "cli")]
mod git_history;
mod readme;
mod tidy;
