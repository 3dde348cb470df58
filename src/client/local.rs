use std::collections::BTreeMap;

use bytes::Bytes;

use super::error::LocalError;
use crate::{Cursor, Entry, Op};

/// Where a [`Replica`](super::Replica) keeps its copy: implement it over what the application stores things in.
///
/// The copy and its cursor belong together. Each method stores both or neither; a copy whose cursor is lost, or a cursor
/// whose changes are, is wrong from then on.
pub trait Local {
    /// The cursor stored with the copy; none if nothing is held yet.
    fn cursor(&self) -> Option<Cursor>;

    /// Applies these entries in their order (a create and an update alike put the entity, whether it is held or not), and
    /// stores the cursor.
    ///
    /// # Errors
    ///
    /// If it cannot be stored. The replica ends with [`Error::Local`](super::Error::Local) and may be asked again.
    fn apply(&mut self, entries: Vec<Entry>, cursor: Cursor) -> Result<(), LocalError>;

    /// Puts a complete new copy, the newest entry of each entity, in the place of the present one, and stores the cursor.
    ///
    /// # Errors
    ///
    /// As [`apply`](Local::apply).
    fn replace(&mut self, entries: BTreeMap<Bytes, Entry>, cursor: Cursor) -> Result<(), LocalError>;
}

/// A copy in memory. It can be cloned, stored and resumed by its parts: [`Memory::of`].
#[derive(Debug, Clone, Default)]
pub struct Memory {
    entries: BTreeMap<Bytes, Entry>,
    cursor: Option<Cursor>,
}

impl Memory {
    /// Nothing held yet.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// A copy that was kept elsewhere: its entities and the cursor they were stored with.
    pub fn of(entries: impl IntoIterator<Item = Entry>, cursor: Cursor) -> Memory {
        let entries = entries.into_iter().map(|entry| (entry.entity.clone(), entry)).collect();
        Memory { entries, cursor: Some(cursor) }
    }

    /// The newest entry of an entity.
    pub fn get(&self, entity: impl AsRef<[u8]>) -> Option<&Entry> {
        self.entries.get(entity.as_ref())
    }

    /// The entities and their newest entries, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.entries.iter()
    }

    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What a page does to a copy.
pub(super) fn apply(to: &mut BTreeMap<Bytes, Entry>, entries: Vec<Entry>) {
    for entry in entries {
        match entry.op {
            Op::Create | Op::Update => drop(to.insert(entry.entity.clone(), entry)),
            Op::Delete => drop(to.remove(&entry.entity)),
        }
    }
}

impl Local for Memory {
    fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    fn apply(&mut self, entries: Vec<Entry>, cursor: Cursor) -> Result<(), LocalError> {
        apply(&mut self.entries, entries);
        self.cursor = Some(cursor);
        Ok(())
    }

    fn replace(&mut self, entries: BTreeMap<Bytes, Entry>, cursor: Cursor) -> Result<(), LocalError> {
        self.entries = entries;
        self.cursor = Some(cursor);
        Ok(())
    }
}
