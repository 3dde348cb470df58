//! The systems that a changelog is kept for, each end to end: real clients (threads with HTTP connections) against
//! `tidelog serve` as a process of its own, through a network that loses requests and answers, with a kill -9 midway. At
//! the end the server is stopped and every client's whole state is compared with `tidelog export`.
//!
//! `TIDELOG_SEED=n` takes other interleavings than the usual ones.

mod account_of_200_chat_sessions;
mod client_calls;
mod client_tries_again;
mod compare_by_tags;
mod curl;
mod delivery_through_kills;
mod log_style_increment;
mod long_poll_of_a_work_group;
mod store_and_forward;
mod support;
mod timeline_since_id;
mod timestamp_keys_and_conflicts;
