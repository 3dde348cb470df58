//! What the suites share.

mod damage;
mod dump;
#[path = "../../it/support/rng.rs"]
mod rng;
mod sample;
mod suite;
mod workers;

pub use damage::{Change, Damage, Noticed, Outcome, assert_untouched, suffer};
pub use dump::dump;
pub use rng::Rng;
pub use sample::{End, Sample, files, memory_dir, options, write};
pub use suite::{Run, Suite, skip};
pub use workers::{first_of, share};
