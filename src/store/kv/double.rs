//! The double: rows in memory, and one file that holds what was flushed.
//!
//! A flush writes the whole of it beside, syncs, and renames: so the file is the state of some flush, whatever happens.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Reach;
use crate::codec::{Malformed, Reader};
use crate::error::{Error, Result};
use crate::store::families::Family;
use crate::vfs::{Vfs, read_full_at, write_all_at};

const FILE: &str = "double";
const NEW_FILE: &str = "double.new";

type Table = BTreeMap<Bytes, Bytes>;
pub type Shared = Arc<Tables>;

/// All rows.
#[derive(Clone, Default)]
pub struct Tables([Table; Family::ALL.len()]);

impl Tables {
    pub(super) fn get(&self, family: Family, row: &[u8]) -> Option<Bytes> {
        self.0[family as usize].get(row).cloned()
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 4];
        for table in &self.0 {
            out.extend_from_slice(&(table.len() as u32).to_le_bytes());
            for part in table.iter().flat_map(|(row, value)| [row, value]) {
                out.extend_from_slice(&(part.len() as u32).to_le_bytes());
                out.extend_from_slice(part);
            }
        }
        let crc = crc32fast::hash(&out[4..]).to_le_bytes();
        out[..4].copy_from_slice(&crc);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Tables, Malformed> {
        let mut reader = Reader::new(bytes);
        let crc = reader.u32()?;
        if crc != crc32fast::hash(bytes.get(4..).unwrap_or_default()) {
            return Err(Malformed("its checksum is wrong"));
        }
        let mut tables = Tables::default();
        for table in &mut tables.0 {
            for _ in 0..reader.u32()? {
                let len = reader.u32()? as usize;
                let row = Bytes::copy_from_slice(reader.take(len)?);
                let len = reader.u32()? as usize;
                table.insert(row, Bytes::copy_from_slice(reader.take(len)?));
            }
        }
        Ok(tables)
    }
}

/// A change of rows.
pub enum Change {
    Put(Family, Bytes, Bytes),
    Delete(Family, Bytes),
    DeleteRange(Family, Vec<u8>, Vec<u8>),
}

impl Change {
    pub(super) fn put(family: Family, row: &[u8], value: &[u8]) -> Change {
        Change::Put(family, Bytes::copy_from_slice(row), Bytes::copy_from_slice(value))
    }

    pub(super) fn delete(family: Family, row: &[u8]) -> Change {
        Change::Delete(family, Bytes::copy_from_slice(row))
    }

    pub(super) fn len_bytes(&self) -> usize {
        match self {
            Change::Put(_, row, value) => row.len() + value.len(),
            Change::Delete(_, row) => row.len(),
            Change::DeleteRange(_, from, to) => from.len() + to.len(),
        }
    }
}

/// An open double.
pub struct Double {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    tables: Mutex<Shared>,
}

