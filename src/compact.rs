//! Retention: floors move up, and what lies below them goes.
//!
//! One dataset at a time, in steps of bounded size. Each step is one atomic batch that moves the floors exactly to what
//! it drops (F to the newest entry whose predecessor went, `floor` to the newest tombstone that went), so no reader ever
//! finds something gone above a floor. An entity's last version takes its index row along at once. A dropped entry leaves
//! its chunk when a quarter of that is dead; until then readers pass over it by its mark and the floors.

mod history;
mod merge;
mod rewrite;
mod tombstones;
mod window;

use crate::error::Result;
use crate::planted::{Bug, planted};
use crate::seal::{MERGE_RUN, age_of, is_over};
use crate::store::{Changes, DatasetRecord, Pool, Store};
use crate::types::{CompactionReport, Keep, Retention};
use rewrite::Dead;

/// Chunk bytes that one step reads, about.
const STEP_READ_BYTES: u64 = 4 << 20;
/// Bytes of changes beyond which no further dataset joins a batch.
const BATCH_BYTES: usize = 1 << 20;
/// Entries that one step drops, at most.
const STEP_DROPS: usize = 20_000;

/// What compaction goes by.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The retention of datasets that have none of their own.
    pub retention: Retention,
    /// The time that ages are measured against.
    pub now_ms: u64,
    /// Entries younger than this are kept for readers under way,
    pub grace_ms: u64,
    /// up to so many bytes of history.
    pub grace_bytes: u64,
    /// Bytes of history that consumers may hold back.
    pub consumer_bytes: u64,
    /// The size to which chunks are packed.
    pub chunk_bytes: usize,
}

/// How one dataset's compaction ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// More is due: call again.
    pub more: bool,
    /// Bytes of history over the caps that were held back for readers or consumers.
    pub held_bytes: u64,
}

/// One step of a dataset's compaction.
struct Step<'a, 'p, 's> {
    store: &'s Store,
    pool: &'a Pool<'p>,
    policy: &'a Policy,
    retention: Retention,
    record: DatasetRecord,
    changes: &'a mut Changes<'s>,
    dead: Dead,
    /// No floor passes this key: consumers have not acknowledged what is above.
    lease: u64,
    /// Entries committed after this time stay for readers under way.
    grace_after_ms: u64,
    report: CompactionReport,
    read: u64,
    full: bool,
    held: bool,
}

/// Trims the first of these datasets by one step, and as many more of them as one batch takes, and says how each ended.
/// Nothing happens to a dataset that is gone. `takes_live` is called before entries are taken away that no commit replaced
/// or deleted.
///
/// # Errors
///
/// Those of the index store. Nothing of any step happened then.
pub fn steps(
    store: &Store,
    ids: &[u64],
    policy: &Policy,
    report: &mut CompactionReport,
    takes_live: &dyn Fn(),
) -> Result<Vec<Done>> {
    let snapshot = store.snapshot();
    let pool = Pool::new(&snapshot);
    let mut changes = store.changes(0);
    let (mut done, mut sum) = (Vec::with_capacity(ids.len()), CompactionReport::default());
    for id in ids {
        match step(store, &pool, &mut changes, *id, policy, &mut sum) {
            Ok(one) => done.push(one),
            // One that is damaged does not undo the others.
            Err(_) if !done.is_empty() => return steps(store, &ids[..done.len()], policy, report, takes_live),
            Err(error) => return Err(error),
        }
        if changes.len_bytes() >= BATCH_BYTES || sum.bytes_read >= STEP_READ_BYTES {
            break;
        }
    }
    if sum.window_dropped > 0 {
        takes_live();
    }
    store.commit(changes)?;
    add(report, &sum);
    Ok(done)
}

fn step<'s>(
    store: &'s Store,
    pool: &Pool<'_>,
    changes: &mut Changes<'s>,
    id: u64,
    policy: &Policy,
    report: &mut CompactionReport,
) -> Result<Done> {
    changes.delete_work(id);
    let Some(record) = pool.snapshot().record(id)? else { return Ok(Done::default()) };
    let retention = record.retention.unwrap_or(policy.retention);
    let lease = lease(pool, &record)?;
    let grace_after_ms = match policy.grace_ms {
        0 => u64::MAX,
        grace_ms => policy.now_ms.saturating_sub(grace_ms),
    };
    let mut step = Step {
        store,
        pool,
        policy,
        retention,
        record,
        changes,
        dead: Dead::default(),
        lease,
        grace_after_ms,
        report: CompactionReport::default(),
        read: 0,
        full: false,
        held: false,
    };
    match retention.keep {
        Keep::Live => {
            step.history()?;
            step.tombstones()?;
        }
        Keep::Window => step.window()?,
    }
    step.rewrite()?;
    if step.record.small_run >= MERGE_RUN && !step.full {
        step.merge()?;
    }
    step.finish(report)
}

/// Whether a step would find anything to do for a dataset, by what its record says.
pub fn is_due(record: &DatasetRecord, policy: &Policy) -> bool {
    let retention = record.retention.unwrap_or(policy.retention);
    is_over(record, &retention, |_| 0) || record.small_run >= MERGE_RUN || age_of(record, &retention).is_some()
}

