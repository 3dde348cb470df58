//! The long run, Tidelog alone: a log that grows, pages at every size, what was written for it, and opening it again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use ::tidelog::{Engine as Store, Limits, View};

use crate::engines::{Engine, MEMORY, tidelog};
use crate::measure::{Ctx, Curve, Goal, Row, Series, number, processor_times, quantile, remove, written_bytes};
use crate::workload::{DATASETS, ENTITIES, Generator, Hash, Names, PAYLOAD, positions};

/// Pages of which the latency at one size is made.
const PAGES: usize = 2_000;
/// At these sizes of the log pages are read, and at its end.
const READ_AT: [u64; 6] = [400_000, 1_000_000, 2_000_000, 4_000_000, 10_000_000, 20_000_000];

/// What the appender saw.
#[derive(Default)]
struct Appended {
    /// Entries per second of each tenth.
    tenths: Vec<f64>,
    /// The share of the processors' time in each tenth that the machine's host gave to others.
    stolen: Vec<f64>,
    /// Milliseconds of each commit.
    commits_ms: Vec<f64>,
    pages: Vec<PagesAt>,
}

/// Latencies of pages at one size of the log, in microseconds.
struct PagesAt {
    entries: u64,
    p50: f64,
    p99: f64,
    /// The same pages a second time.
    again_p99: f64,
}

pub fn long(ctx: &Ctx) -> Row {
    let names = Arc::new(Names::new(DATASETS, ENTITIES));
    let dir = ctx.fresh("long");
    let written = written_bytes();
    let store = tidelog::Tidelog::open(&dir, names.clone(), tidelog::options(MEMORY));
    let mut appended = append(ctx, &store);
    let metrics = store.engine.metrics();
    drop(store);
    rustix::fs::sync();
    let written = (written_bytes() - written) as f64 / (ctx.entries as f64 * PAYLOAD as f64);
    let (clean, killed, killed_tail) = reopen(&dir);
    remove(&dir);

    let (first, last) = (appended.tenths[0], appended.tenths[9]);
    let p999 = quantile(&mut appended.commits_ms, 0.999);
    let slowest = quantile(&mut appended.commits_ms, 1.0);
    let (small, large) = (&appended.pages[0], &appended.pages[appended.pages.len() - 1]);
    let mean = 10.0 / appended.tenths.iter().map(|tenth| 1.0 / tenth).sum::<f64>();
    let title = format!("{} entries, durable batches of 100, Tidelog alone", number(ctx.entries as f64));
    let mut row = Row::new(&title, "entries/s", vec![Series::one("Tidelog", mean)]);
    row.goals = vec![
        Goal::at_least("last tenth / first tenth", last / first, 0.8),
        Goal::at_most("p99.9 of a commit, ms", p999, 50.0),
        Goal::at_most("page p99 at the end / at the first size", large.p99 / small.p99, 1.5),
        Goal::at_most("bytes written per payload byte, LZ4 on", written, 3.5),
        Goal::at_most("reopen after a clean close, s", clean, 1.0),
        Goal::at_most("reopen after kill -9 with a full tail, s", killed, 2.0),
    ];
    let tenths: Vec<String> = appended.tenths.iter().map(|tenth| number(*tenth)).collect();
    row.note(format!("entries/s of each tenth: {}", tenths.join(", ")));
    let stolen: Vec<String> = appended.stolen.iter().map(|share| format!("{:.0} %", share * 100.0)).collect();
    row.note(format!("of the processors' time the machine's host gave to others: {}", stolen.join(", ")));
    row.note(format!(
        "appends waited for seals {} times, {} ms in all; the slowest commit took {slowest:.1} ms",
        metrics.stalls, metrics.stall_ms
    ));
    for at in &appended.pages {
        let PagesAt { entries, p50, p99, again_p99 } = at;
        row.note(format!(
            "{PAGES} pages of 50 at {}: p50 {p50:.0} us, p99 {p99:.0} us, p99 of the same again {again_p99:.0} us",
            number(*entries as f64)
        ));
    }
    row.note("pages: sealed, keys uniform in 10 % to 50 % of the log, read for the first time; datasets drawn as the changes were; view `Every`");
    row.note(format!("killed with {} of {} MiB in the tail", killed_tail >> 20, (MEMORY / 16) >> 20));
    let line = |label: &str, value: fn(&PagesAt) -> f64| Curve {
        label: label.into(),
        points: appended.pages.iter().map(|at| (at.entries as f64, value(at))).collect(),
    };
    row.curves = vec![line("p50", |at| at.p50), line("p99", |at| at.p99), line("p99, read before", |at| at.again_p99)];
    row
}

