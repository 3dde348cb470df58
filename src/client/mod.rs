//! A client of the HTTP interface that `tidelog serve` answers, in the words of the engine: a [`Batch`](crate::Batch) is
//! committed, a [`Page`](crate::Page) is read behind a [`Cursor`](crate::Cursor). Needs the feature `client`.
//!
//! It blocks and brings no async runtime: give it a thread. A [`Client`] is cheap to clone and may be shared.
//!
//! ```no_run
//! use std::time::Duration;
//! use tidelog::client::{Client, Memory, Replica};
//! use tidelog::Batch;
//!
//! let client = Client::new("http://127.0.0.1:7171")?;
//! let mut batch = Batch::new();
//! batch.put("notes/ann", "note-1", r#"{"text":"Buy milk"}"#);
//! client.commit(&batch)?; // on the server's disk
//!
//! let mut notes = Replica::new(client, "notes/ann", Memory::new());
//! loop {
//!     notes.follow(Duration::from_secs(30))?; // returns when something changed, or after the time
//!     for (entity, entry) in notes.local().iter() {
//!         println!("{entity:?} {:?}", entry.payload);
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), tidelog::client::Error>(())
//! ```
//!
//! # Lost answers
//!
//! A call is tried again when the network or the server fails, for as long as [`Builder::retry_for`] says, and every
//! commit carries an idempotency id, so that one whose answer was lost is not done twice; to delete a dataset or to forget a
//! consumer, which have none, is not tried again once it may have been done. A write that ended with
//! [`Error::Unavailable`] may have been done; a caller that goes on trying after that names the id itself
//! ([`Batch::idempotency_id`](crate::Batch::idempotency_id)).

mod answers;
mod backoff;
mod builder;
mod conflict;
mod consumer;
mod dataset;
mod error;
mod group;
mod local;
mod many;
mod path;
mod problem;
mod read;
mod replica;
mod timeline;
mod transport;
mod wire;
mod write;

pub use builder::Builder;
pub use consumer::ConsumerPage;
pub use error::{Error, LocalError, Result};
pub use group::{GroupPage, GroupSync};
pub use local::{Local, Memory};
pub use many::{Part, PartOf, SyncPage};
pub use problem::Problem;
pub use read::{Refreshed, Stored, TagPage};
pub use replica::{Progress, Replica};
pub use timeline::{Timeline, TimelinePage};
pub use transport::Client;
