//! Rows, by RocksDB. With the feature `testing` also by a double in memory that keeps what was flushed and nothing else,
//! so that crashes can be tried by the ten thousand. Both pass the same tests.

#[cfg(feature = "testing")]
mod double;

use std::ops::Deref;
use std::path::Path;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, DB, DBPinnableSlice, DBRawIterator, FlushOptions, ReadOptions, WriteBatch, WriteOptions};

use super::families::Family;
use super::{Result, errors};
#[cfg(feature = "testing")]
pub(super) use double::Double;

/// What holds the rows.
pub(super) enum Kv {
    Rocks(DB),
    #[cfg(feature = "testing")]
    Double(Double),
}

impl Kv {
    /// RocksDB, where it is that.
    pub(super) fn rocks(&self) -> Option<&DB> {
        match self {
            Kv::Rocks(db) => Some(db),
            #[cfg(feature = "testing")]
            Kv::Double(_) => None,
        }
    }

    /// An empty batch, with room for `capacity` bytes.
    pub(super) fn batch(&self, capacity: usize) -> Batch<'_> {
        match self {
            Kv::Rocks(db) => Batch::Rocks(db, WriteBatch::with_capacity_bytes(capacity)),
            #[cfg(feature = "testing")]
            Kv::Double(_) => Batch::Double(Vec::new()),
        }
    }

    /// Does all of a batch or nothing of it.
    pub(super) fn write(&self, dir: &Path, batch: Batch<'_>) -> Result<()> {
        match (self, batch) {
            (Kv::Rocks(db), Batch::Rocks(_, batch)) => {
                let mut writes = WriteOptions::default();
                writes.disable_wal(true);
                db.write_opt(batch, &writes).map_err(|error| errors::refused(dir, "write to the index store", &error))
            }
            #[cfg(feature = "testing")]
            (Kv::Double(double), Batch::Double(changes)) => double.write(changes),
            #[cfg(feature = "testing")]
            _ => Err(crate::error::Error::invalid("a batch of another index store")),
        }
    }

    /// Makes what was written durable, all families together.
    pub(super) fn flush(&self, dir: &Path) -> Result<()> {
        match self {
            Kv::Rocks(db) => {
                let mut flush = FlushOptions::default();
                flush.set_wait(true);
                let families = Family::ALL.map(|family| handle(db, family));
                db.flush_cfs_opt(&families.each_ref(), &flush)
                    .map_err(|error| errors::refused(dir, "flush the index store", &error))
            }
            #[cfg(feature = "testing")]
            Kv::Double(double) => double.flush(),
        }
    }

    /// A copy as it is now in `dest`, which must not exist.
    pub(super) fn checkpoint(&self, dir: &Path, dest: &Path) -> Result<()> {
        match self {
            Kv::Rocks(db) => Checkpoint::new(db)
                .and_then(|checkpoint| checkpoint.create_checkpoint(dest))
                .map_err(|error| errors::refused(dir, "copy the index store", &error)),
            #[cfg(feature = "testing")]
            Kv::Double(double) => double.checkpoint(dest),
        }
    }

    /// Changes options of a family while it is open; false if that failed.
    pub(super) fn set(&self, family: Family, options: &[(&str, &str)]) -> bool {
        let outcome = self.rocks().map_or(Ok(()), |db| db.set_options_cf(&handle(db, family), options));
        if let Err(error) = &outcome {
            tracing::warn!(%error, ?options, "the index store does not take these options");
        }
        outcome.is_ok()
    }

    /// Gives the space of what was dropped in a range back to the file system.
    pub(super) fn reclaim(&self, family: Family, from: Option<&[u8]>, to: Option<&[u8]>) {
        if let Some(db) = self.rocks() {
            db.compact_range_cf(&handle(db, family), from, to);
        }
    }

    /// Ends all work in the background, for good. Reads go on.
    pub(super) fn stop(&self) {
        if let Some(db) = self.rocks() {
            db.cancel_all_background_work(true);
        }
    }

    /// One of RocksDB's figures; 0 where there is none.
    pub(super) fn number(&self, family: Family, property: &str) -> u64 {
        let number = self.rocks().map(|db| db.property_int_value_cf(&handle(db, family), property));
        number.and_then(Result::ok).flatten().unwrap_or(0)
    }

    pub(super) fn snapshot(&self) -> Moment<'_> {
        match self {
            Kv::Rocks(db) => Moment::Rocks(db, db.snapshot()),
            #[cfg(feature = "testing")]
            Kv::Double(double) => Moment::Double(double.tables()),
        }
    }
}

fn handle(db: &DB, family: Family) -> &ColumnFamily {
    db.cf_handle(family.name()).expect("a store is opened with all its column families") // cannot fail: opening checks that all are there
}

/// Changes of rows. Later ones win over earlier ones of the same row.
pub(super) enum Batch<'a> {
    Rocks(&'a DB, WriteBatch),
    #[cfg(feature = "testing")]
    Double(Vec<double::Change>),
}