fn append(ctx: &Ctx, store: &tidelog::Tidelog) -> Appended {
    let mut generator = Generator::usual(1);
    let mut appended = Appended::default();
    let (mut seconds, mut times) = (0.0, processor_times());
    for hundredth in 1..=100 {
        let batches = generator.batches(ctx.entries / 100);
        let begun = Instant::now();
        for batch in &batches {
            let begun = Instant::now();
            store.append(batch, true);
            appended.commits_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        seconds += begun.elapsed().as_secs_f64();
        if hundredth % 10 == 0 {
            appended.tenths.push(ctx.entries as f64 / 10.0 / seconds);
            eprintln!("    {hundredth} %: {} entries/s", number(ctx.entries as f64 / 10.0 / seconds));
            seconds = 0.0;
            let now = processor_times();
            appended.stolen.push((now.0 - times.0) / (now.1 - times.1).max(1.0));
            times = now;
        }
        let (now, before) = (ctx.entries / 100 * hundredth, ctx.entries / 100 * (hundredth - 1));
        if hundredth == 100 || READ_AT.iter().any(|at| before < *at && *at <= now) {
            store.settle();
            appended.pages.push(pages_at(store, now));
        }
    }
    appended
}

fn pages_at(store: &tidelog::Tidelog, entries: u64) -> PagesAt {
    let positions = positions(entries, PAGES, false, entries / 10..entries / 2);
    let mut hash = Hash::default();
    let mut read = || -> Vec<f64> {
        let time = |(dataset, after): &(u32, u64)| {
            let begun = Instant::now();
            store.page_of(*dataset, *after, Limits::entries(50).view(View::Every), &mut hash);
            begun.elapsed().as_secs_f64() * 1e6
        };
        positions.iter().map(time).collect()
    };
    let (mut first, mut again) = (read(), read());
    let at = PagesAt {
        entries,
        p50: quantile(&mut first, 0.5),
        p99: quantile(&mut first, 0.99),
        again_p99: quantile(&mut again, 0.99),
    };
    eprintln!(
        "    pages at {}: p50 {:.0} us, p99 {:.0} us, again {:.0} us",
        number(entries as f64),
        at.p50,
        at.p99,
        at.again_p99
    );
    at
}

/// Seconds to open after a clean close, seconds to open after a kill, and what the tail held then.
fn reopen(dir: &Path) -> (f64, f64, u64) {
    let open = || {
        let begun = Instant::now();
        let store = Store::open(dir, tidelog::options(MEMORY)).expect("Tidelog opens");
        (begun.elapsed().as_secs_f64(), store.metrics().tail_bytes, store)
    };
    let (clean, _, store) = open();
    drop(store);
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .arg("fill-tail")
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut line = String::new();
    let mut told = BufReader::new(child.stdout.take().expect("its output"));
    told.read_line(&mut line).expect("it tells when it is done");
    child.kill().expect("a child of ours");
    child.wait().expect("it is dead");
    assert_eq!(line.trim(), "full", "the child filled the tail");
    let (killed, tail, store) = open();
    drop(store);
    (clean, killed, tail)
}

/// The child's part: appends until the tail is nearly full, says so, and waits to be killed.
pub fn fill_tail(dir: &Path) {
    let names = Arc::new(Names::new(DATASETS, ENTITIES));
    let store = tidelog::Tidelog::open(dir, names, tidelog::options(MEMORY));
    let mut generator = Generator::usual(9);
    while store.engine.metrics().tail_bytes < MEMORY as u64 / 16 / 20 * 19 {
        for _ in 0..10 {
            store.append(&generator.batch(), true);
        }
    }
    println!("full");
    std::io::stdout().flush().expect("the parent listens");
    loop {
        std::thread::park();
    }
}
