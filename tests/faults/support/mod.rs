//! What the suites share.

mod damage;
mod dump;
mod memory;
#[path = "../../it/support/rng.rs"]
mod rng;
mod sample;
mod suite;
mod workers;

pub use damage::{Change, Damage, Noticed, Outcome, assert_untouched, suffer};
pub use dump::dump;
pub use memory::peak_bytes;
pub use rng::Rng;
pub use sample::{End, Sample, files, memory_dir, options, repeated, write};
pub use suite::{Run, Suite, skip};
pub use workers::{first_of, share};
