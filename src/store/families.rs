//! The column families.

/// A column family. RocksDB's own `default` stays empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    /// (dataset id, last key) -> chunk.
    Chunks,
    /// (dataset id, last key) -> counts of that chunk.
    ChunkMeta,
    /// (dataset id, entity) -> its newest version.
    Entities,
    /// (dataset id, superseded key) -> its successor's key.
    Superseded,
    /// Names and dataset records.
    Datasets,
    /// Everything else: format, what was applied, consumers, idempotency ids, queues.
    Meta,
}

impl Family {
    pub(super) const ALL: [Family; 6] =
        [Family::Chunks, Family::ChunkMeta, Family::Entities, Family::Superseded, Family::Datasets, Family::Meta];

    /// Those whose keys begin with a dataset's id.
    pub(super) const BY_DATASET: [Family; 4] =
        [Family::Chunks, Family::ChunkMeta, Family::Entities, Family::Superseded];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Family::Chunks => "chunks",
            Family::ChunkMeta => "chunk_meta",
            Family::Entities => "entities",
            Family::Superseded => "superseded",
            Family::Datasets => "datasets",
            Family::Meta => "meta",
        }
    }
}
