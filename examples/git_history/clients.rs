//! Clients: each knows nothing but its cursor and what pages brought it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tidelog::{Cursor, Engine, EntryRef, Limits, Op};

use super::git::{Hash, ObjectId, Repo, Result};
use super::import::DATASET;

/// A client's copy of the dataset: of each file the id that git gives to the bytes received, and their number.
pub struct Client {
    hash: Hash,
    cursor: Cursor,
    files: HashMap<Box<[u8]>, ObjectId>,
    /// What the present read transferred.
    pub read: Transfer,
}

/// What one read transferred.
#[derive(Debug, Default, Clone, Copy)]
pub struct Transfer {
    pub pages: u64,
    pub entries: u64,
    /// Entities and payloads, in bytes.
    pub bytes: u64,
    pub elapsed: Duration,
    /// Entries that were not marked as new although the client had never seen the entity. There must be none.
    pub unannounced: u64,
}

/// How a client's files compare with a commit's tree.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Paths that are right.
    pub exact: u64,
    /// Paths that are not, the first few of each kind.
    pub missing: Vec<Vec<u8>>,
    pub wrong: Vec<Vec<u8>>,
    pub extra: Vec<Vec<u8>>,
}

impl Comparison {
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.wrong.is_empty() && self.extra.is_empty()
    }
}

impl Client {
    /// One that has never read anything.
    pub fn new(hash: Hash) -> Client {
        Client { hash, cursor: Cursor::START, files: HashMap::new(), read: Transfer::default() }
    }

    /// Forgets everything, as a client does whose cursor is stale.
    pub fn start_again(&mut self) {
        *self = Client::new(self.hash);
    }

    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Reads pages from the cursor on until there is no more.
    pub fn catch_up(&mut self, engine: &Engine, limits: Limits) -> tidelog::Result<()> {
        self.read = Transfer::default();
        let began = Instant::now();
        loop {
            let page = engine.changes(DATASET, &self.cursor, limits)?;
            self.read.pages += 1;
            for entry in &page.entries {
                self.apply(entry);
            }
            self.cursor = page.next;
            self.read.elapsed = began.elapsed();
            if !page.more {
                return Ok(());
            }
        }
    }

    fn apply(&mut self, entry: EntryRef<'_>) {
        self.read.entries += 1;
        self.read.bytes += (entry.entity.len() + entry.payload_len) as u64;
        match entry.op {
            Op::Delete => {
                self.files.remove(entry.entity);
            }
            // Whether the client knows the entity decides, not the op: the create may have been compacted away.
            Op::Create | Op::Update => {
                let id = self.hash.blob_id(entry.payload.unwrap_or_default());
                let known = self.files.insert(entry.entity.into(), id).is_some();
                self.read.unannounced += u64::from(!known && !entry.new);
            }
        }
    }

    /// Compares what the client has, byte by byte through git's own ids, with HEAD's tree. Paths that `absent` names
    /// are not in the store and must not be with the client.
    pub fn compare(mut self, repo: &Repo, absent: impl Fn(&[u8]) -> bool) -> Result<Comparison> {
        const SHOWN: usize = 5;
        let mut result = Comparison::default();
        repo.tree(|path, id| {
            if absent(path) {
                return;
            }
            match self.files.remove(path) {
                Some(have) if have == id => result.exact += 1,
                Some(_) if result.wrong.len() < SHOWN => result.wrong.push(path.into()),
                None if result.missing.len() < SHOWN => result.missing.push(path.into()),
                _ => {}
            }
        })?;
        result.extra.extend(self.files.into_keys().take(SHOWN).map(Vec::from));
        Ok(result)
    }
}
