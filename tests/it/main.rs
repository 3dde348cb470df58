//! The behaviour of the crate: one behaviour a file.

#[cfg(feature = "cli")]
mod cli;
