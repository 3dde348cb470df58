//! The process that is killed, starved and lied to: this test binary once more, with a job in its environment. It says
//! on its standard output what it was answered, one line at a time.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidelog::{Cap, Cursor, Durability, Engine, Error, Limits, Options, Retention, View};

use super::plan::{Id, Plan, SHARED, WRITERS, hash, own};

pub const JOB: &str = "TIDELOG_JOB";
pub const DIR: &str = "TIDELOG_DIR";
pub const LIFE: &str = "TIDELOG_LIFE";
pub const COMMITS: &str = "TIDELOG_COMMITS";
/// Milliseconds that a writer rests after each commit.
pub const REST: &str = "TIDELOG_REST";

/// Small tails, segments and chunks: in tens of milliseconds there are seals, rolls and compactions.
pub fn options() -> Options {
    Options::default()
        .memory(16 << 20)
        .tail_bytes(12 << 10)
        .segment_bytes(64 << 10)
        .chunk_bytes(1 << 10)
        .grace(Duration::ZERO, 256 << 20)
        .sync_interval(Duration::from_millis(2))
        .retention(Retention::unlimited())
}

/// The shared dataset's.
fn capped() -> Retention {
    let cap = |entries| Cap { entries: Some(entries), bytes: None, age_ms: None };
    Retention { history: cap(60), tombstones: cap(10), ..Retention::default() }
}

/// Everything goes after a month.
fn aged() -> Options {
    let month = Cap { entries: None, bytes: None, age_ms: Some(30 * 24 * 3_600_000) };
    options().retention(Retention { history: month, tombstones: month, ..Retention::unlimited() })
}

fn wall_ms() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis())
}

/// A line for the parent, whole. An interrupted or refused write is tried again: it concerns the tests, not the store.
pub fn say(line: &str) {
    let line = format!("{line}\n");
    let mut rest = line.as_bytes();
    let mut out = std::io::stdout().lock();
    while !rest.is_empty() {
        match out.write(rest).and_then(|count| out.flush().map(|()| count)) {
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return,
            Err(_) => {}
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn worker() {
    let Ok(job) = std::env::var(JOB) else { return };
    let dir = PathBuf::from(std::env::var_os(DIR).expect("a directory"));
    say("");
    say(&format!("clock {}", wall_ms()));
    let opened = Engine::open(&dir, if job == "aged" { aged() } else { options() });
    let engine = match opened {
        Ok(engine) => engine,
        Err(error) => {
            say(&format!("refused {} {error}", error.kind()));
            return;
        }
    };
    say("opened");
    match job.as_str() {
        "load" | "aged" => load(&engine),
        "serve" => serve(&engine),
        other => panic!("no such job: {other}"),
    }
    match engine.close() {
        Ok(()) => say("closed"),
        Err(error) => say(&format!("closed badly {} {error}", error.kind())),
    }
}

/// Writers and a reader, until the process is killed or each writer has sent so many commits.
fn load(engine: &Engine) {
    let life = number(LIFE).expect("a number of this life");
    let commits = number(COMMITS).unwrap_or(u64::MAX);
    let rest = Duration::from_millis(number(REST).unwrap_or(0));
    let reading = AtomicBool::new(true);
    if engine.datasets(SHARED, None, 1).is_ok_and(|page| page.names.is_empty())
        && let Err(error) = engine.set_retention(SHARED, capped())
    {
        say(&format!("unset {}", error.kind()));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| read(engine, &reading));
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(engine, life, writer, commits, rest))).collect();
        let ends: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        reading.store(false, Ordering::SeqCst);
        assert!(ends.iter().all(Result::is_ok), "a writer panicked");
    });
}

fn write(engine: &Engine, life: u64, writer: u64, commits: u64, rest: Duration) {
    for seq in 0..commits {
        let plan = Plan::of(Id { life, writer, seq });
        let durability = plan.durability();
        match engine.append_with(plan.batch(), durability) {
            Ok(commit) => {
                let word = if durability == Durability::Synced { "ack" } else { "buffered" };
                say(&format!("{word} {writer} {seq} {} {}", commit.first, commit.last));
                if !rest.is_zero() {
                    std::thread::sleep(rest);
                }
            }
            Err(error) => {
                say(&format!("no {writer} {seq} {} {error}", error.kind()));
                match error {
                    Error::NoSpace { .. } | Error::SealFailed { .. } | Error::Busy { .. } => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    _ => return,
                }
            }
        }
    }
}

/// Says everything that becomes visible.
fn read(engine: &Engine, reading: &AtomicBool) {
    let limits = Limits::entries(50).view(View::Every);
    let mut cursors: Vec<(String, Cursor)> = (0..WRITERS).map(|writer| (own(writer), Cursor::head())).collect();
    while reading.load(Ordering::SeqCst) {
        let mut came = false;
        for (dataset, cursor) in &mut cursors {
            let page = match engine.changes(&*dataset, cursor, limits) {
                Ok(page) => page,
                Err(Error::DatasetNotFound { .. }) => continue,
                Err(error) => return say(&format!("unreadable {} {error}", error.kind())),
            };
            for entry in &page.entries {
                say(&format!("saw {} {}", entry.key, hash(dataset, entry)));
            }
            came |= !page.entries.is_empty();
            *cursor = page.next;
        }
        if !came {
            // What was there before can be read all the same.
            for (dataset, _) in &cursors {
                match engine.changes(dataset, &Cursor::START, Limits::entries(5)) {
                    Ok(_) | Err(Error::DatasetNotFound { .. }) => {}
                    Err(error) => return say(&format!("unreadable {} {error}", error.kind())),
                }
            }
            say("quiet");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Says what came last, and waits for the end.
fn serve(engine: &Engine) {
    for dataset in (0..WRITERS).map(own) {
        let entries = match engine.recent(&dataset, None, Limits::entries(200).view(View::Every)) {
            Ok(entries) => entries,
            Err(Error::DatasetNotFound { .. }) => continue,
            Err(error) => return say(&format!("unreadable {} {error}", error.kind())),
        };
        for entry in &entries {
            say(&format!("saw {} {}", entry.key, hash(&dataset, entry)));
        }
    }
    say("served");
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}
