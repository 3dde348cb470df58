//! Tidelog: an embeddable changelog storage engine for sync servers.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[allow(dead_code, unused_imports)]
mod chunk;
mod clock;
#[allow(dead_code)]
mod codec;
mod compact;
#[allow(dead_code)]
mod cursor;
mod engine;
mod error;
#[allow(dead_code)]
mod frame;
#[cfg(test)]
mod golden;
mod limits;
#[allow(dead_code)]
mod log;
mod meta;
mod options;
mod seal;
#[allow(dead_code, unused_imports)]
mod store;
mod tail;
mod types;
mod verify;
#[allow(dead_code)]
mod vfs;
#[allow(dead_code)]
mod window;

#[doc(hidden)]
pub use clock::Clock;
pub use cursor::Cursor;
pub use engine::{Engine, Receipt, Watch, restore};
pub use error::{Error, Result, Stale, StaleReason};
pub use options::{Compression, Options, SyncKeys};
pub use types::{
    BackupReport, Batch, Cap, Commit, CompactionReport, Consumer, DatasetChanges, DatasetStat, Durability, EntityRow,
    Entry, Expect, Finding, Keep, Limits, ManyPage, Metrics, NamePage, Op, Page, Pending, Retention, StoreStat,
    SyncKey, VerifyReport, View,
};
pub use verify::verify;
