//! Group commit.
//!
//! Whoever finds the queue without a leader leads: it gives keys to all that wait, puts them into the tail, writes them
//! with one write, hands the lead on, and then sees to the sync, unless one is running. While one runs, the next leader
//! waits for its end if little is to be written, so that more is written and synced at once; much is written meanwhile.
//! Who has written leaves the sync to the next leader then, which whoever syncs calls at the end if there is none. What
//! is large goes into the tail while it is synced (`late`).
//! `visible` moves once per sync, and only then is anyone answered, also with a refusal that depends on what was just
//! synced.

mod background;
mod late;
mod lead;
mod sync;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::core::{Core, NoRoom};
use super::prepare::{Outcome, prepare};
use super::request::{Owed, Request, Wakes, Woken, Work};
use super::tails::MAX_FROZEN;
use crate::error::{Error, Result};
use crate::limits::MAX_KEY;
use crate::log::{AppendError, Log, NewFrame};
use crate::options::SyncKeys;
use crate::planted::{Bug, planted};
use crate::types::{Commit, Durability, SyncKey};
use background::Background;
use late::{Insertion, LATE_RECORDS, Late};
use sync::{Waiting, Written, fail};

/// Keys leased at once from the ledger, by counter.
const COUNTER_LEASE: u64 = 1 << 24;
/// Keys leased at once, by timestamp: one minute.
const TIMESTAMP_LEASE: u64 = 60_000 << 20;

/// The write side of the log, under one lock.
pub struct Writer {
    pub log: Log,
    pub next_key: u64,
    pub last_time_ms: u64,
    /// What the ledger is known to have leased: it is held over a sync now and then, and no commit is to wait for that.
    leased: u64,
}

/// Everything commits go through.
pub struct Commits {
    /// Lock order: the writer, what is late for the tail or the queue, what is written.
    queue: Mutex<Queue>,
    /// Signalled when a sync ended, well or not, when no one leads any more, and when much is to be written.
    changed: Condvar,
    pub writer: Mutex<Writer>,
    /// Signalled when a tail was sealed, or sealing failed, or the engine stops.
    pub room: Condvar,
    late: Late,
    written: Mutex<Written>,
    background: Mutex<Background>,
    wake_background: Condvar,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Arc<Request>>,
    bytes: usize,
    /// Whether a thread leads, or was called to.
    leading: bool,
    /// Whether a thread syncs.
    syncing: bool,
    /// Whether someone waits for a sync that has not begun.
    unsynced: bool,
    closed: bool,
}

impl Commits {
    pub fn new(log: Log, next_key: u64, last_key: u64, last_time_ms: u64) -> Commits {
        let (point, end) = (log.sync_point(), log.end());
        Commits {
            queue: Mutex::default(),
            changed: Condvar::new(),
            writer: Mutex::new(Writer { log, next_key, last_time_ms, leased: 0 }),
            room: Condvar::new(),
            late: Late::default(),
            written: Mutex::new(Written::new(point, end, last_key)),
            background: Mutex::default(),
            wake_background: Condvar::new(),
        }
    }

    /// How many commits wait to be written.
    pub fn queued(&self) -> u64 {
        self.queue.lock().requests.len() as u64
    }

    /// Commits and waits.
    pub fn append(&self, core: &Core, work: Work, durability: Durability, bytes: usize) -> Result<Commit> {
        let request = self.enqueue(core, work, durability, bytes)?;
        self.wait(core, &request)
    }

    /// Puts a commit into the queue; someone else leads.
    pub fn submit(&self, core: &Core, work: Work, durability: Durability, bytes: usize) -> Result<Arc<Request>> {
        let request = self.enqueue(core, work, durability, bytes)?;
        let mut queue = self.queue.lock();
        if !queue.leading && !queue.requests.is_empty() {
            queue.leading = true;
            drop(queue);
            self.lead_in_background();
        }
        Ok(request)
    }

    /// Waits for a commit, leading if it is this thread's turn.
    pub fn wait(&self, core: &Core, request: &Arc<Request>) -> Result<Commit> {
        let mut queue = self.queue.lock();
        let mut lead = !queue.leading && !queue.requests.is_empty();
        queue.leading |= lead;
        drop(queue);
        loop {
            if lead {
                self.lead(core);
            }
            match request.park() {
                Woken::Outcome(outcome) => return outcome,
                Woken::Lead => lead = true,
            }
        }
    }

