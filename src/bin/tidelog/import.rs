//! `import`: JSON Lines into commits, many in flight.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::Path;

use tidelog::json::{self, Committed};
use tidelog::{Batch, Commit, Durability, Engine, Error, Receipt, SyncKeys};

use crate::args::{Args, Import, Keys};
use crate::failure::{Failure, Outcome, Stopped};
use crate::interrupt::Interrupt;
use crate::lines::Lines;
use crate::output::Output;
use crate::piped::Piped;
use crate::progress::Progress;
use crate::store;
use crate::text::counted;

/// Commits handed in whose outcome is not known yet, at most.
const IN_FLIGHT: usize = 256;

pub fn run(args: &Args, import: &Import, out: &mut Output) -> Outcome {
    let (source, total) = open(&import.file)?;
    let interrupt = Interrupt::listen()?;
    let source: Box<dyn BufRead> = match total {
        Some(_) => Box::new(BufReader::with_capacity(256 << 10, source)),
        None => Box::new(Piped::new(source, &interrupt)?),
    };
    // The text of a commit is longer than the commit, by base64 and by what surrounds the values.
    let mut lines = Lines::new(source, args.memory() / 8 + (64 << 10));
    let keys = match import.keys {
        Keys::Counter => SyncKeys::Counter,
        Keys::Timestamp => SyncKeys::Timestamp,
    };
    let options = args.options().create_if_missing(true).background_compaction(true).sync_keys(keys);
    store::with_options(args, options, out, |engine, out| {
        if import.confirm_clock {
            engine.confirm_clock();
        }
        let progress = Progress::of_bytes(args, "importing", total);
        let mut importer = Importer::new(engine, args.memory() / 24);
        let committed = importer.run(&mut lines, &interrupt, &progress)?;
        drop(progress);
        if out.is_json() {
            out.named("import", &committed)
        } else {
            out.text(format_args!("imported {}", summary(&committed)))
        }
    })
}

/// What was committed, for people.
pub fn summary(committed: &Committed) -> String {
    let mut text = format!(
        "{}, {}",
        counted(committed.commits, "commit", "commits"),
        counted(committed.entries, "entry", "entries")
    );
    if let (Some(first), Some(last)) = (committed.first, committed.last) {
        text.push_str(&format!(", keys {first} to {last}"));
    }
    if committed.repeated > 0 {
        text.push_str(&format!(" ({} there already)", counted(committed.repeated, "commit was", "commits were")));
    }
    text
}

/// The source, and its length if it is a file that has one.
fn open(file: &Path) -> Outcome<(Box<dyn Read + Send>, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((Box::new(stdin()), None));
    }
    let unreadable = |why: &dyn std::fmt::Display| Failure::invalid(format!("cannot read {}: {why}", file.display()));
    let source = File::open(file).map_err(|e| unreadable(&e))?;
    let about = source.metadata().map_err(|e| unreadable(&e))?;
    if about.is_dir() {
        return Err(unreadable(&"it is a directory"));
    }
    Ok((Box::new(source), about.is_file().then_some(about.len())))
}

/// A commit under way.
struct Handed {
    line: u64,
    bytes: usize,
    entries: u64,
    receipt: Receipt,
}

struct Importer<'a> {
    engine: &'a Engine,
    under_way: VecDeque<Handed>,
    bytes: usize,
    max_bytes: usize,
    committed: Committed,
}

/// Why it goes no further: the line (if one is to blame) and the error (none for a signal).
struct Stop {
    line: Option<u64>,
    error: Option<Error>,
}

