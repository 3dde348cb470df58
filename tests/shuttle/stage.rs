//! An engine's core on a disk of its own, and what may be asked of it at any moment of any schedule.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::scheduler::RandomScheduler;
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, FailurePersistence, Runner};

use crate::disk::{Disk, Fault, PLANNED};
use crate::engine::core::Core;
use crate::engine::open::open;
use crate::engine::pin::Pin;
use crate::engine::request::{Request, Work};
use crate::engine::{check, maintain};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::support::Suite;
use crate::types::{Batch, Commit, Durability, Expect};
use crate::vfs::LockGuard;

/// Schedules per seed.
const SCHEDULES: usize = 32;
const STACK_BYTES: usize = 256 << 10;
/// Changes that make a commit large.
const LARGE: usize = 40;

/// Runs `schedule`, which returns how many faults fired, under schedules chosen by these seeds.
pub fn explore(seeds: std::ops::Range<u64>, suite: &mut Suite, schedule: fn() -> u64) {
    quiet_planned_panics();
    let fired = Arc::new(AtomicU64::new(0));
    for seed in seeds {
        let mut config = Config::new();
        config.stack_size = STACK_BYTES;
        config.failure_persistence = FailurePersistence::None;
        let scheduler = RandomScheduler::new_from_seed(seed, SCHEDULES);
        let count = fired.clone();
        let run = move || {
            count.fetch_add(schedule(), Ordering::SeqCst);
        };
        match catch_unwind(AssertUnwindSafe(|| Runner::new(scheduler, config).run(run))) {
            Ok(schedules) => suite.ran(schedules as u64),
            Err(panic) => {
                eprintln!("under the schedules of seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    suite.fired(fired.load(Ordering::SeqCst));
}

/// Panics that belong to a schedule are no news.
fn quiet_planned_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<String>().is_none_or(|what| what != PLANNED) {
                before(info);
            }
        }));
    });
}

pub struct Stage {
    pub core: Arc<Core>,
    pub disk: Disk,
    threads: Vec<JoinHandle<()>>,
    _lock: LockGuard,
}

impl Stage {
    /// A new store, with the engine's own threads if they take part.
    pub fn new(options: Options, seals: bool) -> Stage {
        let disk = Disk::new();
        let options = options.segment_bytes(64 << 10).memory(16 << 20).background_compaction(false);
        let (core, lock) = open(Path::new("/store"), options.vfs(Arc::new(disk.clone()))).expect("a new store opens");
        let core = Arc::new(core);
        let mut threads = Vec::new();
        let commits = core.clone();
        threads.push(thread::spawn(move || commits.commits.run_background(&commits)));
        if seals {
            let core = core.clone();
            threads.push(thread::spawn(move || maintain::run(&core)));
        }
        Stage { core, disk, threads, _lock: lock }
    }

    pub fn writer(&self) -> Writer {
        Writer { core: self.core.clone(), disk: self.disk.clone() }
    }

    /// Closes as the engine does; how many faults fired.
    pub fn close(self) -> u64 {
        let core = &self.core;
        core.commits.close(core);
        core.jobs.stop();
        core.commits.room.notify_all();
        for thread in self.threads {
            thread.join().expect("the engine's threads end");
        }
        assert_eq!(core.commits.queued(), 0, "a commit was left in the queue");
        let next_key = core.commits.writer.lock().next_key;
        let closed = core.commits.writer.lock().log.close(next_key);
        assert!(closed.is_ok() || self.disk.fired() > 0, "{closed:?} though nothing had failed");
        self.disk.fired()
    }
}

/// What `work` returns, or none if it ended in a planned panic. Any other panic goes on.
pub fn planned<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => Some(value),
        Err(panic) if panic.downcast_ref::<String>().is_some_and(|what| what == PLANNED) => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Someone who commits, and checks each answer at the moment it comes.
pub struct Writer {
    pub core: Arc<Core>,
    disk: Disk,
}

