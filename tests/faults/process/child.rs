//! A worker as its parent sees it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::Rng;

use super::worker::{COMMITS, DIR, JOB, LIFE, REST};

/// Longer than anything takes that is not stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    ended: bool,
}

/// A running worker. Dropping it kills it.
pub struct Child {
    process: std::process::Child,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    listening: Option<JoinHandle<()>>,
    complaints: Option<JoinHandle<String>>,
}

/// How a worker ended.
pub struct End {
    pub lines: Vec<String>,
    pub complaints: String,
    pub status: std::process::ExitStatus,
}

/// A worker's command line: this binary, running the one test that is the worker.
pub fn command(job: &str, dir: &Path, life: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    prepare(&mut command, job, dir, life);
    command
}

/// The same behind a program that runs it, such as strace.
pub fn command_under(mut program: Command, job: &str, dir: &Path, life: u64) -> Command {
    program.arg(std::env::current_exe().expect("this binary"));
    prepare(&mut program, job, dir, life);
    program
}

fn prepare(command: &mut Command, job: &str, dir: &Path, life: u64) {
    command.args(["process::worker::worker", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(JOB, job).env(DIR, dir).env(LIFE, life.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/");
}

/// Lets each writer send so many commits, and end.
pub fn limited(mut command: Command, commits: u64) -> Command {
    command.env(COMMITS, commits.to_string());
    command
}

/// Lets each writer rest for so many milliseconds after a commit.
pub fn resting(mut command: Command, ms: u64) -> Command {
    command.env(REST, ms.to_string());
    command
}

impl Child {
    /// A worker under load that may be stopped anywhere: now and then within `opening_us`, while it opens or recovers, else
    /// amid its commits.
    pub fn under_load(store: &Path, seed: u64, rng: &mut Rng, opening_us: u64) -> Child {
        let child = Child::spawn(command("load", store, seed));
        if rng.chance(15) {
            std::thread::sleep(Duration::from_micros(rng.below(opening_us)));
        } else {
            let acks = rng.within(1, 60) as usize;
            assert!(child.wait_for("ack", acks, PATIENCE), "seed {seed}: no acknowledgement");
            std::thread::sleep(Duration::from_micros(rng.below(3_000)));
        }
        child
    }

    pub fn spawn(mut command: Command) -> Child {
        let mut process = command.spawn().expect("a worker");
        let heard: Arc<(Mutex<Heard>, Condvar)> = Arc::default();
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut errors = process.stderr.take().expect("its errors");
        let listener = heard.clone();
        let listening = std::thread::spawn(move || {
            let mut line = String::new();
            // What was torn off by a kill is no line.
            while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
                let mut heard = listener.0.lock().expect("no panic under the lock");
                heard.lines.push(line.trim_end().to_owned());
                line.clear();
                listener.1.notify_all();
            }
            listener.0.lock().expect("no panic under the lock").ended = true;
            listener.1.notify_all();
        });
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Child { process, heard, listening: Some(listening), complaints: Some(complaints) }
    }

    /// Waits until it has said `count` lines with `word` in them, or has ended, or `at_most` is over.
    pub fn wait_for(&self, word: &str, count: usize, at_most: Duration) -> bool {
        self.wait_from(0, word, count, at_most)
    }

    /// The same for lines after the first `from`.
    pub fn wait_from(&self, from: usize, word: &str, count: usize, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let mut heard = self.heard.0.lock().expect("no panic under the lock");
        let (mut looked_at, mut found) = (from, 0);
        loop {
            found += heard.lines[looked_at..].iter().filter(|line| line.contains(word)).count();
            looked_at = heard.lines.len();
            let left = until.saturating_duration_since(Instant::now());
            if found >= count || heard.ended || left.is_zero() {
                return found >= count;
            }
            heard = self.heard.1.wait_timeout(heard, left).expect("no panic under the lock").0;
        }
    }

    /// How many lines have been heard so far.
    pub fn heard(&self) -> usize {
        self.heard.0.lock().expect("no panic under the lock").lines.len()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`, and everything that it had said before.
    pub fn kill(mut self) -> End {
        let _ = self.process.kill();
        self.collect()
    }

    /// Waits for its own end, after `what` was done to it.
    pub fn finish(mut self, what: &str) -> End {
        let until = Instant::now() + PATIENCE;
        while !self.heard.0.lock().expect("no panic under the lock").ended {
            let heard = self.heard.0.lock().expect("no panic under the lock");
            assert!(Instant::now() < until, "{what}: the worker is stuck after {:?}", heard.lines.last());
            drop(self.heard.1.wait_timeout(heard, Duration::from_millis(100)));
        }
        self.collect()
    }

    fn collect(&mut self) -> End {
        let status = self.process.wait().expect("its end");
        let _ = self.listening.take().map(JoinHandle::join);
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let lines = std::mem::take(&mut self.heard.0.lock().expect("no panic under the lock").lines);
        assert!(!complaints.contains("panicked"), "the worker panicked:\n{complaints}");
        End { lines, complaints, status }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.listening.is_some() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
