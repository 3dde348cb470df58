//! The store against a plain model of it: random lives, exact bytes.
//!
//! `TIDELOG_CASES` says how many (2,000 by default), `TIDELOG_SEED` where they begin. A failure prints the seed of its
//! case and everything it did; `TIDELOG_SEED=<that> TIDELOG_CASES=1` plays it again.

mod case;
mod checks;
mod client;
mod consume;
mod coverage;
mod r#gen;
mod oracle;
mod plan;
mod store;
mod upkeep;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use case::{Case, Story};
use coverage::{Coverage, Seen};

const THREADS: usize = 2;
/// No case takes a hundredth of this; one that does hangs.
const STUCK: Duration = Duration::from_secs(120);

/// A case under way.
struct Current {
    seed: u64,
    since: Instant,
    story: Story,
}

type Slot = Arc<Mutex<Option<Current>>>;

#[test]
fn any_life_of_a_store_equals_the_model() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (seed, cases) = (number("TIDELOG_SEED", 1), number("TIDELOG_CASES", 2_000));
    let (next, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let slots: Vec<Slot> = (0..THREADS).map(|_| Slot::default()).collect();
    let (sender, receiver) = channel();
    for slot in &slots {
        let (next, stop, slot, sender) = (next.clone(), stop.clone(), slot.clone(), sender.clone());
        let name = "model".to_owned();
        let work = move || work(seed, cases, &next, &stop, &slot, &sender);
        std::thread::Builder::new().name(name).spawn(work).expect("a thread");
    }
    drop(sender);
    let mut coverage = Coverage::default();
    let failed = loop {
        match receiver.recv_timeout(Duration::from_secs(5)) {
            Ok(Ok(seen)) => coverage.add(seen),
            Ok(Err(seed)) => break Some(seed),
            Err(RecvTimeoutError::Timeout) => slots.iter().for_each(check_stuck),
            Err(RecvTimeoutError::Disconnected) => break None,
        }
    };
    stop.store(true, Ordering::SeqCst);
    assert_eq!(failed, None, "the case of this seed went wrong: TIDELOG_SEED=<it> TIDELOG_CASES=1 plays it again");
    let unseen = coverage.report();
    assert!(cases < 200 || unseen.is_empty(), "never seen: {unseen:?}");
}

fn work(seed: u64, cases: u64, next: &AtomicU64, stop: &AtomicBool, slot: &Slot, sender: &Sender<Result<Seen, u64>>) {
    loop {
        let at = next.fetch_add(1, Ordering::SeqCst);
        if at >= cases || stop.load(Ordering::SeqCst) {
            return;
        }
        let (seed, story) = (seed.wrapping_add(at), Story::default());
        *slot.lock().expect("a slot") = Some(Current { seed, since: Instant::now(), story: story.clone() });
        let played = catch_unwind(AssertUnwindSafe(|| Case::new(seed, story.clone()).run()));
        *slot.lock().expect("a slot") = None;
        let result = played.map_err(|_| {
            tell(seed, &story, "went wrong");
            seed
        });
        let wrong = result.is_err();
        if sender.send(result).is_err() || wrong {
            return;
        }
    }
}

fn tell(seed: u64, story: &Story, what: &str) {
    let story = story.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    eprintln!("the case of seed {seed} {what} after:");
    for (at, step) in story.iter().enumerate() {
        eprintln!("{at:>4}  {step}");
    }
}

/// A case that hangs cannot be ended from outside: what it did is told, and the run is over.
fn check_stuck(slot: &Slot) {
    let slot = slot.lock().expect("a slot");
    if let Some(current) = slot.as_ref().filter(|current| current.since.elapsed() > STUCK) {
        tell(current.seed, &current.story, "hangs");
        std::process::abort();
    }
}
