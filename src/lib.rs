//! Tidelog is an embeddable changelog storage engine for sync servers.
//!
//! It appends every create, update and delete of an *entity* in a *dataset* under a monotonic *sync-key*, indexes the log
//! by dataset and by entity, compacts it to a configurable cap, and answers one question: **what changed in this dataset
//! since my key, at most this much?** There is one log and one cursor: a full resync is a read from 0.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let dir = dir.path().join("store");
//! use tidelog::{Batch, Cursor, Engine, Limits, Options};
//!
//! let engine = Engine::open(&dir, Options::default())?;
//! let mut batch = Batch::new();
//! batch.create("calendar", "event-1", "Lunch").create("calendar", "event-2", "Dinner");
//! engine.append(batch)?;
//!
//! let mut cursor = Cursor::START; // a client that has nothing yet
//! loop {
//!     let page = engine.changes("calendar", &cursor, Limits::entries(50))?;
//!     for entry in page.entries {
//!         println!("{} {} {:?}", entry.key, entry.op.name(), entry.entity);
//!     }
//!     cursor = page.next; // kept by the client for its next visit
//!     if !page.more {
//!         break;
//!     }
//! }
//! # Ok::<(), tidelog::Error>(())
//! ```
//!
//! # What survives what
//!
//! | commit | process killed | power cut | visible to readers |
//! | --- | --- | --- | --- |
//! | [`Durability::Synced`], acknowledged | kept | kept | at once |
//! | [`Durability::Buffered`], acknowledged | kept or lost, whole | kept or lost, whole | within [`Options::sync_interval`] |
//! | not acknowledged | kept or lost, whole | kept or lost, whole | only if kept |
//!
//! Nothing is shown to a reader before its sync, so no client holds a key that a crash can take back. The first failed
//! write or sync ends all writing ([`Error::Poisoned`]); reads go on.
//!
//! # Features
//!
//! `cli` builds the command line `tidelog`, `server` the same with the HTTP server `tidelog serve`. `client` brings
//! `client`, a blocking client of that server, and `client-tls` lets it speak HTTPS. The default is none: no async
//! runtime and no command line parser.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod chunk;
#[cfg(feature = "client")]
pub mod client;
mod clock;
mod codec;
mod compact;
pub mod conflict;
mod cursor;
mod engine;
mod error;
mod frame;
#[cfg(test)]
mod golden;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod json;
mod limits;
mod log;
mod meta;
mod options;
mod planted;
mod seal;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod server;
mod store;
mod tail;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod types;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod units;
mod verify;
mod vfs;
mod window;

#[doc(hidden)]
pub use clock::Clock;
pub use cursor::Cursor;
pub use engine::{Engine, Receipt, Watch, restore};
pub use error::{Error, Result, Stale, StaleReason};
pub use options::{Compression, Options, SyncKeys};
pub use types::{
    BackupReport, Batch, Cap, Commit, CompactionReport, Consumer, DatasetChanges, DatasetStat, Durability, EntityRow,
    Entries, Entry, EntryRef, Expect, Finding, Keep, Limits, ManyPage, Metrics, NamePage, Op, Page, Pending, Retention,
    StoreStat, SyncKey, VerifyReport, View,
};
pub use verify::verify;
#[doc(hidden)]
pub use vfs::{LockGuard, OsVfs, Vfs, VfsFile};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