    fn enqueue(&self, core: &Core, work: Work, durability: Durability, bytes: usize) -> Result<Arc<Request>> {
        if let Some(cause) = core.poison.get() {
            return Err(Error::Poisoned { cause: cause.clone() });
        }
        let prepared = prepare(core, &work)?;
        let request = Arc::new(Request::new(work, durability, bytes, Some(prepared)));
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Error::Closed);
        }
        let (max, max_bytes) = (core.options.max_queued, core.options.memory / 8);
        if queue.requests.len() >= max || (queue.bytes + bytes > max_bytes && !queue.requests.is_empty()) {
            let what = format!("{} commits of {} bytes wait to be written", queue.requests.len(), queue.bytes);
            return Err(Error::Busy { what });
        }
        let gathered = queue.is_gathered(core);
        queue.bytes += bytes;
        queue.requests.push_back(request.clone());
        if queue.is_gathered(core) && !gathered {
            self.changed.notify_all();
        }
        Ok(request)
    }

    /// Gives keys to a group, puts it into the tail and writes it. Tells whether something waits for a sync.
    fn write_group(&self, core: &Core, wakes: &mut Wakes) -> bool {
        let mut writer = self.writer.lock();
        self.late.insert(core);
        let Some(group) = self.take_group(core) else { return true };
        if group.is_empty() {
            return false;
        }
        let mut refused = Vec::new();
        let cost = group.iter().map(|request| request.bytes).sum();
        if let Err(no_room) = self.make_room(core, &mut writer, cost) {
            drop(writer);
            group.into_iter().for_each(|request| request.answer(Err(no_room.error()), wakes));
            return false;
        }
        let base = writer.next_key;
        let (mut admitted, mut late) = (Vec::new(), Vec::new());
        for request in group {
            match self.admit(core, &mut writer, &request, &mut late) {
                Ok(Some(admission)) => admitted.push(Admitted { request, admission }),
                Ok(None) if planted(Bug::ConflictBeforeSync) => request.answer(refusal(core, &request), wakes),
                Ok(None) => {
                    let (answer, upto) = (refusal(core, &request), writer.log.end());
                    refused.push(Waiting { request, answer, wrote: false, heads: Vec::new(), upto });
                }
                Err(error) => request.answer(Err(error), wakes),
            }
        }
        self.write(core, &mut writer, base, Group { admitted, late, refused }, wakes)
    }

    /// Waits until the tail can take another group: freezes it when it is full, unless too many wait for their seal.
    fn make_room(
        &self,
        core: &Core,
        writer: &mut MutexGuard<'_, Writer>,
        bytes: usize,
    ) -> std::result::Result<(), NoRoom> {
        let mut waited = None;
        loop {
            if let Some(cause) = core.poison.get() {
                return Err(NoRoom::Poisoned(cause.clone()));
            }
            let tails = core.tails.pin();
            if tails.active().has_room(bytes, core.options.tail_limit()) {
                break;
            }
            if tails.frozen().len() < MAX_FROZEN {
                core.freeze(writer);
                break;
            }
            if let Some(failure) = core.seal_failure() {
                return Err(failure);
            }
            waited.get_or_insert_with(Instant::now);
            self.room.wait_for(writer, Duration::from_millis(100));
        }
        if let Some(since) = waited {
            core.metrics.stalls.fetch_add(1, Ordering::Relaxed);
            core.metrics.stall_ms.fetch_add(since.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Gives keys to one request and puts it into the tail, or among those that come into it later; none if it is refused
    /// or was written before.
    fn admit(
        &self,
        core: &Core,
        writer: &mut Writer,
        request: &Request,
        late: &mut Vec<Insertion>,
    ) -> Result<Option<Admission>> {
        let mut slot = request.prepared.lock();
        if !slot.as_ref().is_some_and(|prepared| prepared.is_blind(core.deletions())) {
            late.drain(..).for_each(|insertion| insertion.insert(core));
            if !slot.as_ref().is_some_and(|prepared| prepared.holds(&core.tails.pin(), core.deletions())) {
                *slot = Some(prepare(core, &request.work)?);
            }
        }
        let Some(prepared) = slot.as_mut() else { return Ok(None) };
        if !matches!(prepared.outcome, Outcome::Write { .. }) {
            return Ok(None);
        }
        let outcome = std::mem::replace(&mut prepared.outcome, Outcome::Refuse(Error::Closed));
        let Outcome::Write { body, crc } = outcome else { return Ok(None) };
        let time_ms = core.clock.stamp(writer.last_time_ms);
        let count = body.records.len() as u64;
        let base = match core.sync_keys {
            SyncKeys::Counter => writer.next_key,
            SyncKeys::Timestamp => writer.next_key.max(SyncKey::from_time_ms(time_ms).get()),
        };
        let last = base + count - 1;
        if last >= MAX_KEY {
            return Err(Error::invalid("the store has given out its last sync-key"));
        }
        self.lease(core, writer, last)?;
        let heads = prepared.heads.drain(..).map(|(name, index)| (name, base + u64::from(index))).collect();
        let (bytes, created) = (body.bytes.clone(), prepared.created);
        late.push(Insertion { base, time_ms, body });
        if !matches!(request.work, Work::Batch(_)) || count < LATE_RECORDS {
            late.drain(..).for_each(|insertion| insertion.insert(core));
        }
        if let Work::DeleteDataset { dataset } = &request.work
            && !planted(Bug::DeletionNotCounted)
        {
            // Counted once it can be found: who reads the new count and then the tails finds no deleted name.
            core.count_deletion();
            core.names.remove(dataset);
        }
        (writer.next_key, writer.last_time_ms) = (last + 1, time_ms);
        let commit = Commit { first: SyncKey::new(base), last: SyncKey::new(last), time_ms, repeated: false, created };
        Ok(Some(Admission { commit, bytes, crc, count: count as u32, heads }))
    }

    /// Makes sure that no key is used that the ledger has not leased.
    fn lease(&self, core: &Core, writer: &mut Writer, last: u64) -> Result<()> {
        if last < writer.leased {
            return Ok(());
        }
        let mut ledger = core.ledger.lock();
        if last >= ledger.state().lease {
            let step = match core.sync_keys {
                SyncKeys::Counter => COUNTER_LEASE,
                SyncKeys::Timestamp => TIMESTAMP_LEASE,
            };
            ledger
                .update(|state| state.lease = last.saturating_add(step).min(MAX_KEY))
                .map_err(|error| core.poison_with(&error))?;
        }
        writer.leased = ledger.state().lease;
        Ok(())
    }

    fn write(&self, core: &Core, writer: &mut Writer, base: u64, group: Group, wakes: &mut Wakes) -> bool {
        let Group { admitted, late, refused } = group;
        if !admitted.is_empty() {
            writer.log.note_synced(self.written.lock().synced);
            let frames: Vec<NewFrame<'_>> = admitted.iter().map(Admitted::frame).collect();
            match writer.log.append(&frames) {
                Ok(end) => {
                    core.tails.pin().active().set_end(end);
                    self.add_late(late);
                }
                Err(AppendError::NoSpace(what)) => {
                    core.tails.pin().active().take_back(base);
                    if planted(Bug::FailedKeysReused) {
                        writer.next_key = base;
                    }
                    // What was prepared on it meanwhile is prepared again, and what was refused because of it is not.
                    core.count_deletion();
                    let lost = admitted.into_iter().map(|lost| lost.request);
                    for request in lost.chain(refused.into_iter().map(|refused| refused.request)) {
                        request.answer(Err(Error::NoSpace { what: what.clone() }), wakes);
                    }
                    return self.note_written(core, writer, Vec::new(), Vec::new(), wakes);
                }
                Err(AppendError::Failed(cause)) => {
                    core.poison(&cause);
                    for lost in admitted {
                        lost.request.answer(Err(Error::OutcomeUnknown { cause: cause.clone() }), wakes);
                    }
                    fail(core, refused, wakes);
                    return false;
                }
            }
        }
        self.note_written(core, writer, admitted, refused, wakes)
    }
}

/// What is to be written together.
struct Group {
    admitted: Vec<Admitted>,
    late: Vec<Insertion>,
    refused: Vec<Waiting>,
}

/// A request that has its keys and lies in the tail.
struct Admitted {
    request: Owed,
    admission: Admission,
}

/// What a request was given.
struct Admission {
    commit: Commit,
    bytes: Bytes,
    crc: u32,
    count: u32,
    heads: Vec<(Bytes, u64)>,
}

impl Admitted {
    fn frame(&self) -> NewFrame<'_> {
        let Admission { commit, bytes, crc, count, .. } = &self.admission;
        NewFrame { body: bytes, body_crc: *crc, count: *count, base: commit.first.get(), time_ms: commit.time_ms }
    }
}

/// The answer to a request that is not written.
fn refusal(core: &Core, request: &Request) -> Result<Commit> {
    let Some(prepared) = request.prepared.lock().take() else { return Err(Error::Closed) };
    match prepared.outcome {
        Outcome::Repeat(found) => Ok(Commit {
            first: SyncKey::new(found.first),
            last: SyncKey::new(found.last),
            time_ms: found.time_ms,
            repeated: true,
            created: 0,
        }),
        Outcome::Refuse(error) => {
            if matches!(error, Error::Conflict { .. }) {
                core.metrics.conflicts.fetch_add(1, Ordering::Relaxed);
            }
            Err(error)
        }
        Outcome::Write { .. } => Err(Error::Closed),
    }
}
