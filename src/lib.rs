//! Tidelog: an embeddable changelog storage engine for sync servers.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod clock;
#[allow(dead_code)]
mod codec;
mod cursor;
mod engine;
mod error;
mod limits;
#[allow(dead_code)]
mod meta;
mod options;
mod types;
mod vfs;

#[doc(hidden)]
pub use clock::Clock;
pub use cursor::Cursor;
pub use engine::{Engine, Receipt, Watch, restore, verify};
pub use error::{Error, Result, Stale, StaleReason};
pub use options::{Compression, Options, SyncKeys};
pub use types::{
    BackupReport, Batch, Cap, Commit, CompactionReport, Consumer, DatasetChanges, DatasetStat, Durability, EntityRow,
    Entry, Expect, Finding, Keep, Limits, ManyPage, Metrics, NamePage, Op, Page, Pending, Retention, StoreStat,
    SyncKey, VerifyReport, View,
};