/// The lowest position that a consumer of the dataset still needs.
fn lease(pool: &Pool<'_>, record: &DatasetRecord) -> Result<u64> {
    let mut least = u64::MAX;
    for consumer in pool.consumers_of(record.id) {
        let needs = consumer?.record.needs();
        // One that lost its lease holds nothing back any more.
        if needs >= record.history_floor {
            least = least.min(needs);
        }
    }
    Ok(least)
}

fn history_bytes(record: &DatasetRecord, retention: &Retention) -> u64 {
    match retention.keep {
        Keep::Live => record.superseded_bytes,
        Keep::Window => record.bytes,
    }
}

fn cap_bytes(retention: &Retention) -> u64 {
    retention.history.bytes.unwrap_or(0)
}

impl Step<'_, '_, '_> {
    /// Whether an entry may not be touched, since a reader or a consumer may still need what it says.
    /// `held_bytes` is what would be kept for them, over the caps.
    fn is_held(&mut self, key: u64, time_ms: u64, held_bytes: u64) -> bool {
        let held_bytes = held_bytes.saturating_sub(cap_bytes(&self.retention));
        let for_consumer = key > self.lease && held_bytes <= self.policy.consumer_bytes;
        let for_reader = time_ms > self.grace_after_ms && held_bytes <= self.policy.grace_bytes;
        let held = for_consumer || for_reader;
        self.held |= held;
        held
    }

    /// Whether the step has done its share.
    fn is_full(&mut self) -> bool {
        self.full |= self.read >= STEP_READ_BYTES || self.dead.len() >= STEP_DROPS;
        self.full
    }

    /// Moves `floor` to an entry, and F with it, where they are lower.
    fn raise_floor(&mut self, key: u64, time_ms: u64) {
        if planted(Bug::FloorNotMoved) {
            return;
        }
        if key > self.record.floor {
            (self.record.floor, self.record.floor_time_ms) = (key, time_ms);
        }
        if key > self.record.history_floor {
            (self.record.history_floor, self.record.history_floor_time_ms) = (key, time_ms);
        }
    }

    /// Notes that an entry is dropped.
    fn drop_entry(&mut self, key: u64, bytes: u64) {
        self.dead.add(key, bytes);
        self.record.entries = self.record.entries.saturating_sub(1);
        self.record.bytes = self.record.bytes.saturating_sub(bytes);
    }

    /// Ends the step, and sets when the dataset is due again.
    fn finish(mut self, report: &mut CompactionReport) -> Result<Done> {
        let (id, more) = (self.record.id, self.full);
        if more {
            self.changes.put_work(id);
        }
        let due_ms = self.next_due()?;
        if due_ms != self.record.due_ms {
            if self.record.due_ms > 0 {
                self.changes.delete_due(self.record.due_ms, id);
            }
            if due_ms > 0 {
                self.changes.put_due(due_ms, id);
            }
            self.record.due_ms = due_ms;
        }
        if self.report.chunks_rewritten > 0 {
            self.record.epoch += 1;
        }
        self.changes.put_record(&self.record)?;
        let held_bytes = if self.held { history_bytes(&self.record, &self.retention) } else { 0 };
        self.report.bytes_read += self.read;
        add(report, &self.report);
        Ok(Done { more, held_bytes })
    }

    /// When retention by age has something to do next; 0 for never.
    fn next_due(&self) -> Result<u64> {
        let now = self.policy.now_ms;
        // What is held back now is looked at again after a while.
        let again = if self.held { now.saturating_add((self.policy.grace_ms / 4).max(1000)) } else { u64::MAX };
        if age_of(&self.record, &self.retention).is_none() {
            return Ok(if self.held { again } else { 0 });
        }
        let id = self.record.id;
        let (mut due, mut history_found, mut tombstone_found) = (again, false, false);
        let history_age = self.retention.history.age_ms;
        let tombstone_age = self.retention.tombstones.age_ms.filter(|_| self.retention.keep == Keep::Live);
        let is_window = self.retention.keep == Keep::Window;
        let from = if is_window { self.record.window_floor } else { self.record.floor };
        for meta in self.pool.metas(id, from.saturating_add(1)) {
            let meta = meta?;
            let has_history = is_window || (meta.superseding > 0 && meta.last > self.record.history_floor);
            if let Some(age) = history_age.filter(|_| !history_found && has_history) {
                due = due.min(meta.first_time_ms.saturating_add(age));
                history_found = true;
            }
            if let Some(age) = tombstone_age.filter(|_| !tombstone_found && meta.deletes > 0) {
                due = due.min(meta.first_time_ms.saturating_add(age));
                tombstone_found = true;
            }
            if (history_found || history_age.is_none()) && (tombstone_found || tombstone_age.is_none()) {
                break;
            }
        }
        // A chunk's first entry may not be the one that is due: do not come back for it at once, again and again.
        let soonest = now.saturating_add(60_000);
        Ok(if due == u64::MAX { 0 } else { due.max(soonest.min(again)) })
    }
}

/// Adds what one step did to what was done before.
fn add(sum: &mut CompactionReport, step: &CompactionReport) {
    sum.superseded_dropped += step.superseded_dropped;
    sum.tombstones_dropped += step.tombstones_dropped;
    sum.window_dropped += step.window_dropped;
    sum.chunks_rewritten += step.chunks_rewritten;
    sum.bytes_read += step.bytes_read;
    sum.bytes_written += step.bytes_written;
}
