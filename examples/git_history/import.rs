//! Recording a history: one commit, one batch; one path, one entity.

use std::collections::{BTreeMap, VecDeque};

use tidelog::{Batch, Durability, Engine, Receipt};

use super::git::{Blob, Blobs, Event, Node, Repo, Result, Walk};

/// The dataset that the history goes into.
pub const DATASET: &str = "files";

/// Longest path that can be an entity, in bytes.
const MAX_PATH_BYTES: usize = 1024;
/// What an entry takes in a commit besides its path and payload, at most, in bytes.
const ENVELOPE_BYTES: usize = 128;
/// Most changes put into one batch.
const MAX_BATCH_CHANGES: usize = 100_000;
/// How much may wait for its sync at a time.
const MAX_IN_FLIGHT: usize = 64;
const MAX_IN_FLIGHT_BYTES: usize = 2 << 20;

/// The largest batch and blob that a store with this much memory takes, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub batch: usize,
    pub blob: usize,
}

impl Sizes {
    pub fn new(memory: usize, max_blob: usize) -> Sizes {
        // The engine takes a commit of up to memory / 24, its encoding included.
        let batch = memory / 24 - memory / 24 / 16;
        Sizes { batch, blob: max_blob.min(batch - MAX_PATH_BYTES - ENVELOPE_BYTES) }
    }
}

/// What was recorded.
#[derive(Debug, Default)]
pub struct Counts {
    pub commits: usize,
    pub batches: u64,
    pub entries: u64,
    pub bytes: u64,
    pub creates: u64,
    pub updates: u64,
    pub deletes: u64,
    /// Commits without any change to record.
    pub empty: u64,
    /// Paths at which a submodule stood at some time.
    pub submodules: BTreeMap<Vec<u8>, u64>,
    /// Commits that were too large for one batch, with the number of batches and bytes.
    pub split: Vec<(String, u64, u64)>,
    /// Every version of a file that was left out: commit, path, and why.
    pub left_out: Vec<(String, Vec<u8>, String)>,
}

/// An import under way.
pub struct Import<'a> {
    engine: &'a Engine,
    walk: Walk,
    blobs: Blobs,
    sizes: Sizes,
    /// The commit whose changes come next.
    next: Option<String>,
    batch: Batch,
    batch_bytes: usize,
    in_flight: VecDeque<(Receipt, usize)>,
    in_flight_bytes: usize,
    pub counts: Counts,
    /// Paths whose present version is not in the store.
    pub absent: BTreeMap<Vec<u8>, u64>,
}

