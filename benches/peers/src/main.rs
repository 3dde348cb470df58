//! `make peers`: Tidelog beside what its users would pick instead.
//!
//! `tidelog-peers run` measures rows, each in a process of its own, and keeps what they measured as JSON in the target
//! directory. `tidelog-peers report` makes the table in docs/performance.md and the plots of what is there.

mod engines;
mod measure;
mod plot;
mod report;
mod rows;
mod workload;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use engines::Kind;
use measure::{Ctx, Row};

const USAGE: &str = "\
tidelog-peers run [OPTIONS] [ROW]...   measure these rows, or all but `long`
tidelog-peers report [--quick] [DIR]   write DIR/performance.md and the plots from what was measured (default: docs, of
                                       short runs the target directory)
tidelog-peers list                     the rows

  --quick          a short run of every row, kept apart from full ones
  --seconds S      how long one engine is measured in one round
  --rounds N       rounds
  --entries N      entries of the row `long`
  --engine NAME    measure this engine alone (may be repeated): to look at it with a profiler
  --scratch DIR    where stores are made (default: in the target directory)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    match args.first().map(String::as_str) {
        Some("run") => match options(rest) {
            Some((options, names)) => run(&options, rest, &names),
            None => usage(),
        },
        Some("row") => match options(rest) {
            Some((options, names)) => {
                names.iter().for_each(|name| row(&options, name));
                ExitCode::SUCCESS
            }
            None => usage(),
        },
        Some("report") => {
            let quick = rest.iter().any(|arg| arg == "--quick");
            // A short run's figures are not for the project's page.
            let docs = if quick { target() } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs") };
            let dir = rest.iter().find(|arg| *arg != "--quick").map_or(docs, PathBuf::from);
            report::write(&load(&results(quick)), &dir);
            ExitCode::SUCCESS
        }
        Some("list") => {
            rows::ROWS.iter().for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        Some("fill-tail") if rest.len() == 1 => {
            rows::fill_tail(Path::new(&rest[0]));
            ExitCode::SUCCESS
        }
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// The options and the rows named.
fn options(args: &[String]) -> Option<(Ctx, Vec<String>)> {
    let quick = args.iter().any(|arg| arg == "--quick");
    let (seconds, rounds, entries) = if quick { (1.5, 2, 1_000_000) } else { (3.0, 3, 40_000_000) };
    let mut ctx = Ctx { scratch: target().join("scratch"), quick, seconds, rounds, entries, only: Vec::new() };
    let mut names = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => {}
            "--seconds" => ctx.seconds = args.next()?.parse().ok()?,
            "--rounds" => ctx.rounds = args.next()?.parse().ok()?,
            "--engine" => {
                let name = args.next()?;
                ctx.only.push(Kind::ALL.into_iter().find(|kind| kind.name() == name.as_str())?);
            }
            "--scratch" => ctx.scratch = PathBuf::from(args.next()?).join("tidelog-peers"),
            "--entries" => ctx.entries = args.next()?.parse().ok()?,
            name if rows::ROWS.iter().any(|(row, _)| *row == name) => names.push(name.to_owned()),
            _ => return None,
        }
    }
    Some((ctx, names))
}

/// Measures each row in a process of its own.
fn run(ctx: &Ctx, args: &[String], names: &[String]) -> ExitCode {
    let all: Vec<String> =
        rows::ROWS.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name != "long").collect();
    let options: Vec<&String> = args.iter().filter(|arg| !names.contains(arg)).collect();
    let mut failed = Vec::new();
    for name in if names.is_empty() { &all } else { names } {
        eprintln!("{name}");
        let exe = std::env::current_exe().expect("this program");
        let done = Command::new(exe).arg("row").args(&options).arg(name).status().expect("a child");
        if !done.success() {
            failed.push(name.as_str());
        }
    }
    measure::remove(&ctx.scratch);
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("these rows failed: {}", failed.join(", "));
    ExitCode::FAILURE
}

fn row(ctx: &Ctx, name: &str) {
    let (_, measure) = rows::ROWS.iter().find(|(row, _)| *row == name).expect("a known row");
    let begun = Instant::now();
    let mut row = measure(ctx);
    row.id = name.to_owned();
    row.quick = ctx.quick;
    row.date = report::today();
    row.commit = report::commit();
    row.command = report::command(ctx, name);
    row.took_s = begun.elapsed().as_secs_f64();
    for goal in &row.goals {
        let verdict = if goal.met() { "met" } else { "NOT MET" };
        let than = if goal.at_least { "at least" } else { "at most" };
        let (value, bound) = (measure::number(goal.value), measure::number(goal.bound));
        eprintln!("  {}: {value}, {than} {bound}: {verdict}", goal.what);
    }
    row.notes.iter().for_each(|note| eprintln!("  {note}"));
    if !ctx.only.is_empty() {
        return;
    }
    let dir = results(ctx.quick);
    std::fs::create_dir_all(&dir).expect("a directory for results");
    let json = serde_json::to_string_pretty(&row).expect("a row is JSON");
    std::fs::write(dir.join(format!("{name}.json")), json).expect("the result is kept");
}

/// What was measured last of each row.
fn load(dir: &Path) -> Vec<Row> {
    let read = |(name, _): &(&str, rows::Run)| {
        let text = std::fs::read_to_string(dir.join(format!("{name}.json"))).ok()?;
        Some(serde_json::from_str(&text).expect("a result of ours"))
    };
    rows::ROWS.iter().filter_map(read).collect()
}

/// `peers` in cargo's target directory, where this program lies too.
pub fn target() -> PathBuf {
    let exe = std::env::current_exe().expect("this program");
    exe.ancestors().nth(2).expect("a target directory").join("peers")
}

fn results(quick: bool) -> PathBuf {
    target().join(if quick { "results-quick" } else { "results" })
}
