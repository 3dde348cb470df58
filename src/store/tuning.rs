//! How RocksDB is set up, and why.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompactionStyle, DBCompressionType,
    InfoLogger, LogLevel, LruCacheOptions, Options, UniversalCompactOptions, WriteBufferManager,
};

use super::families::Family;
use super::{Result, StoreOptions, errors};

/// The memory that all column families share: block cache (index and filter blocks included), with the memtables
/// charged to it.
pub(super) struct Shared {
    pub blocks: Cache,
    pub buffers: WriteBufferManager,
}

impl Shared {
    pub(super) fn new(options: &StoreOptions) -> Shared {
        let mut lru = LruCacheOptions::default();
        lru.set_capacity(options.memory);
        // Few shards: a shard must have room for the largest blocks of a small budget.
        lru.set_num_shard_bits(if options.memory < 64 << 20 { 1 } else { 3 });
        let blocks = Cache::new_lru_cache_opts(&lru);
        let buffers =
            WriteBufferManager::new_write_buffer_manager_with_cache(buffer_bytes(options), false, blocks.clone());
        Shared { blocks, buffers }
    }
}

/// Beyond this many bytes in memtables RocksDB flushes by itself: all column families together, and between two
/// batches, so such a flush is harmless.
fn buffer_bytes(options: &StoreOptions) -> usize {
    options.memory / 2
}

/// The options of the store as a whole.
pub(super) fn database(options: &StoreOptions, shared: &Shared, create: bool) -> Result<Options> {
    // What was not flushed is in the log, and replayed: dropping the store must not begin to write. And a flush must not
    // take a memtable's full size on disk for each of its files first. The binding has no setters for these.
    let mut db = Options::default()
        .get_options_from_string("avoid_flush_during_shutdown=true;allow_fallocate=false")
        .map_err(|error| errors::refused(std::path::Path::new(""), "set up the index store", &error))?;
    db.create_if_missing(create);
    db.create_missing_column_families(create);
    db.set_error_if_exists(create);
    db.set_atomic_flush(true);
    db.set_paranoid_checks(true);
    db.set_write_buffer_manager(&shared.buffers);
    db.set_max_background_jobs(2);
    // A table reader holds a few KiB beside what is in the cache.
    db.set_max_open_files(if options.memory < 64 << 20 { 128 } else { 512 });
    db.set_max_file_opening_threads(2);
    db.set_skip_stats_update_on_db_open(true);
    db.set_stats_dump_period_sec(0);
    db.set_stats_persist_period_sec(0);
    db.set_bytes_per_sync(1 << 20);
    // Each file that a compaction reads has such a buffer, outside of the cache: the default of 2 MiB makes dozens.
    db.set_compaction_readahead_size((options.memory / 512).clamp(64 << 10, 2 << 20));
    // It is grown anyway, and 4 MiB is much for a small store.
    db.set_manifest_preallocation_size(64 << 10);
    db.set_max_manifest_file_size(4 << 20);
    // No LOG files: an opening that is refused must not change anything in the directory.
    db.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, |level, message| {
        let message = message.trim_end();
        match level {
            LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "tidelog::store", "{message}"),
            LogLevel::Warn => tracing::warn!(target: "tidelog::store", "{message}"),
            _ => tracing::debug!(target: "tidelog::store", "{message}"),
        }
    }));
    Ok(db)
}

/// The column families with their options, RocksDB's own `default` among them.
pub(super) fn descriptors(options: &StoreOptions, shared: &Shared) -> Vec<ColumnFamilyDescriptor> {
    let named = Family::ALL.into_iter().map(|family| {
        let mut cf = common(options);
        cf.set_block_based_table_factory(&table(family, shared));
        match family {
            Family::Chunks => values_apart(&mut cf, options),
            Family::Superseded => rarely_merged(&mut cf),
            _ => {}
        }
        ColumnFamilyDescriptor::new(family.name(), cf)
    });
    let mut default = common(options);
    default.set_block_based_table_factory(&table(Family::Meta, shared));
    std::iter::once(ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, default)).chain(named).collect()
}

fn compression(options: &StoreOptions) -> DBCompressionType {
    if options.lz4 { DBCompressionType::Lz4 } else { DBCompressionType::None }
}

fn common(options: &StoreOptions) -> Options {
    let mut cf = Options::default();
    cf.set_compression_type(compression(options));
    // No memtable fills up before ours are flushed; the buffer manager bounds their sum.
    cf.set_write_buffer_size(buffer_bytes(options));
    cf.set_max_write_buffer_number(3);
    cf.set_arena_block_size((options.memory / 256).clamp(16 << 10, 1 << 20));
    cf.set_target_file_size_base(16 << 20);
    cf.set_max_bytes_for_level_base(64 << 20);
    cf.set_level_compaction_dynamic_level_bytes(true);
    // Nothing here gets better with age. The one is taken for the other where it is 0.
    cf.set_periodic_compaction_seconds(0);
    cf.set_ttl(0);
    // One large compaction may keep the others waiting for as long as many seals take. RocksDB would hold these up for it.
    cf.set_level_zero_slowdown_writes_trigger(60);
    cf.set_level_zero_stop_writes_trigger(120);
    cf
}

/// The option that lets compactions give back the space of dropped chunks, or not.
pub(super) fn collect(garbage: bool) -> [(&'static str, &'static str); 1] {
    [("enable_blob_garbage_collection", if garbage { "true" } else { "false" })]
}

fn table(family: Family, shared: &Shared) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&shared.blocks);
    table.set_block_size(8 << 10);
    table.set_format_version(5);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Filters only where rows are looked up in vain: names, idempotency ids, and entities, most of which are new in many a
    // workload. Everything else is a scan.
    if matches!(family, Family::Datasets | Family::Meta | Family::Entities) {
        table.set_bloom_filter(10.0, false);
        table.set_optimize_filters_for_memory(true);
    }
    if family == Family::Entities {
        // The largest column family by far: its filters and indexes are loaded piece by piece, so that a small cache
        // need not hold those of a whole file.
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
        table.set_metadata_block_size(8 << 10);
        table.set_pin_top_level_index_and_filter(true);
    }
    table
}

/// Marks come and go once, and there is one for almost every entry: in levels each would be written anew a dozen times, and
/// compressed each time, for a few bytes of a few.
fn rarely_merged(cf: &mut Options) {
    let mut universal = UniversalCompactOptions::default();
    universal.set_min_merge_width(8);
    cf.set_universal_compaction_options(&universal);
    cf.set_level_zero_file_num_compaction_trigger(8);
    cf.set_compression_type(DBCompressionType::None);
    cf.set_compaction_style(DBCompactionStyle::Universal);
}

/// Chunk values lie in blob files: written once, not rewritten level by level. They never enter the block cache (there
/// is no blob cache); the small blocks that say where they are do.
fn values_apart(cf: &mut Options, options: &StoreOptions) {
    cf.set_enable_blob_files(true);
    cf.set_min_blob_size(1 << 10);
    cf.set_blob_file_size(64 << 20);
    cf.set_blob_compression_type(compression(options));
    // While this is enabled, every compaction moves all that is alive out of the older half of the files, be there garbage or
    // not. So it is enabled while there is enough: [`collect`].
    cf.set_enable_blob_gc(false);
    cf.set_blob_gc_age_cutoff(0.5);
    cf.set_blob_gc_force_threshold(0.5);
}
