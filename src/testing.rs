//! The bodies of the fuzz targets. Each takes any bytes at all, and panics if something that must hold does not; the
//! tests replay the committed corpus and its mutations through the same functions on a stable compiler.
//!
//! A target that stopped at every checksum would test checksums only: each tries the bytes as they are, and once more
//! with the checksums put right. The answer is whether anything was taken for sound, so that a run can tell how many of
//! its inputs got further than the first refusal.

mod chunk;
mod cursor;
mod frame;
mod input;
mod ledger;
mod operations;
mod scratch;
mod segment;
pub mod sim;

pub use crate::planted::{Bug, with};
pub use chunk::{chunk, is_chunk};
pub use cursor::cursor;
pub use frame::frame;
pub use ledger::ledger;
pub use operations::operations;
pub use segment::{sample_segment, segment};
