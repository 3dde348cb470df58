//! The streaming routes and those of many datasets, against the real binary as a child process.

mod events;
mod groups;
mod groups_at_random;
mod meanwhile;
mod memory;
mod slow_readers;
mod socket;
mod socket_room;
mod support;
mod sync;