impl Writer {
    /// Creates an entity that others may create at the same time; only one may.
    pub fn create(&self, entity: &str, by: usize, durability: Durability) -> Result<Commit> {
        let outcome = self.append(&batch(entity, by, true), durability);
        self.check(entity, by, durability, &outcome);
        outcome
    }

    pub fn put(&self, entity: &str, by: usize, durability: Durability) -> Result<Commit> {
        let outcome = self.append(&batch(entity, by, false), durability);
        self.check(entity, by, durability, &outcome);
        outcome
    }

    /// Puts without waiting; [`Writer::settle`] waits.
    pub fn submit(&self, entity: &str, by: usize) -> Result<Arc<Request>> {
        let batch = batch(entity, by, false);
        let bytes = check::batch(&self.core.options, &batch)?;
        self.core.commits.submit(&self.core, Work::Batch(batch), Durability::Synced, bytes)
    }

    pub fn settle(&self, request: &Arc<Request>, entity: &str, by: usize) -> Result<Commit> {
        let outcome = self.core.commits.wait(&self.core, request);
        self.check(entity, by, Durability::Synced, &outcome);
        outcome
    }

    fn append(&self, batch: &Batch, durability: Durability) -> Result<Commit> {
        let bytes = check::batch(&self.core.options, batch)?;
        self.core.commits.append(&self.core, Work::Batch(batch.clone()), durability, bytes)
    }

    /// Whether this answer may be given at this moment.
    pub fn check(&self, entity: &str, by: usize, durability: Durability, outcome: &Result<Commit>) {
        match outcome {
            Ok(commit) if durability == Durability::Synced => {
                let durable = self.disk.holds_durably(payload(entity, by).as_bytes());
                assert!(durable, "acknowledged and not durable: {entity} by {by}");
                assert!(commit.last.get() <= self.core.visible(), "acknowledged and not visible");
                let tails = self.core.tails.pin();
                let in_tail = tails.oldest_first().any(|tail| tail.read().last_key >= commit.last.get());
                assert!(in_tail || tails.base() > commit.last.get(), "acknowledged and in no tail");
            }
            Ok(_) => {}
            Err(Error::Conflict { current: Some(current), .. }) => {
                let durable = self.disk.holds_durably(format!("<{entity} by ").as_bytes());
                assert!(durable, "a conflict with something that is not durable");
                assert!(*current <= self.core.visible(), "a conflict with something that cannot be read");
            }
            Err(
                Error::Poisoned { .. }
                | Error::OutcomeUnknown { .. }
                | Error::Closed
                | Error::NoSpace { .. }
                | Error::Busy { .. },
            ) => {}
            Err(error) => panic!("an answer that nothing explains: {error:?}"),
        }
    }

    /// Whatever readers may see is durable.
    pub fn read(&self) {
        let store = self.core.store();
        let pin = Pin::new(&self.core, &store);
        for tail in pin.tails.oldest_first() {
            let seen: Vec<Vec<u8>> = {
                let inner = tail.read();
                let entries = inner.datasets.values().flat_map(|part| part.entries().iter().map(move |e| (part, e)));
                let visible = entries.filter(|(_, entry)| entry.key <= pin.visible);
                visible.map(|(part, entry)| part.payload(entry).to_vec()).collect()
            };
            for payload in seen {
                assert!(self.disk.holds_durably(&payload), "visible and not durable");
            }
        }
    }
}

/// A put or a create; some are large, so that they come late into the tail, and some of those look at nothing.
fn batch(entity: &str, by: usize, only_once: bool) -> Batch {
    let mut batch = Batch::new();
    match by {
        1 if !only_once => batch.update("d", entity.to_owned(), payload(entity, by)),
        _ => batch.put("d", entity.to_owned(), payload(entity, by)),
    };
    if only_once {
        batch.expect(Expect::Absent);
    }
    if by > 0 {
        (0..LARGE).for_each(|n| _ = batch.update("d", format!("filler-{n}"), payload(entity, by)));
    }
    batch
}

fn payload(entity: &str, by: usize) -> String {
    format!("<{entity} by {by}>")
}
