//! A small living data set for `serve --demo`: a work group's project, a chat and someone's notes, written to as people
//! would, so that the page has something to show.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tidelog::{Batch, Cap, Engine, Error, Options, Result, Retention};

const PEOPLE: &[&str] = &["ada", "grace", "edsger", "barbara", "donald"];
const WORDS: &[&str] =
    &["harbour", "tide", "buoy", "current", "anchor", "mast", "drift", "channel", "beacon", "shoal", "ebb", "swell"];
/// Between two commits.
const PAUSE: Duration = Duration::from_millis(120);
/// Compactions come after so many commits. By itself so small a store would not need one for hours.
const COMPACT_AFTER: u64 = 160;

/// The options with which it can be watched: nothing is kept for long for readers under way.
pub fn options(options: Options) -> Options {
    options.grace(Duration::from_secs(5), 1 << 20)
}

/// The thread that writes; it ends when dropped.
pub struct Demo {
    stop: std::sync::Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Demo {
    /// Begins to write.
    ///
    /// # Errors
    ///
    /// Those of the first commits.
    pub fn begin(engine: &Engine) -> Result<Demo> {
        // Little history, so that compaction can be watched.
        let history = Cap { entries: Some(60), ..Cap::default() };
        let tombstones = Cap { entries: Some(25), ..Cap::default() };
        for dataset in ["projects/lighthouse", "chats/crew", "notes/ada"] {
            let retention = Retention { history, tombstones, ..Retention::unlimited() };
            engine.set_retention(dataset, retention)?;
        }
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.clone(), stop.clone());
        let write = move || {
            let mut dice = Dice(0x7469_6465);
            for commit in 1_u64.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let done = match commit % COMPACT_AFTER {
                    0 => engine.compact(None).map(drop),
                    _ => step(&engine, &mut dice),
                };
                match done {
                    Err(Error::Closed | Error::Poisoned { .. }) => break,
                    Err(error) => tracing::warn!(%error, "the demo could not go on"),
                    Ok(()) => {}
                }
                std::thread::sleep(PAUSE);
            }
        };
        let thread = std::thread::Builder::new().name("tidelog-demo".into()).spawn(write);
        let thread = thread.map_err(|source| Error::Io { what: "start a thread".to_owned(), source })?;
        Ok(Demo { stop, thread: Some(thread) })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// One thing that someone does.
fn step(engine: &Engine, dice: &mut Dice) -> Result<()> {
    let who = dice.of(PEOPLE);
    let mut batch = Batch::new();
    match dice.below(10) {
        0..5 => {
            let task = format!("task-{}", dice.below(60));
            let state = dice.of(&["open", "doing", "done"]);
            let body = format!(
                r#"{{"title":"{} the {}","state":"{state}","by":"{who}"}}"#,
                dice.of(&["mend", "paint", "watch"]),
                dice.of(WORDS)
            );
            batch.put("projects/lighthouse", task, body);
        }
        5..8 => {
            let message = format!("message-{:06}", dice.below(1_000_000));
            let body =
                format!(r#"{{"from":"{who}","text":"{} {} {}"}}"#, dice.of(WORDS), dice.of(WORDS), dice.of(WORDS));
            batch.create("chats/crew", message, body);
        }
        8 => {
            batch.put("notes/ada", format!("note-{}", dice.below(20)), format!(r#"{{"text":"{}"}}"#, dice.of(WORDS)));
        }
        _ => {
            // Somebody tidies up: what is oldest in the chat goes.
            let Some(oldest) = engine.entities("chats/crew", None, 1)?.into_iter().next() else { return Ok(()) };
            batch.delete("chats/crew", oldest.entity);
        }
    }
    batch.origin(who);
    match engine.append(batch) {
        Err(Error::DatasetNotFound { .. }) => Ok(()),
        done => done.map(drop),
    }
}

/// A small generator of numbers (xorshift, Marsaglia 2003): the demo is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }
}
