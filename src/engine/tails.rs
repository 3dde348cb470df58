//! The tails of the moment: one that takes commits, and those that wait for their seal.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::tail::Tail;
use crate::types::Retention;

/// Frozen tails that may wait for their seal before appends wait too.
pub const MAX_FROZEN: usize = 2;

/// What all tails together say of a dataset as of a bound, beside its entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct InTails {
    /// Whether it is deleted.
    pub deleted: bool,
    /// Its newest key.
    pub head: Option<u64>,
    /// What was set last as its retention: none inside for the default again.
    pub retention: Option<Option<Retention>>,
}

/// One moment's tails. Pinning the value pins them all.
pub struct Tails {
    /// Oldest first; the last one takes commits.
    tails: Vec<Arc<Tail>>,
    /// How many seals have ended: the index store changes with it.
    pub generation: u64,
}

impl Tails {
    /// The tail that takes commits.
    pub fn active(&self) -> &Arc<Tail> {
        &self.tails[self.tails.len() - 1]
    }

    /// The tails that wait for their seal, oldest first.
    pub fn frozen(&self) -> &[Arc<Tail>] {
        &self.tails[..self.tails.len() - 1]
    }

    /// All, oldest first.
    pub fn oldest_first(&self) -> impl DoubleEndedIterator<Item = &Arc<Tail>> {
        self.tails.iter()
    }

    /// What they say of a dataset as of `bound`, each asked once.
    pub fn of(&self, id: u64, bound: u64) -> InTails {
        let mut found = InTails::default();
        for tail in &self.tails {
            let inner = tail.read();
            let Some(part) = inner.datasets.get(&id) else { continue };
            found.deleted |= part.deleted.is_some_and(|deleted| deleted <= bound);
            found.head = part.head(bound).or(found.head);
            found.retention = part.retention.at(bound).map(|(_, set)| *set).or(found.retention);
        }
        found
    }

    /// Whether a dataset is deleted as of `bound`, and that is not sealed yet.
    pub fn has_deleted(&self, id: u64, bound: u64) -> bool {
        self.tails.iter().any(|tail| {
            tail.read().datasets.get(&id).and_then(|part| part.deleted).is_some_and(|deleted| deleted <= bound)
        })
    }

    /// The datasets that were deleted here.
    pub fn deleted(&self) -> HashSet<u64> {
        let mut deleted = HashSet::new();
        for tail in &self.tails {
            let inner = tail.read();
            deleted.extend(inner.datasets.iter().filter(|(_, part)| part.deleted.is_some()).map(|(id, _)| *id));
        }
        deleted
    }

    /// Whether something is not sealed yet that a dataset's compaction goes by: its retention, or a consumer's position.
    pub fn steers(&self, id: u64) -> bool {
        self.tails.iter().any(|tail| {
            let inner = tail.read();
            let retention = inner.datasets.get(&id).is_some_and(|part| !part.retention.is_empty());
            retention || inner.consumers.keys().any(|(of, _)| *of == id)
        })
    }

    /// Everything below this key is sealed.
    pub fn base(&self) -> u64 {
        self.tails[0].base()
    }
}

/// Where the present tails are published.
pub struct TailSet(RwLock<Arc<Tails>>);

impl TailSet {
    /// One tail that takes commits.
    pub fn new(active: Tail) -> TailSet {
        TailSet(RwLock::new(Arc::new(Tails { tails: vec![Arc::new(active)], generation: 0 })))
    }

    /// The tails as they are now.
    pub fn pin(&self) -> Arc<Tails> {
        self.0.read().clone()
    }

    /// Freezes the active tail: `next` takes the commits from now on.
    pub fn freeze(&self, next: Tail) {
        let mut set = self.0.write();
        let mut tails = set.tails.clone();
        tails.push(Arc::new(next));
        *set = Arc::new(Tails { tails, generation: set.generation });
    }

    /// Lets go of the oldest tail: the index store has it.
    pub fn sealed(&self) {
        let mut set = self.0.write();
        let tails = set.tails[1..].to_vec();
        *set = Arc::new(Tails { tails, generation: set.generation + 1 });
    }
}