impl<'a> Importer<'a> {
    fn new(engine: &'a Engine, max_bytes: usize) -> Importer<'a> {
        Importer { engine, under_way: VecDeque::new(), bytes: 0, max_bytes, committed: Committed::default() }
    }

    fn run<R: BufRead>(
        &mut self,
        lines: &mut Lines<R>,
        interrupt: &Interrupt,
        progress: &Progress,
    ) -> Outcome<Committed> {
        match self.hand_in(lines, interrupt, progress) {
            Ok(()) => Ok(self.committed),
            Err(stop) => Err(Failure::Import(Box::new(self.settle(stop)))),
        }
    }

    fn hand_in<R: BufRead>(
        &mut self,
        lines: &mut Lines<R>,
        interrupt: &Interrupt,
        progress: &Progress,
    ) -> Result<(), Stop> {
        loop {
            let next = lines.next().map(|line| line.map(|text| (text.len(), parse(text))));
            // What was read then may be half a line.
            if interrupt.came() {
                return Err(Stop { line: None, error: None });
            }
            let line = lines.number();
            progress.at(lines.bytes());
            let (bytes, parsed) = match next {
                Ok(Some(next)) => next,
                Ok(None) => return self.wait(0),
                Err(error @ Error::Io { .. }) => return Err(Stop { line: None, error: Some(error) }),
                Err(error) => return Err(Stop { line: Some(line), error: Some(error) }),
            };
            let at_line = |error| Stop { line: Some(line), error: Some(error) };
            if let Some(batch) = parsed.map_err(at_line)? {
                self.submit(line, bytes, batch)?;
            }
        }
    }

    fn submit(&mut self, line: u64, bytes: usize, batch: Batch) -> Result<(), Stop> {
        while self.bytes + bytes > self.max_bytes && !self.under_way.is_empty() {
            self.wait(self.under_way.len() - 1)?;
        }
        let (conditional, entries) = (json::is_conditional(&batch), batch.len() as u64);
        let receipt = self
            .engine
            .submit(batch, Durability::Synced)
            .map_err(|error| Stop { line: Some(line), error: Some(error) })?;
        self.under_way.push_back(Handed { line, bytes, entries, receipt });
        self.bytes += bytes;
        // What may be refused is waited for, so that nothing behind it is committed if it is.
        self.wait(if conditional { 0 } else { IN_FLIGHT })
    }

    /// Waits for the oldest commits until at most `left` are under way.
    fn wait(&mut self, left: usize) -> Result<(), Stop> {
        while self.under_way.len() > left {
            let Some(handed) = self.under_way.pop_front() else { break };
            self.bytes -= handed.bytes;
            match handed.receipt.wait() {
                Ok(commit) => self.count(&commit, handed.entries),
                Err(error) => return Err(Stop { line: Some(handed.line), error: Some(error) }),
            }
        }
        Ok(())
    }

    fn count(&mut self, commit: &Commit, entries: u64) {
        let committed = &mut self.committed;
        if commit.repeated {
            committed.repeated += 1;
        } else {
            committed.commits += 1;
            committed.entries += entries;
        }
        committed.first = Some(committed.first.map_or(commit.first, |first| first.min(commit.first)));
        committed.last = Some(committed.last.map_or(commit.last, |last| last.max(commit.last)));
    }

    /// Waits for everything still under way after a stop. An earlier line that turns out to have failed is the one
    /// that stopped the import.
    fn settle(&mut self, mut stop: Stop) -> Stopped {
        let mut later = 0;
        while let Some(handed) = self.under_way.pop_front() {
            let is_later = stop.line.is_some_and(|line| handed.line > line);
            match handed.receipt.wait() {
                Ok(commit) => {
                    self.count(&commit, handed.entries);
                    later += u64::from(is_later);
                }
                Err(_) if is_later => {}
                Err(error) => stop = Stop { line: Some(handed.line), error: Some(error) },
            }
        }
        Stopped { line: stop.line, error: stop.error, committed: self.committed, later }
    }
}

/// The commit that a line describes; none for a blank one.
fn parse(line: &str) -> Result<Option<Batch>, Error> {
    if line.trim_ascii().is_empty() { Ok(None) } else { json::commit(line).map(Some) }
}
