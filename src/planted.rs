//! Bugs that can be planted, to see that the tests find them. Each is asked for by [`planted`] where it would be made.
//!
//! Without the feature `testing` the answer is the constant `false`, and nothing of this is compiled in. With it, a bug is
//! there only for the thread that called [`with`], and for the threads of the engines that were opened there: so tests
//! can run beside each other.

/// A bug. What it is called is what the engine does then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub enum Bug {
    /// A commit is answered when it is written.
    AckBeforeSync,
    /// `visible` moves when a group is written.
    VisibleBeforeSync,
    /// `visible` moves before a large commit is in the tail, where the next leader alone puts it.
    VisibleBeforeInTail,
    /// A conflict is answered before the sync of what it conflicts with.
    ConflictBeforeSync,
    /// A sync that failed is tried again.
    SyncRetried,
    /// A sync that failed stops nobody.
    SyncFailureForgotten,
    /// The keys of a commit for which there was no space go to the next one.
    FailedKeysReused,
    /// A new segment's directory is not synced.
    SegmentNameNotSynced,
    /// Segments are let go of before the index store is flushed.
    RecycledBeforeFlush,
    /// A seal begins without a note in the ledger.
    SealingNotNoted,
    /// The ledger says that a seal was applied before it is flushed.
    AppliedBeforeFlush,
    /// Every update of the ledger goes into the same slot.
    LedgerSameSlot,
    /// A slot of the ledger is written and not synced.
    LedgerNotSynced,
    /// After an unclean stop keys go on behind the last one found.
    LeaseIgnored,
    /// After an unclean stop keys go on at the lease.
    NoKeyJump,
    /// A frame's body is taken without its checksum.
    BodyUnchecked,
    /// A bad frame is the log's end, whatever was proven to be behind it.
    RotTakenForTorn,
    /// A torn tail is cut off and not kept aside.
    TornNotKept,
    /// What was recovered is served before it is durable.
    RecoveredNotSynced,
    /// A seal leaves idempotency ids out.
    IdempotencyNotSealed,
    /// A seal leaves marks of superseded entries out.
    MarksNotSealed,
    /// A life begins where the caller says `create`.
    BornByOp,
    /// What is remembered of a dataset stays when a seal changes it.
    RecentKept,
    /// What is remembered of a part of a dataset's chunks stays when a compaction changes them.
    StretchKept,
    /// A deleted dataset's id is still known by its name.
    DeletionNotCounted,
    /// A store that is open is opened again.
    LockIgnored,
    /// A watcher is registered after the heads were looked at.
    WatchRegisteredLate,
    /// A page reads on beyond its window's bound.
    BoundIgnored,
    /// A cursor is taken without its checksum.
    CursorUnchecked,
    /// A chunk is taken without its checksum.
    ChunkUnchecked,
    /// A cursor of any lineage is served.
    LineageIgnored,
    /// A restored store goes on with the lineage of the backup.
    RestoreKeepsLineage,
    /// The last acknowledgement counts, not the highest.
    AckGoesBack,
    /// A commit's time goes back with the clock.
    TimeGoesBack,
    /// A tombstone is dropped and the floor stays.
    FloorNotMoved,
    /// Superseded entries are dropped and the history floor stays.
    HistoryFloorNotMoved,
    /// Not what is superseded is dropped, but what superseded it.
    NewestDropped,
    /// A verification does not compare entities and marks with chunks.
    IndexNotVerified,
    /// A window may keep what lives again before what it dropped is flushed.
    WindowNotFlushed,
}

#[cfg(feature = "testing")]
mod switch;

#[cfg(feature = "testing")]
pub use switch::{Planted, planted, with};

/// What was planted where an engine is opened: nothing.
#[cfg(not(feature = "testing"))]
#[derive(Clone, Copy)]
pub struct Planted;

#[cfg(not(feature = "testing"))]
impl Planted {
    pub const fn here() -> Planted {
        Planted
    }

    pub const fn go_on(self) {}
}

/// Whether this bug is there: never.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub const fn planted(_: Bug) -> bool {
    false
}
