//! What is tried. Which operation fails, and how, is chosen anew for each schedule.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use crate::disk::Fault;
use crate::engine::request::Request;
use crate::error::Error;
use crate::options::Options;
use crate::planted::{Bug, with};
use crate::stage::{Stage, Writer, explore, planned};
use crate::support::Suite;
use crate::types::Durability;

/// A sync fails with others waiting for it, or not at all: everyone is answered, and no one falsely. Some of them only
/// learn of a conflict, with a commit that this very sync was to make durable.
pub fn failing_syncs(seeds: Range<u64>, suite: &mut Suite) {
    explore(seeds, suite, || {
        let stage = Stage::new(Options::default(), false);
        stage.disk.plan(Fault::Sync(thread_rng().gen_range(0..6)));
        let writers: Vec<_> = (0..3).map(|by| spawn(stage.writer(), by, contend)).collect();
        stage.writer().read();
        writers.into_iter().for_each(|writer| writer.join().expect("a writer ends"));
        let after = stage.writer().put("after", 9, Durability::Synced);
        let failed = stage.disk.fired() > 0;
        assert_eq!(after.is_err(), failed, "{after:?}, and a sync failed: {failed}");
        if failed {
            let later = stage.writer().put("later", 9, Durability::Synced);
            assert!(matches!(later, Err(Error::Poisoned { .. })), "{later:?} after a failed sync");
        }
        stage.close()
    });
}

/// Whoever leads dies within a write or a sync: it is a panic for that thread alone, and all others are answered.
pub fn dying_leader(seeds: Range<u64>, suite: &mut Suite) {
    explore(seeds, suite, || {
        let stage = Stage::new(Options::default(), false);
        let at = thread_rng().gen_range(0..4);
        stage.disk.plan(if thread_rng().gen_bool(0.5) { Fault::PanicInWrite(at) } else { Fault::PanicInSync(at) });
        let dying = |writer: &Writer, by: usize| {
            planned(|| contend(writer, by));
        };
        let writers: Vec<_> = (0..3).map(|by| spawn(stage.writer(), by, dying)).collect();
        writers.into_iter().for_each(|writer| writer.join().expect("a writer ends"));
        let after = planned(|| stage.writer().put("after", 9, Durability::Synced));
        let fired = stage.disk.fired() > 0;
        assert_eq!(!matches!(after, Some(Ok(_))), fired, "{after:?}, and a thread died: {fired}");
        let _ = planned(|| stage.close());
        u64::from(fired)
    });
}

/// A close amid commits: each is seen through or refused, and nothing is left behind. The disk may fill up meanwhile.
pub fn closing(seeds: Range<u64>, suite: &mut Suite) {
    explore(seeds, suite, || {
        let stage = Stage::new(Options::default(), false);
        stage.disk.plan(Fault::Full(thread_rng().gen_range(0..4)));
        let writers: Vec<_> = (0..3).map(|by| spawn(stage.writer(), by, contend)).collect();
        let handed_in: Vec<_> = (0..2).map(|n| (stage.writer().submit("handed in", n), n)).collect();
        let waiting = spawn(stage.writer(), 0, move |writer, _| {
            for (request, n) in &handed_in {
                if let Ok(request) = request {
                    let _ = writer.settle(request, "handed in", *n);
                }
            }
        });
        let core = stage.core.clone();
        let fired = stage.close();
        let late = core.commits.queued();
        assert_eq!(late, 0, "a commit came in after the close");
        writers.into_iter().chain([waiting]).for_each(|writer| writer.join().expect("a writer ends"));
        fired
    });
}

/// Tails of one commit each, so that appends wait for seals and seals for syncs, of which one fails.
pub fn seals(seeds: Range<u64>, suite: &mut Suite) {
    explore(seeds, suite, || {
        let stage = Stage::new(Options::default().tail_bytes(1), true);
        stage.disk.plan(Fault::Sync(thread_rng().gen_range(0..12)));
        let writers: Vec<_> = (0..3).map(|by| spawn(stage.writer(), by, contend)).collect();
        writers.into_iter().for_each(|writer| writer.join().expect("a writer ends"));
        stage.close()
    });
}

