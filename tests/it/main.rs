//! Every integration test in one binary: each binary links RocksDB again. One behaviour a file.

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod git_history;
mod readme;
mod tidy;
