//! Goals 20 to 22: a key means one thing for ever.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tidelog::testing::sim::{CrashAt, ManualClock, Random};
use tidelog::{Engine, Error, Limits, StaleReason};

use crate::sim::{DATASETS, Past, Run, Step, guarded, machine, one_put, options, over_seeds, random_steps};
use crate::support::Suite;

/// Crashes of one store, one after the other.
const LIVES: u64 = 6;

/// One store, crashed and used again and again; one log of what its readers saw.
fn lives(seed: u64) -> (u64, u64) {
    let (mut random, mut disk, mut past) = (Random::new(seed ^ 0x11fe), machine(), Past::default());
    let mut fired = 0;
    for life in 0..LIVES {
        let number = seed << 8 | life;
        let mut run = Run::on(number, disk, PathBuf::from("/machine/store"), past);
        let steps = random_steps(&mut random, 12);
        run.disk.crash_at(CrashAt { change: random.below(140), within: random.chance(50) });
        run.play(&steps);
        fired += u64::from(run.disk.is_crashed());
        let cut = run.disk.crash(number);
        guarded(
            || format!("seed {seed}, life {life}: {:#?}", run.story),
            &[&run.disk, &cut],
            || {
                let engine = Engine::open(&run.dir, options(&cut, number)).expect("a crash is repaired");
                run.past.check(&engine);
            },
        );
        // Closing was clean, or a crash itself.
        disk = if random.chance(50) { cut.crash(number) } else { cut.kill() };
        past = run.past;
        past.copies.clear();
    }
    assert!(past.seen.entries > 0, "seed {seed}: nobody read anything");
    (LIVES, fired)
}

/// A disk that says it synced, and did not, from some moment after opening on. What comes of it may be refused; what is
/// served is true, and no key that was seen is given again. (If it loses even that the store was opened, what is left is
/// the store as it was closed, and nothing tells it from that: the first commit says so, and is synced.) Time goes on
/// meanwhile: keys of time that a lying disk lost are not known from a clock that was set back besides.
fn lying(seed: u64) -> (u64, u64) {
    let (mut random, mut run) = (Random::new(seed ^ 0x11e5), Run::new(seed, machine()));
    run.open().expect("a new store");
    for step in random_steps(&mut random, 5).into_iter().chain([Step::Append]) {
        run.step(step);
    }
    run.disk.lie(true);
    for step in random_steps(&mut random, 10)
        .into_iter()
        .filter(|step| !matches!(step, Step::Backup | Step::Reopen))
        .chain([Step::Read])
    {
        run.step(step);
    }
    let fired = run.disk.fired();
    let cut = run.disk.crash(seed);
    let options = options(&cut, seed).clock(ManualClock::at(run.now_ms() + 1));
    guarded(
        || format!("seed {seed}: {:#?}", run.story),
        &[&run.disk, &cut],
        || match Engine::open(&run.dir, options) {
            Err(Error::Damaged { .. }) => {}
            Err(error) => panic!("{error:?}"),
            Ok(engine) => {
                let first = engine.append(one_put()).expect("a write").first.get();
                let greatest = run.past.seen.greatest().max(run.past.history.durable.last_key);
                assert!(first > greatest, "key {first} was given out before: up to {greatest}");
                run.past.saw_all(&engine);
            }
        },
    );
    (1, fired)
}

/// A backup is restored while the store it was taken of goes on.
fn restored(seed: u64) -> (u64, u64) {
    let (mut random, mut run) = (Random::new(seed ^ 0x4e57), Run::new(seed, machine()));
    run.open().expect("a new store");
    let steps = random_steps(&mut random, 8);
    let more = random_steps(&mut random, 8);
    steps
        .into_iter()
        .chain([Step::Append, Step::Backup, Step::Append, Step::Read])
        .chain(more)
        .for_each(|step| run.step(step));
    run.step(Step::Read);
    let copy = run.past.copies[0].clone();
    let (dest, options) = (Path::new("/machine/restored"), options(&run.disk, seed ^ 1));
    tidelog::restore(&copy.dir, dest, &options).expect("a restore");
    let engine = Engine::open(dest, options).expect("a restored store opens");
    let (shared, mut refused) = (copy.visible, 0);
    guarded(
        || format!("seed {seed}, shared up to {shared}: {:#?}", run.story),
        &[&run.disk],
        || {
            for client in run.past.clients.iter_mut().filter(|client| client.done) {
                let known = copy.model.datasets.get(&client.dataset);
                match (engine.changes(DATASETS[client.dataset], &client.cursor, Limits::default()), known) {
                    (Err(Error::DatasetNotFound { .. }), None) => {}
                    (Ok(page), Some(known)) => {
                        assert!(client.position <= shared, "a cursor at {} is served", client.position);
                        client.take(&page, known, &mut run.past.seen);
                    }
                    (Err(Error::Stale(stale)), Some(known)) => {
                        let is_other = client.position > shared && stale.reason == StaleReason::OtherLineage;
                        let is_recreated = client.life != known.life && stale.reason == StaleReason::Recreated;
                        let is_trimmed = stale.reason == StaleReason::Trimmed;
                        assert!(is_other || is_recreated || is_trimmed, "a cursor at {}: {stale}", client.position);
                        refused += u64::from(is_other);
                    }
                    (other, known) => panic!("{}: {other:?}", known.is_some()),
                }
            }
            let greatest = run.past.seen.greatest().max(run.past.history.now().last_key);
            let first = engine.append(one_put()).expect("a write").first.get();
            assert!(first > greatest, "key {first} was given out before: up to {greatest}");
        },
    );
    (1, refused)
}

pub fn run_lives(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, lives);
}

pub fn run_lying(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, lying);
}

pub fn run_restored(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, restored);
}

#[test]
fn a_key_means_one_thing_over_many_crashes() {
    let mut suite = Suite::begin("one store, many crashes", "20");
    run_lives(0..500, &mut suite);
    suite.finish();
}

#[test]
fn a_lying_disk_does_not_make_keys_come_back() {
    let mut suite = Suite::begin("lying syncs", "21");
    run_lying(0..1000, &mut suite);
    // Seconds of keys of time were lost; nothing was committed before the disk began to lie.
    run_lying(4_294_970_508..4_294_970_509, &mut suite);
    run_lying(4_294_971_251..4_294_971_252, &mut suite);
    suite.finish();
}

#[test]
fn a_restored_backup_serves_what_it_shares() {
    let mut suite = Suite::begin("restored backups", "22");
    run_restored(0..500, &mut suite);
    suite.finish();
}
