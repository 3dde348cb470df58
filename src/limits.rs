//! Every maximum in one place, with the arithmetic that depends on them checked at compile time.

/// Longest dataset name, in bytes.
pub const MAX_DATASET_BYTES: usize = 512;
/// Longest entity id, in bytes.
pub const MAX_ENTITY_BYTES: usize = 1024;
/// Longest origin (the client or device a change came from), in bytes.
pub const MAX_ORIGIN_BYTES: usize = 255;
/// Longest idempotency id, in bytes.
pub const MAX_IDEMPOTENCY_ID_BYTES: usize = 255;
/// Longest name of a durable consumer, in bytes.
pub const MAX_CONSUMER_BYTES: usize = 255;
/// Default limit on one payload, in bytes; [`Options::max_payload`](crate::Options::max_payload) changes it.
pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 16 << 20;
/// Largest limit on one payload that can be configured, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 256 << 20;
/// Most changes in one commit.
pub const MAX_COMMIT_CHANGES: usize = 1 << 20;
/// Largest body of one commit, in bytes. A sixteenth of the memory option is the smaller limit unless
/// that is huge.
pub const MAX_BODY_BYTES: usize = 1 << 30;
/// Most datasets in one `changes_many` or `watch`.
pub const MAX_DATASETS_PER_CALL: usize = 65_536;
/// Longest encoded cursor, in bytes.
pub const MAX_CURSOR_BYTES: usize = 96;
/// Most entries in one sealed chunk.
pub const MAX_CHUNK_ENTRIES: usize = 4096;
/// Largest encoded chunk, in bytes: one entry of the largest payload and its envelope.
pub const MAX_CHUNK_BYTES: usize = MAX_PAYLOAD_BYTES + (64 << 10);
/// Most lineages that the ledger keeps; older cursors of earlier lineages are stale.
pub const MAX_LINEAGES: usize = 64;
/// Most log segments that may be live at once.
pub const MAX_SEGMENTS: usize = 1024;
/// Largest encoded metadata record (dataset record, ledger body, consumer record), in bytes.
pub const MAX_RECORD_BYTES: usize = 16 << 10;
/// Smallest memory budget that can be configured, in bytes.
pub const MIN_MEMORY_BYTES: usize = 16 << 20;
/// Highest sync-key: the top of the range is left free so that sums of keys and counts cannot overflow.
pub const MAX_KEY: u64 = u64::MAX >> 1;

const _: () = assert!(MAX_BODY_BYTES <= u32::MAX as usize);
const _: () = assert!(MAX_CHUNK_BYTES <= u32::MAX as usize);
const _: () = assert!(MAX_PAYLOAD_BYTES < MAX_BODY_BYTES);
