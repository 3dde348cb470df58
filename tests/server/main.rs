//! The server as its clients see it: the real binary, spoken to over a socket.

mod access;
mod bodies;
mod cbor;
mod commits;
mod consumers;
mod cors;
mod crowds;
mod datasets;
mod etags;
mod figures;
mod groups;
mod history;
mod idempotency;
mod limits;
mod logs;
mod long_poll;
mod memory;
mod names;
mod openapi;
mod ready;
mod retention;
mod stale;
mod support;
mod tags;
mod timelines;
