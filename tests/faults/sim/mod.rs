//! A store on the simulated disk, with a model of what it was told: what the suites of crashes and failing disks share.

mod check;
mod model;
mod run;
mod seen;
mod steps;
mod threads;

pub use check::{Past, recover, sound};
pub use model::DATASETS;
pub use run::{Run, machine, one_put, options};
pub use steps::{SCRIPT, Step, random_steps};
pub use threads::{guarded, over_seeds};