impl<'a> Import<'a> {
    pub fn new(engine: &'a Engine, repo: &Repo, commits: &[String], sizes: Sizes) -> Result<Import<'a>> {
        let mut walk = repo.walk(commits)?;
        let next = match walk.step()? {
            Some(Event::Commit(commit)) => Some(commit),
            Some(Event::Change { .. }) => return Err("git diff-tree named a change before any commit".into()),
            None => None,
        };
        Ok(Import {
            engine,
            walk,
            blobs: repo.blobs()?,
            sizes,
            next,
            batch: Batch::new(),
            batch_bytes: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            counts: Counts::default(),
            absent: BTreeMap::new(),
        })
    }

    /// Goes on until `commits` commits are recorded and synced. `progress` is told how many are.
    pub fn until(&mut self, commits: usize, progress: &mut dyn FnMut(usize)) -> Result<()> {
        while self.counts.commits < commits {
            let Some(commit) = self.next.take() else {
                return Err(format!("git listed {commits} commits and showed {}", self.counts.commits).into());
            };
            self.record(&commit)?;
            self.counts.commits += 1;
            progress(self.counts.commits);
        }
        self.settle(0, 0)
    }

    /// Records one commit.
    fn record(&mut self, commit: &str) -> Result<()> {
        let (batches, entries, bytes) = (self.counts.batches, self.counts.entries, self.counts.bytes);
        loop {
            match self.walk.step()? {
                Some(Event::Change { path, added, after }) => self.change(commit, path, added, after)?,
                Some(Event::Commit(next)) => {
                    self.next = Some(next);
                    break;
                }
                None => break,
            }
        }
        self.flush()?;
        if self.counts.entries == entries {
            self.counts.empty += 1;
        }
        let batches = self.counts.batches - batches;
        if batches > 1 {
            self.counts.split.push((commit.into(), batches, self.counts.bytes - bytes));
        }
        Ok(())
    }

    /// Records what a commit did to one path.
    fn change(&mut self, commit: &str, path: Vec<u8>, added: bool, after: Option<Node>) -> Result<()> {
        let stored = !added && !self.absent.contains_key(&path);
        let payload = match after {
            None if stored => return self.delete(path),
            None => {
                self.absent.remove(&path);
                return Ok(());
            }
            Some(_) if path.len() > MAX_PATH_BYTES => {
                return self.leave_out(commit, path, stored, 0, format!("a path above {MAX_PATH_BYTES} bytes"));
            }
            Some(Node::Gitlink(id)) => {
                *self.counts.submodules.entry(path.clone()).or_default() += 1;
                id.into_bytes()
            }
            Some(Node::Blob(id)) => match self.blobs.read(&id, self.sizes.blob)? {
                Blob::Bytes(bytes) => bytes,
                Blob::TooLarge(size) => {
                    let limit = self.sizes.blob;
                    return self.leave_out(commit, path, stored, size, format!("{size} bytes, the limit is {limit}"));
                }
            },
        };
        self.make_room(path.len() + payload.len())?;
        self.absent.remove(&path);
        if stored {
            self.counts.updates += 1;
            self.batch.update(DATASET, path, payload);
        } else {
            self.counts.creates += 1;
            self.batch.create(DATASET, path, payload);
        }
        Ok(())
    }

    fn delete(&mut self, path: Vec<u8>) -> Result<()> {
        self.make_room(path.len())?;
        self.counts.deletes += 1;
        self.batch.delete(DATASET, path);
        Ok(())
    }

    /// Leaves a version out, by name. An older version of the path goes, so that no client takes it for the present one.
    fn leave_out(&mut self, commit: &str, path: Vec<u8>, stored: bool, size: u64, why: String) -> Result<()> {
        self.counts.left_out.push((commit.into(), path.clone(), why));
        self.absent.insert(path.clone(), size);
        if stored { self.delete(path) } else { Ok(()) }
    }

    /// Makes room in the batch for an entry with this many bytes, and counts it.
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        let full = self.batch_bytes + bytes + ENVELOPE_BYTES > self.sizes.batch;
        if full || self.batch.len() >= MAX_BATCH_CHANGES {
            self.flush()?;
        }
        self.batch_bytes += bytes + ENVELOPE_BYTES;
        self.counts.entries += 1;
        self.counts.bytes += bytes as u64;
        Ok(())
    }

    /// Hands the batch in. Many may be on their way to the disk at once; the engine keeps them in order.
    fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let (batch, bytes) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.batch_bytes));
        self.settle(MAX_IN_FLIGHT - 1, MAX_IN_FLIGHT_BYTES.saturating_sub(bytes))?;
        self.in_flight.push_back((self.engine.submit(batch, Durability::Synced)?, bytes));
        self.in_flight_bytes += bytes;
        self.counts.batches += 1;
        Ok(())
    }

    /// Waits until at most this many batches and bytes are not synced.
    fn settle(&mut self, batches: usize, bytes: usize) -> Result<()> {
        while self.in_flight.len() > batches || self.in_flight_bytes > bytes {
            let Some((receipt, bytes)) = self.in_flight.pop_front() else { break };
            receipt.wait()?;
            self.in_flight_bytes -= bytes;
        }
        Ok(())
    }
}
