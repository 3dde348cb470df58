//! How far long work is: on stderr, if a person looks at it.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Args;

/// A bar; it goes away when dropped.
pub struct Progress(ProgressBar);

const KNOWN: &str = "{msg} {wide_bar} {percent:>3} %  {elapsed} (about {eta} left)";
const UNKNOWN: &str = "{spinner} {msg} {elapsed}";
const KNOWN_BYTES: &str = "{msg} {wide_bar} {bytes} of {total_bytes}  {bytes_per_sec}  (about {eta} left)";
const UNKNOWN_BYTES: &str = "{spinner} {msg} {bytes}  {bytes_per_sec}  {elapsed}";

impl Progress {
    /// Of `total` things, where that is known; and it may become known with the first step.
    pub fn of(args: &Args, what: &'static str, total: Option<u64>) -> Progress {
        Progress::styled(args, what, total, if total.is_some() { KNOWN } else { UNKNOWN })
    }

    /// Of `total` bytes, where that is known.
    pub fn of_bytes(args: &Args, what: &'static str, total: Option<u64>) -> Progress {
        Progress::styled(args, what, total, if total.is_some() { KNOWN_BYTES } else { UNKNOWN_BYTES })
    }

    fn styled(args: &Args, what: &'static str, total: Option<u64>, template: &str) -> Progress {
        let looked_at = !args.json && std::io::stderr().is_terminal();
        let target = if looked_at { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Progress(ProgressBar::with_draw_target(total, target).with_style(style).with_message(what))
    }

    /// This much is done.
    pub fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// This much of this much is done.
    pub fn at_of(&self, done: u64, total: u64) {
        if self.0.length() != Some(total) {
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