impl Batch<'_> {
    /// About how many bytes it will write.
    pub(super) fn len_bytes(&self) -> usize {
        match self {
            Batch::Rocks(_, batch) => batch.size_in_bytes(),
            #[cfg(feature = "testing")]
            Batch::Double(changes) => changes.iter().map(double::Change::len_bytes).sum(),
        }
    }

    pub(super) fn put(&mut self, family: Family, row: &[u8], value: &[u8]) {
        match self {
            Batch::Rocks(db, batch) => batch.put_cf(&handle(db, family), row, value),
            #[cfg(feature = "testing")]
            Batch::Double(changes) => changes.push(double::Change::put(family, row, value)),
        }
    }

    pub(super) fn delete(&mut self, family: Family, row: &[u8]) {
        match self {
            Batch::Rocks(db, batch) => batch.delete_cf(&handle(db, family), row),
            #[cfg(feature = "testing")]
            Batch::Double(changes) => changes.push(double::Change::delete(family, row)),
        }
    }

    /// All rows from `from` on, and before `to`.
    pub(super) fn delete_range(&mut self, family: Family, from: Vec<u8>, to: Vec<u8>) {
        match self {
            Batch::Rocks(db, batch) => batch.delete_range_cf(&handle(db, family), from, to),
            #[cfg(feature = "testing")]
            Batch::Double(changes) => changes.push(double::Change::DeleteRange(family, from, to)),
        }
    }
}

/// All rows at one moment.
pub(super) enum Moment<'a> {
    Rocks(&'a DB, rocksdb::Snapshot<'a>),
    #[cfg(feature = "testing")]
    Double(double::Shared),
}

/// How far a walk goes.
pub(super) enum Reach {
    /// Everywhere.
    All,
    /// From the first row on, and before the second.
    Range(Vec<u8>, Vec<u8>),
}

impl Moment<'_> {
    pub(super) fn get(&self, dir: &Path, family: Family, row: &[u8]) -> Result<Option<Value<'_>>> {
        match self {
            Moment::Rocks(db, snapshot) => {
                let mut reads = ReadOptions::default();
                reads.set_verify_checksums(true);
                let found = snapshot.get_pinned_cf_opt(&handle(db, family), row, reads);
                let found = found.map_err(|error| errors::refused(dir, "read the index store", &error))?;
                Ok(found.map(Value::Rocks))
            }
            #[cfg(feature = "testing")]
            Moment::Double(tables) => Ok(tables.get(family, row).map(Value::Double)),
        }
    }

    pub(super) fn walk(&self, family: Family, reach: Reach) -> Walk<'_> {
        match self {
            Moment::Rocks(db, snapshot) => {
                let mut reads = ReadOptions::default();
                reads.set_verify_checksums(true);
                if let Reach::Range(from, to) = reach {
                    reads.set_iterate_lower_bound(from);
                    reads.set_iterate_upper_bound(to);
                }
                Walk::Rocks(snapshot.raw_iterator_cf_opt(&handle(db, family), reads))
            }
            #[cfg(feature = "testing")]
            Moment::Double(tables) => Walk::Double(double::Walk::new(tables.clone(), family, reach)),
        }
    }
}

/// A row's value.
pub(super) enum Value<'a> {
    Rocks(DBPinnableSlice<'a>),
    #[cfg(feature = "testing")]
    Double(bytes::Bytes),
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Value::Rocks(value) => value,
            #[cfg(feature = "testing")]
            Value::Double(value) => value,
        }
    }
}

/// A place among the rows of a family.
pub(super) enum Walk<'a> {
    Rocks(DBRawIterator<'a>),
    #[cfg(feature = "testing")]
    Double(double::Walk),
}

impl Walk<'_> {
    /// The row here; none at the end.
    pub(super) fn item(&self, dir: &Path) -> Result<Option<(&[u8], &[u8])>> {
        match self {
            Walk::Rocks(raw) => match raw.item() {
                Some(row) => Ok(Some(row)),
                None => {
                    raw.status().map_err(|error| errors::refused(dir, "read the index store", &error))?;
                    Ok(None)
                }
            },
            #[cfg(feature = "testing")]
            Walk::Double(walk) => Ok(walk.item()),
        }
    }

    /// To the first row at or behind this one.
    pub(super) fn seek(&mut self, row: &[u8]) {
        match self {
            Walk::Rocks(raw) => raw.seek(row),
            #[cfg(feature = "testing")]
            Walk::Double(walk) => walk.seek(row),
        }
    }

    pub(super) fn seek_first(&mut self) {
        match self {
            Walk::Rocks(raw) => raw.seek_to_first(),
            #[cfg(feature = "testing")]
            Walk::Double(walk) => walk.seek_first(),
        }
    }

    pub(super) fn seek_last(&mut self) {
        match self {
            Walk::Rocks(raw) => raw.seek_to_last(),
            #[cfg(feature = "testing")]
            Walk::Double(walk) => walk.seek_last(),
        }
    }

    pub(super) fn next(&mut self) {
        match self {
            Walk::Rocks(raw) => raw.next(),
            #[cfg(feature = "testing")]
            Walk::Double(walk) => walk.next(),
        }
    }

    pub(super) fn prev(&mut self) {
        match self {
            Walk::Rocks(raw) => raw.prev(),
            #[cfg(feature = "testing")]
            Walk::Double(walk) => walk.prev(),
        }
    }
}
