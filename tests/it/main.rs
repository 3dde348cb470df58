//! What Tidelog promises, one behaviour per file, in one binary: each binary links RocksDB again.

mod atomic_batch;
mod backup;
mod bad_input;
mod buffered;
mod changes_many;
#[cfg(feature = "cli")]
mod cli;
mod clock;
mod closed;
mod conflict_rules;
mod consumer_lease;
mod consumers;
mod damaged_files;
mod expect;
mod first_seal;
mod floor_cost;
mod full_disk;
#[cfg(feature = "testing")]
mod fuzz_corpus;
#[cfg(feature = "cli")]
mod git_history;
mod grace;
mod group_commit;
mod idempotency;
mod keys_never_reused;
mod limits;
mod model;
mod openers;
mod page_limits;
mod quiet_floors;
mod read_limits;
mod read_only;
mod readme;
mod recent;
mod recreated_dataset;
mod retention_caps;
mod review_commit;
mod review_compact;
mod review_consumers;
mod review_many;
mod review_memory;
mod review_watch;
mod since_time;
mod stale_reasons;
mod support;
mod tidy;
mod timestamp_keys;
mod upkeep_fails;
mod verify;
mod views;
mod wakers;
mod watch;
mod window_keep;
mod without_payloads;