impl Double {
    /// A new one in `dir`, or the one that was flushed there.
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, create: bool) -> Result<Double> {
        let io = |source| Error::io(format!("open {}", dir.display()), source);
        let file = dir.join(FILE);
        let mut tables = Tables::default();
        if create {
            vfs.create_dir_all(dir).map_err(io)?;
        } else {
            if !vfs.exists(&file).map_err(io)? {
                return Err(Error::damaged(file, None, "it is missing, so the index store cannot be opened"));
            }
            let held = vfs.open(&file, false).map_err(io)?;
            let mut bytes = vec![0; usize::try_from(held.len().map_err(io)?).unwrap_or(usize::MAX)];
            let count = read_full_at(&*held, &mut bytes, 0).map_err(io)?;
            bytes.truncate(count);
            tables = Tables::decode(&bytes).map_err(|Malformed(why)| Error::damaged(file, None, why))?;
        }
        Ok(Double { vfs, dir: dir.to_path_buf(), tables: Mutex::new(Arc::new(tables)) })
    }

    pub(super) fn tables(&self) -> Shared {
        self.tables.lock().clone()
    }

    pub(super) fn write(&self, changes: Vec<Change>) -> Result<()> {
        let mut tables = self.tables.lock();
        let tables = &mut Arc::make_mut(&mut tables).0;
        for change in changes {
            match change {
                Change::Put(family, row, value) => drop(tables[family as usize].insert(row, value)),
                Change::Delete(family, row) => drop(tables[family as usize].remove(&row)),
                Change::DeleteRange(family, from, to) => {
                    tables[family as usize].retain(|row, _| **row < *from || **row >= *to);
                }
            }
        }
        Ok(())
    }

    pub fn flush(&self) -> Result<()> {
        self.write_to(&self.dir)
    }

    pub(super) fn checkpoint(&self, dest: &Path) -> Result<()> {
        // As RocksDB does.
        self.flush()?;
        self.vfs.create_dir_all(dest).map_err(|source| Error::io(format!("create {}", dest.display()), source))?;
        self.write_to(dest)
    }

    fn write_to(&self, dir: &Path) -> Result<()> {
        let bytes = self.tables().encode();
        let new = dir.join(NEW_FILE);
        let write = || {
            if self.vfs.exists(&new)? {
                self.vfs.remove(&new)?;
            }
            let file = self.vfs.create_new(&new)?;
            write_all_at(&*file, &bytes, 0)?;
            file.sync_all()?;
            self.vfs.rename(&new, &dir.join(FILE))?;
            self.vfs.sync_dir(dir)
        };
        write().map_err(|source| Error::io(format!("flush the index store in {}", dir.display()), source))
    }
}

/// A place among the rows of a family.
pub struct Walk {
    tables: Shared,
    family: Family,
    reach: Reach,
    at: Option<(Bytes, Bytes)>,
}

impl Walk {
    pub(super) fn new(tables: Shared, family: Family, reach: Reach) -> Walk {
        Walk { tables, family, reach, at: None }
    }

    fn table(&self) -> &Table {
        &self.tables.0[self.family as usize]
    }

    pub(super) fn item(&self) -> Option<(&[u8], &[u8])> {
        self.at.as_ref().map(|(row, value)| (&**row, &**value))
    }

    fn settle(&mut self, found: Option<(Bytes, Bytes)>) {
        self.at = found.filter(|(row, _)| match &self.reach {
            Reach::Range(from, to) => **row >= **from && **row < **to,
            Reach::All => true,
        });
    }

    pub(super) fn seek(&mut self, row: &[u8]) {
        let from = match &self.reach {
            Reach::Range(from, _) => row.max(from),
            Reach::All => row,
        };
        let found = self.table().range::<[u8], _>((Included(from), Unbounded)).next();
        let found = found.map(|(row, value)| (row.clone(), value.clone()));
        self.settle(found);
    }

    pub(super) fn seek_first(&mut self) {
        self.seek(&[]);
    }

    pub(super) fn seek_last(&mut self) {
        let found = match &self.reach {
            Reach::Range(_, to) => self.table().range::<[u8], _>((Unbounded, Excluded(&**to))).next_back(),
            Reach::All => self.table().last_key_value(),
        };
        let found = found.map(|(row, value)| (row.clone(), value.clone()));
        self.settle(found);
    }

    pub(super) fn next(&mut self) {
        let Some((row, _)) = &self.at else { return };
        let found = self.table().range::<[u8], _>((Excluded(&**row), Unbounded)).next();
        let found = found.map(|(row, value)| (row.clone(), value.clone()));
        self.settle(found);
    }

    pub(super) fn prev(&mut self) {
        let Some((row, _)) = &self.at else { return };
        let found = self.table().range::<[u8], _>((Unbounded, Excluded(&**row))).next_back();
        let found = found.map(|(row, value)| (row.clone(), value.clone()));
        self.settle(found);
    }
}
