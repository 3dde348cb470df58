//! What the suites over real processes share: a worker that writes and reads under load and says what it was answered,
//! and a checker that knows from that what a store must hold.

mod checker;
mod child;
mod disk;
mod plan;
mod worker;

pub use checker::{Checker, Told};
pub use child::{Child, End, PATIENCE, command, command_under, limited, resting};
pub use disk::{Disk, Kind, SmallDisk, can_mount, clean_leftovers, disk_dir, run, tool_missing};
pub use plan::WRITERS;
pub use worker::options;
