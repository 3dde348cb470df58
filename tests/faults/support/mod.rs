//! What the suites share.

#[path = "../../it/support/rng.rs"]
#[allow(dead_code)] // it has more than these tests need
mod rng;
mod suite;

pub use rng::Rng;
pub use suite::{Run, Suite, skip};
