//! Creating and opening.
//!
//! RocksDB opens a store whose MANIFEST lost its end as the older or even the empty store that the rest describes, and
//! then deletes the files that it does not know of. So everything is checked read-only first.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rocksdb::{DB, Options};

use super::cache::ChunkCache;
use super::families::Family;
#[cfg(feature = "testing")]
use super::kv::Double;
use super::kv::Kv;
use super::manifest::TornEnd;
use super::recent::Recent;
use super::record::{Applied, FORMAT_VERSION};
use super::shares::Shares;
use super::tuning::{self, Shared};
use super::{LIVE_BLOB_BYTES, Result, Store, StoreOptions, blobs, errors, keys, manifest};
use crate::codec::Malformed;
use crate::error::Error;
use crate::vfs::Vfs;

impl Store {
    /// A new store in `dir`, which must not exist or be empty.
    ///
    /// It is built beside, in `dir` with `.new` appended, and renamed when it is whole: so a `dir` that exists is
    /// complete, and what a crash left beside it is of no value and removed here.
    pub fn create(vfs: &Arc<dyn Vfs>, dir: &Path, options: &StoreOptions) -> Result<Store> {
        refuse_files_in(&**vfs, dir)?;
        let beside = beside(dir);
        match vfs.remove_dir_all(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io(format!("remove {}", beside.display()), error));
            }
            _ => {}
        }
        let store = connect(vfs, &beside, options, Mode::Create)?;
        let mut changes = store.changes(0);
        changes.put(Family::Meta, keys::FORMAT, &FORMAT_VERSION.to_be_bytes());
        changes.set_applied(&Applied::default())?;
        store.commit(changes)?;
        store.flush()?;
        drop(store);
        put_in_place(&**vfs, &beside, dir)?;
        Store::open(vfs, dir, options, 0)
    }

    /// The store in `dir`, which the ledger says has applied everything up to `at_least`. A store that is not whole is
    /// refused, and nothing in it changed.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] naming the file or the directory, [`Error::FormatTooNew`].
    pub fn open(vfs: &Arc<dyn Vfs>, dir: &Path, options: &StoreOptions, at_least: u64) -> Result<Store> {
        Ok(Store::open_after(vfs, dir, options, at_least, |_| Ok(()))?.0)
    }

    /// The same, if `check` agrees: it is given what a read-only look sees, before anything is changed.
    pub fn open_after<T>(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        options: &StoreOptions,
        at_least: u64,
        check: impl FnOnce(&Store) -> Result<T>,
    ) -> Result<(Store, T)> {
        // Nothing of this read-only opening is kept but its verdict, so it needs no caches.
        let little = StoreOptions { memory: options.memory.min(4 << 20), cache_bytes: 0, ..*options };
        let looked = Store::open_read_only(vfs, dir, &little, at_least)?;
        let checked = check(&looked)?;
        let (applied, torn) = (looked.applied()?.key, looked.torn_end().cloned());
        drop(looked);
        Ok((Store::open_again(vfs, dir, options, applied, torn.as_ref())?, checked))
    }

    /// The same for a store that a read-only opening found whole, without this end of the MANIFEST if it is torn: that is
    /// cut off.
    pub(super) fn open_again(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        options: &StoreOptions,
        at_least: u64,
        torn: Option<&TornEnd>,
    ) -> Result<Store> {
        let found = if vfs.holds_index() { None } else { manifest::check(dir)? };
        if found.as_ref() != torn {
            return Err(Error::damaged(dir, None, "its MANIFEST is not what it was a moment ago; open it again"));
        }
        if let Some(torn) = torn {
            torn.cut(&**vfs, dir)?;
        }
        let store = connect(vfs, dir, options, Mode::ReadWrite)?;
        store.check(at_least)?;
        Ok(store)
    }

    /// The same for reads alone; it changes nothing in `dir` ever. A torn end of the MANIFEST is passed over.
    pub fn open_read_only(vfs: &Arc<dyn Vfs>, dir: &Path, options: &StoreOptions, at_least: u64) -> Result<Store> {
        let Some(torn) = (if vfs.holds_index() { None } else { manifest::check(dir)? }) else {
            return Store::look(vfs, dir, dir, options, at_least);
        };
        let view = torn.view(dir)?;
        match Store::look(vfs, dir, view.path(), options, at_least) {
            Ok(store) => Ok(Store { torn: Some((torn, view)), ..store }),
            // What is missing was in what seemed to be torn.
            Err(Error::Damaged { what, .. }) => {
                let what = what.replace(&*view.path().to_string_lossy(), &dir.to_string_lossy());
                Err(Error::damaged(torn.file, torn.offset, format!("{}; without the rest: {what}", torn.what)))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens it where it is seen, and compares it with its files and the ledger.
    fn look(vfs: &Arc<dyn Vfs>, dir: &Path, seen: &Path, options: &StoreOptions, at_least: u64) -> Result<Store> {
        if !vfs.holds_index() {
            check_families(dir, seen)?;
        }
        let store = connect(vfs, seen, options, Mode::ReadOnly).map_err(|error| found_damaged(dir, error))?;
        let store = Store { dir: dir.to_path_buf(), ..store };
        store.check_files()?;
        store.check(at_least)?;
        Ok(store)
    }

    /// The end of the MANIFEST that this read-only opening passes over.
    pub fn torn_end(&self) -> Option<&TornEnd> {
        self.torn.as_ref().map(|(torn, _)| torn)
    }

    /// RocksDB opens a store of many files without looking at most of them, and deletes what it does not know of.
    fn check_files(&self) -> Result<()> {
        let Some(db) = self.kv.rocks() else { return Ok(()) };
        for table in self.tables(db)? {
            let file = self.dir.join(table.name.trim_start_matches('/'));
            match fs::metadata(&file) {
                Ok(found) if found.len() == table.size as u64 => {}
                Ok(found) => {
                    let what = format!("it has {} bytes, the MANIFEST says {}", found.len(), table.size);
                    return Err(Error::damaged(file, None, what));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(Error::damaged(file, None, "it is missing from the index store"));
                }
                Err(error) => return Err(Error::io(format!("look at {}", file.display()), error)),
            }
        }
        // Blob files it only counts. There may be more of them than it knows (left over by a crash), so this does not
        // find every loss: a read finds the rest.
        let files = blobs::files(&self.dir);
        let bytes: u64 = files.iter().map(|(_, len)| len).sum();
        let known = self.number(Family::Chunks, NUM_BLOBS);
        let known_bytes = self.number(Family::Chunks, LIVE_BLOB_BYTES);
        if (files.len() as u64) < known || bytes < known_bytes {
            let found = files.len();
            let what = format!(
                "blob files are missing or cut: the MANIFEST has {known} with {known_bytes} bytes, but there are \
                 {found} with {bytes} bytes"
            );
            return Err(Error::damaged(&self.dir, None, what));
        }
        Ok(())
    }

    /// Whether there are files of rows that the MANIFEST does not name; those that it names are there. A crash may leave some,
    /// and opening for writing removes them.
    pub fn has_unnamed_files(&self) -> Result<bool> {
        let Some(db) = self.kv.rocks() else { return Ok(false) };
        let files = fs::read_dir(&self.dir).and_then(|files| files.map(|file| Ok(file?.path())).collect());
        let files: Vec<PathBuf> = files.map_err(|error| Error::io(format!("list {}", self.dir.display()), error))?;
        let count =
            |kind: &str| files.iter().filter(|file| file.extension().is_some_and(|end| end == kind)).count() as u64;
        Ok(count("sst") > self.tables(db)?.len() as u64 || count("blob") > self.number(Family::Chunks, NUM_BLOBS))
    }

    fn tables(&self, db: &DB) -> Result<Vec<rocksdb::LiveFile>> {
        db.live_files().map_err(|error| self.refused("list the index store's files", &error))
    }

    /// Refuses what was written by a newer version or is older than the ledger.
    fn check(&self, at_least: u64) -> Result<()> {
        let snapshot = self.snapshot();
        let wrong = |what| self.malformed(Family::Meta, keys::FORMAT, Malformed(what));
        let found = match snapshot.get(Family::Meta, keys::FORMAT)? {
            Some(value) => u32::from_be_bytes((*value).try_into().map_err(|_| wrong("a format is not 4 bytes long"))?),
            None => return Err(wrong("it is missing: the MANIFEST is cut or old")),
        };
        if found > FORMAT_VERSION {
            return Err(Error::FormatTooNew { file: self.dir.clone(), found, supported: FORMAT_VERSION });
        }
        if found < FORMAT_VERSION {
            let what =
                format!("its format is {found}, of a build before the first release; this one reads {FORMAT_VERSION}");
            return Err(Error::damaged(&self.dir, None, what));
        }
        let applied = snapshot.applied()?;
        if applied.key < at_least {
            let what = format!(
                "the index store has applied the log up to key {}, but the ledger says {at_least}: it is an older copy, \
                 or its MANIFEST is cut",
                applied.key
            );
            return Err(Error::damaged(&self.dir, None, what));
        }
        Ok(())
    }
}

/// What can be told before RocksDB opens it.
fn check_families(dir: &Path, seen: &Path) -> Result<()> {
    let families = DB::list_cf(&Options::default(), seen)
        .map_err(|error| found_damaged(dir, errors::refused(dir, "list the index store", &error)))?;
    for family in Family::ALL {
        if !families.iter().any(|name| name == family.name()) {
            let what = format!("the index store has no '{}': its MANIFEST is cut or old", family.name());
            return Err(Error::damaged(dir, None, what));
        }
    }
    Ok(())
}

const NUM_BLOBS: &str = "rocksdb.num-blob-files";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Create,
    ReadWrite,
    ReadOnly,
}

fn connect(vfs: &Arc<dyn Vfs>, dir: &Path, options: &StoreOptions, mode: Mode) -> Result<Store> {
    let shared = Shared::new(options);
    let kv = rows(vfs, dir, options, &shared, mode)?;
    let for_datasets = options.cache_bytes / 12;
    let for_chunks = options.cache_bytes - for_datasets;
    let (vfs, cache, shares) = (vfs.clone(), ChunkCache::new(for_chunks), Shares::new(options.memory, for_chunks));
    let recent = Recent::new(for_datasets);
    let (damaged_blobs, stopped) = Default::default();
    let collecting = Mutex::new(Some(false));
    Ok(Store {
        kv,
        vfs,
        dir: dir.to_path_buf(),
        torn: None,
        cache,
        recent,
        shared,
        shares,
        damaged_blobs,
        mode,
        collecting,
        stopped,
    })
}

pub(super) fn rows(vfs: &Arc<dyn Vfs>, dir: &Path, options: &StoreOptions, shared: &Shared, mode: Mode) -> Result<Kv> {
    #[cfg(feature = "testing")]
    if vfs.holds_index() {
        let double = Double::open(vfs.clone(), dir, mode == Mode::Create)?;
        if mode == Mode::ReadWrite {
            // What was read may be in the page cache only. RocksDB makes it durable with the MANIFEST of each opening.
            double.flush()?;
        }
        return Ok(Kv::Double(double));
    }
    let _ = vfs;
    let db_options = tuning::database(options, shared, mode == Mode::Create)?;
    let families = tuning::descriptors(options, shared);
    let db = match mode {
        Mode::ReadOnly => DB::open_cf_descriptors_read_only(&db_options, dir, families, false),
        Mode::Create | Mode::ReadWrite => DB::open_cf_descriptors(&db_options, dir, families),
    };
    db.map(Kv::Rocks).map_err(|error| errors::refused(dir, "open the index store", &error))
}

/// What RocksDB refuses of a store that is there is damage, unless the system refused it.
fn found_damaged(dir: &Path, error: Error) -> Error {
    match error {
        Error::Store { what, cause } if !cause.starts_with("IO error") => {
            Error::damaged(dir, None, format!("{what}: {cause}"))
        }
        other => other,
    }
}

fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn refuse_files_in(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    match vfs.list(dir) {
        Ok(files) if files.is_empty() => Ok(()),
        Ok(_) => Err(Error::invalid(format!("{} is not empty, no store is created there", dir.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(format!("read {}", dir.display()), error)),
    }
}

/// Renames `beside` to `dir` (which may be an empty directory), durably.
fn put_in_place(vfs: &dyn Vfs, beside: &Path, dir: &Path) -> Result<()> {
    vfs.rename(beside, dir).map_err(|error| Error::io(format!("rename {}", beside.display()), error))?;
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    vfs.sync_dir(parent).map_err(|error| Error::io(format!("sync {}", parent.display()), error))
}
