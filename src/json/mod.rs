//! The JSON contract (`docs/json.md`): values of the public interface as JSON and back.
//!
//! Shared by the command line and whatever else of this package speaks JSON; not part of the public interface.
//! It uses nothing of the crate but that interface, and does no I/O.

mod error;
mod export;
mod input;
mod lists;
mod output;
mod stats;
mod text;
mod values;

pub use error::{Committed, ErrorBody, KINDS, error, exit_code};
pub use export::{CommitBody, Exported, export};
pub use input::{CommitGiven, commit, datasets, idempotency_id, is_conditional, key};
pub use lists::{
    AckBody, ConsumerBody, ConsumerName, DatasetBody, EntityBody, TagBody, ack, consumer, consumer_name, dataset,
    entity, tag,
};
pub use output::{EntryBody, ListPage, PageBody, entry, page};
pub use stats::{
    BackupBody, CompactionBody, DatasetStatBody, FindingBody, RestoreBody, RetentionBody, RetentionOf, StoreStatBody,
    VerifyBody, backup, compaction, dataset_stat, finding, restored, retention, retention_of, store_stat, verified,
};
pub use text::{decode_base64, encode_base64, payload_json};
pub use values::{KeyGiven, NameGiven};

#[cfg(test)]
mod tests;
