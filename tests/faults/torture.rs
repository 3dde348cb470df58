//! The long runs: `make torture GOAL=n MINUTES=m`.
//!
//! The next seed and the counts of each suite stand in `tests/faults/counts.tsv`, which is committed: a run goes on from
//! there, and adds to it after each round, so that it can be stopped at any time.
//!
//! This file is part of both programs that have suites, which run one after the other: a goal with suites in both takes
//! the time twice.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::SUITES;
use crate::support::Suite;

/// Seeds below are those of every run of the tests.
const FIRST_SEED: u64 = 1 << 32;
/// How long one round should take, about.
const ROUND: Duration = Duration::from_secs(10);

#[derive(Clone, Default)]
struct Count {
    goal: u32,
    name: String,
    next_seed: u64,
    tries: u64,
    faults: u64,
    seconds: u64,
}

impl Count {
    fn is(&self, goal: u32, name: &str) -> bool {
        self.goal == goal && self.name == name
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/faults/counts.tsv")
}

fn read() -> Vec<Count> {
    let Ok(text) = std::fs::read_to_string(path()) else { return Vec::new() };
    let rows = text.lines().skip(1).filter(|line| !line.is_empty()).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [goal, name, next_seed, tries, faults, seconds] = columns[..] else { panic!("counts.tsv: {line}") };
        let number = |column: &str| column.parse::<u64>().expect("a number");
        Count {
            goal: number(goal) as u32,
            name: name.to_owned(),
            next_seed: number(next_seed),
            tries: number(tries),
            faults: number(faults),
            seconds: number(seconds),
        }
    });
    rows.collect()
}

fn write(counts: &[Count]) {
    let mut text = "goal\tsuite\tnext seed\ttries\tfaults\tseconds\n".to_owned();
    for Count { goal, name, next_seed, tries, faults, seconds } in counts {
        writeln!(text, "{goal}\t{name}\t{next_seed}\t{tries}\t{faults}\t{seconds}").expect("a string takes it");
    }
    let beside = path().with_extension("new");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path())).expect("counts.tsv is written");
}

#[test]
#[ignore = "a long run: make torture GOAL=n MINUTES=m"]
fn torture() {
    run();
}

/// Runs the suites of the goal that is asked for, as long as is asked for.
pub fn run() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let goal = number("GOAL").expect("GOAL names a goal by its number") as u32;
    let minutes = number("MINUTES").expect("MINUTES says for how long");
    let suites: Vec<_> = SUITES.iter().filter(|suite| suite.0 == goal).collect();
    if suites.is_empty() {
        let known: std::collections::BTreeSet<u32> = SUITES.iter().map(|suite| suite.0).collect();
        assert!(crate::runs_elsewhere(goal), "goal {goal} has no long run; these have: {known:?}");
        return println!("torture: goal {goal}: nothing in this program");
    }
    let until = Instant::now() + Duration::from_secs(minutes * 60);
    let mut steps = vec![1_u64; suites.len()];
    while Instant::now() < until {
        for ((_, name, run), step) in suites.iter().zip(&mut steps) {
            let from =
                read().into_iter().find(|count| count.is(goal, name)).map_or(FIRST_SEED, |count| count.next_seed);
            let began = Instant::now();
            let mut suite = Suite::begin(name, "torture");
            run(from..from + *step, &mut suite);
            let took = began.elapsed();
            // Read again: another goal may have its long run at the same time.
            let mut counts = read();
            let at = counts.iter().position(|count| count.is(goal, name)).unwrap_or_else(|| {
                counts.push(Count { goal, name: (*name).to_owned(), ..Count::default() });
                counts.len() - 1
            });
            let count = &mut counts[at];
            count.next_seed = from + *step;
            count.tries += suite.tries();
            count.faults += suite.faults();
            count.seconds += took.as_secs().max(1);
            println!(
                "torture: goal {goal} {name}: seeds {from}..{}, {} tries, {} faults in {:.1} s; {} tries in all, {} s left",
                from + *step,
                suite.tries(),
                suite.faults(),
                took.as_secs_f64(),
                count.tries,
                until.saturating_duration_since(Instant::now()).as_secs()
            );
            counts.sort_by(|a, b| (a.goal, &a.name).cmp(&(b.goal, &b.name)));
            write(&counts);
            let ratio = (ROUND.as_secs_f64() / took.as_secs_f64().max(0.001)).clamp(0.5, 4.0);
            *step = ((*step as f64 * ratio) as u64).max(1);
        }
    }
}
