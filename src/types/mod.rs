//! The words of the interface: plain values, no behaviour beyond their own invariants.

mod batch;
pub(crate) mod entries;
mod entry;
mod key;
mod page;
mod report;
mod retention;

pub use batch::{Batch, Commit, Durability, Expect};
pub(crate) use batch::{Change, ChangeOp};
pub use entries::Entries;
pub use entry::{Entry, EntryRef, Op};
pub use key::SyncKey;
pub use page::{DatasetChanges, EntityRow, Limits, ManyPage, NamePage, Page, Pending, View};
pub use report::{BackupReport, CompactionReport, Consumer, DatasetStat, Finding, Metrics, StoreStat, VerifyReport};
pub use retention::{Cap, Keep, Retention};
