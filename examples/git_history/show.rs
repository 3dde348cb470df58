//! What a person sees.

use std::io::IsTerminal;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::git::Shown;
use super::run::{Outcome, Report};

/// Most names of a kind that are listed; left-out files are all listed.
const SHOWN: usize = 5;
/// What the process may take besides the memory option, in bytes.
const SLACK_BYTES: u64 = 64 << 20;

/// Colours, if the output is a terminal that wants them.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    fn label(self, text: &str) -> String {
        self.with("1;36", &format!("{text:<12}"))
    }

    fn mark(self, good: bool) -> String {
        if good { self.with("32", "✓") } else { self.with("1;31", "✗") }
    }
}

/// A bar that shows itself only on a terminal.
pub fn bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("  {bar:40.cyan/dim} {human_pos}/{human_len} commits  {per_sec}  {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Prints the report; tells whether every client was right.
pub fn print(report: &Report, memory: usize, kept: Option<&str>) -> bool {
    let paint = Paint(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    print_import(paint, report, kept);
    print_notes(paint, report);
    print_compaction(paint, report);
    println!();
    println!(
        "  {}",
        paint.with(
            "1",
            &format!(
                "{:<40} {:>6} {:>9} {:>11} {:>9}   {}",
                "client", "pages", "entries", "bytes", "time", "files, against git"
            )
        )
    );
    for outcome in &report.clients {
        print_client(paint, outcome);
    }
    println!();
    print_memory(paint, memory);
    let right = report.clients.iter().all(Outcome::is_right);
    let verdict = if right { "every client has exactly the right files and bytes" } else { "a client is wrong" };
    println!("{}{} {verdict}", paint.label("result"), paint.mark(right));
    right
}

fn print_import(paint: Paint, report: &Report, kept: Option<&str>) {
    let (repo, counts) = (&report.repo, &report.counts);
    let shallow = if repo.shallow { ", a shallow clone: its first commit counts as all of its tree" } else { "" };
    println!(
        "{}{} commits along first parents up to {:.12}, {} ids{shallow}",
        paint.label("history"),
        HumanCount(report.commits as u64),
        repo.head,
        repo.hash.name(),
    );
    let seconds = report.import_time.as_secs_f64();
    println!(
        "{}{} batches, {} entries, {} in {seconds:.2} s ({:.0} commits/s, each one synced)",
        paint.label("import"),
        HumanCount(counts.batches),
        HumanCount(counts.entries),
        HumanBytes(counts.bytes),
        report.commits as f64 / seconds.max(1e-9),
    );
    println!(
        "{}{} creates, {} updates, {} deletes",
        paint.label(""),
        HumanCount(counts.creates),
        HumanCount(counts.updates),
        HumanCount(counts.deletes),
    );
    if let Some(dir) = kept {
        println!("{}kept in {dir}", paint.label("store"));
    }
}

fn print_notes(paint: Paint, report: &Report) {
    let counts = &report.counts;
    let mut notes = Vec::new();
    if counts.empty > 0 {
        notes.push(format!("{} commits without a change to record were skipped", HumanCount(counts.empty)));
    }
    for path in counts.submodules.keys().take(SHOWN) {
        notes.push(format!("submodule {}: its payload is the id of its commit", Shown(path)));
    }
    if let Some(more) = counts.submodules.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        notes.push(format!("{more} more submodules"));
    }
    for (commit, batches, bytes) in counts.split.iter().take(SHOWN) {
        notes.push(format!(
            "commit {commit:.12} ({}) is above the limit of {}: {batches} batches",
            HumanBytes(*bytes),
            HumanBytes(report.sizes.batch as u64),
        ));
    }
    if let Some(more) = counts.split.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        notes.push(format!("{more} more commits in several batches"));
    }
    for (commit, path, why) in &counts.left_out {
        notes.push(format!("left out: {} of commit {commit:.12}: {why}", Shown(path)));
    }
    if report.absent > 0 {
        notes.push(format!("{} of these paths are left out at HEAD, and not compared", report.absent));
    }
    for (index, note) in notes.iter().enumerate() {
        println!("{}{note}", paint.label(if index == 0 { "noted" } else { "" }));
    }
}

fn print_compaction(paint: Paint, report: &Report) {
    let done = &report.compaction;
    println!(
        "{}after commit {}: {} superseded entries and {} tombstones dropped, floor at key {}",
        paint.label("compaction"),
        HumanCount(report.compacted_at as u64),
        HumanCount(done.superseded_dropped),
        HumanCount(done.tombstones_dropped),
        report.floor,
    );
    if report.temporary {
        println!(
            "{}no file was deleted in time to make a cursor stale: a temporary entity was created and deleted",
            paint.label("")
        );
    }
}

fn print_client(paint: Paint, outcome: &Outcome) {
    let (read, compared) = (&outcome.read, &outcome.comparison);
    println!(
        "  {:<40} {:>6} {:>9} {:>11} {:>6} ms   {} {} exact",
        outcome.name,
        HumanCount(read.pages).to_string(),
        HumanCount(read.entries).to_string(),
        HumanBytes(read.bytes).to_string(),
        read.elapsed.as_millis(),
        paint.mark(outcome.is_right()),
        HumanCount(compared.exact),
    );
    if let Some(error) = &outcome.refused {
        println!("    {}", paint.with("2", &format!("was told before: {error}")));
    }
    for (what, paths) in [("missing", &compared.missing), ("wrong", &compared.wrong), ("surplus", &compared.extra)] {
        for path in paths {
            println!("    {} {}", paint.with("31", what), Shown(path));
        }
    }
    if read.unannounced > 0 {
        println!("    {} entries were not marked as new to this client", HumanCount(read.unannounced));
    }
}

fn print_memory(paint: Paint, memory: usize) {
    let Some(peak) = peak_memory() else { return };
    let limit = memory as u64 + SLACK_BYTES;
    println!(
        "{}{} at its peak, {} the option's {} plus {} {}",
        paint.label("memory"),
        HumanBytes(peak),
        if peak <= limit { "within" } else { "ABOVE" },
        HumanBytes(memory as u64),
        HumanBytes(SLACK_BYTES),
        paint.mark(peak <= limit),
    );
}

/// The most memory that was ever resident in this process, in bytes; Linux tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}
