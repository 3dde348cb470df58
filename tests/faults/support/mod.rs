//! What the suites share.

mod suite;

pub use suite::{Run, Suite, skip};
