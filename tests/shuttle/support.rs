#[path = "../faults/support/suite.rs"]
mod suite;

pub use suite::{Run, Suite};
