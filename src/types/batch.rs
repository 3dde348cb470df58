use bytes::Bytes;

use super::SyncKey;

/// When a commit is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// After its bytes are on disk: an acknowledged commit survives a crash and a power cut.
    #[default]
    Synced,
    /// At once. The commit becomes durable and visible together with its neighbours within
    /// [`Options::sync_interval`](crate::Options::sync_interval); a crash before that loses it whole.
    Buffered,
}

/// A condition on an entity's newest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// The entity does not exist: it has no entry, or its newest one is a delete.
    Absent,
    /// The entity exists.
    Present,
    /// The entity exists and its newest entry has this key.
    At(SyncKey),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeOp {
    Create,
    Update,
    Delete,
    /// Create or update, as the engine finds the entity.
    Put,
}

#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub dataset: Bytes,
    pub op: ChangeOp,
    pub entity: Bytes,
    pub payload: Bytes,
    pub expect: Option<Expect>,
}

/// Changes that are committed together: all of them or none, possibly over several datasets.
///
/// Changes take effect in the order in which they were added, also where they concern the same entity, and an
/// expectation sees the changes before it.
///
/// ```
/// use tidelog::{Batch, Expect};
///
/// let mut batch = Batch::new();
/// batch.create("inbox", "message-1", "Subject: hello");
/// batch.delete("inbox", "message-0").expect(Expect::Present);
/// assert_eq!(batch.len(), 2);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) origin: Option<Bytes>,
    pub(crate) idempotency_id: Option<Bytes>,
}

impl Batch {
    /// An empty batch. Committing it as it is, is an error.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Records that `entity` begins to exist. It is recorded as said; see [`Batch::expect`] for a checked create.
    pub fn create(
        &mut self,
        dataset: impl Into<Bytes>,
        entity: impl Into<Bytes>,
        payload: impl Into<Bytes>,
    ) -> &mut Batch {
        self.add(ChangeOp::Create, dataset.into(), entity.into(), payload.into())
    }

    /// Records a new payload of `entity`. It is recorded as said, also for an entity that does not exist.
    pub fn update(
        &mut self,
        dataset: impl Into<Bytes>,
        entity: impl Into<Bytes>,
        payload: impl Into<Bytes>,
    ) -> &mut Batch {
        self.add(ChangeOp::Update, dataset.into(), entity.into(), payload.into())
    }

    /// Records a create or an update of `entity`, whichever it is at the moment of the commit.
    pub fn put(
        &mut self,
        dataset: impl Into<Bytes>,
        entity: impl Into<Bytes>,
        payload: impl Into<Bytes>,
    ) -> &mut Batch {
        self.add(ChangeOp::Put, dataset.into(), entity.into(), payload.into())
    }

    /// Records that `entity` ceases to exist. It is recorded as said, also for an entity that does not exist.
    pub fn delete(&mut self, dataset: impl Into<Bytes>, entity: impl Into<Bytes>) -> &mut Batch {
        self.add(ChangeOp::Delete, dataset.into(), entity.into(), Bytes::new())
    }

    /// Makes the whole batch conditional on the entity of the change added last.
    ///
    /// # Panics
    ///
    /// If the batch is empty.
    pub fn expect(&mut self, expect: Expect) -> &mut Batch {
        let change = self.changes.last_mut().expect("`expect` follows a change");
        change.expect = Some(expect);
        self
    }

    /// Names the client or device that makes these changes (1 to 255 bytes); kept in each entry.
    pub fn origin(&mut self, origin: impl Into<Bytes>) -> &mut Batch {
        self.origin = Some(origin.into());
        self
    }

    /// Makes the commit safe to repeat: another batch with this id (1 to 255 bytes, scope: the store) and the same
    /// content is not written again within [`Options::idempotency_window`](crate::Options::idempotency_window), but
    /// answered with the first commit's keys.
    pub fn idempotency_id(&mut self, id: impl Into<Bytes>) -> &mut Batch {
        self.idempotency_id = Some(id.into());
        self
    }

    /// How many changes the batch holds.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether the batch holds no change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn add(&mut self, op: ChangeOp, dataset: Bytes, entity: Bytes, payload: Bytes) -> &mut Batch {
        self.changes.push(Change { dataset, op, entity, payload, expect: None });
        self
    }
}

/// What an acknowledged commit was given. Its changes have the keys `first..=last` in the order of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Commit {
    /// The key of the first change.
    pub first: SyncKey,
    /// The key of the last change.
    pub last: SyncKey,
    /// The time of the commit, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Whether an earlier commit with the same idempotency id was found, and these are its keys.
    pub repeated: bool,
    /// How many of the changes were recorded as creates. Of a repeat that is not remembered: 0.
    pub created: u32,
}