/// Receipts that are asked for and not waited for, so that no thread of theirs can lead, amid threads that wait. All are
/// answered, whatever fails, and also if another thread poisons the store.
pub fn receipts(seeds: Range<u64>, suite: &mut Suite) {
    explore(seeds, suite, || {
        let seals = thread_rng().gen_bool(0.3);
        let options = if seals { Options::default().tail_bytes(1) } else { Options::default() };
        // Half a queue is written while a sync runs: of a short one that is two commits, not sixteen.
        let options = if thread_rng().gen_bool(0.7) { options.max_queued(4) } else { options };
        let stage = Stage::new(options, seals);
        let at = thread_rng().gen_range(0..6);
        let what = thread_rng().gen_range(0..7);
        stage.disk.plan(match what {
            0 => Fault::Sync(at),
            1 => Fault::Full(at),
            2 => Fault::PanicInWrite(at),
            3 => Fault::PanicInSync(at),
            _ => Fault::None,
        });
        let many = if thread_rng().gen_bool(0.3) { 20 } else { 3 };
        let waits = |writer: &Writer, by: usize| {
            planned(|| contend(writer, by));
        };
        let asks = move |writer: &Writer, by: usize| ask(writer, by, many);
        let mut writers: Vec<_> = (0..2).map(|by| spawn(stage.writer(), by, asks)).collect();
        writers.extend((0..thread_rng().gen_range(0..3)).map(|by| spawn(stage.writer(), by, waits)));
        if what == 6 {
            writers.push(spawn(stage.writer(), thread_rng().gen_range(0..200), poison));
        }
        writers.into_iter().for_each(|writer| writer.join().expect("a writer ends"));
        let fired = stage.disk.fired();
        let _ = planned(|| stage.close());
        fired
    });
}

/// Each bug of these is found by the schedules of failing syncs: not by every few of them, but by as many as each run of
/// the tests tries.
pub fn find_planted_bugs(seeds: Range<u64>, suite: &mut Suite) {
    let bugs = [
        Bug::AckBeforeSync,
        Bug::VisibleBeforeSync,
        Bug::VisibleBeforeInTail,
        Bug::ConflictBeforeSync,
        Bug::SyncFailureForgotten,
        Bug::SyncRetried,
    ];
    let seeds = seeds.start..seeds.end.max(seeds.start + crate::SEEDS);
    let loud = std::panic::take_hook();
    for bug in bugs {
        // What is wanted is no news.
        std::panic::set_hook(Box::new(|_| {}));
        let before = suite.tries();
        let run = || with(bug, || failing_syncs(seeds.clone(), suite));
        let found = catch_unwind(AssertUnwindSafe(run)).is_err();
        println!(
            "planted: {:24} {:56} {}",
            format!("{bug:?}"),
            "shuttle: schedules of failing syncs",
            if found { "caught" } else { "NOT CAUGHT" }
        );
        assert!(found, "{bug:?} is not found by {} schedules", suite.tries() - before);
        suite.ran(1);
        suite.fired(1);
    }
    std::panic::set_hook(loud);
}

fn spawn(writer: Writer, by: usize, work: impl FnOnce(&Writer, usize) + Send + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || work(&writer, by))
}

/// Hands in so many commits, then asks for each outcome again and again.
fn ask(writer: &Writer, by: usize, many: usize) {
    let mut receipts = Vec::new();
    for n in 0..many {
        let entity = format!("receipt-{n}");
        if let Ok(request) = writer.submit(&entity, by) {
            receipts.push((request, entity));
        }
        if thread_rng().gen_bool(0.3) {
            thread::yield_now();
        }
    }
    for (request, entity) in receipts {
        // Shuttle ends a schedule that goes on for ever.
        let outcome = loop {
            if let Poll::Ready(outcome) = request.poll(&mut Context::from_waker(Waker::noop())) {
                break outcome;
            }
            thread::yield_now();
        };
        writer.check(&entity, by, Durability::Synced, &outcome);
    }
}

/// Poisons the store after so many turns, as a thread does that panics.
fn poison(writer: &Writer, turns: usize) {
    (0..turns).for_each(|_| thread::yield_now());
    writer.core.poison("planned");
}

/// Entities of its own, synced and buffered, and one that all of them want to create.
fn contend(writer: &Writer, by: usize) {
    let _ = writer.put(&format!("own-{by}"), by, Durability::Synced);
    let _ = writer.create("shared", by, Durability::Synced);
    let _ = writer.put(&format!("later-{by}"), by, Durability::Buffered);
    writer.read();
    let _ = writer.create("again", by, Durability::Synced);
}
