//! The command line `tidelog`.

#![forbid(unsafe_code)]

mod args;
mod changes;
mod consumer;
#[cfg(feature = "server")]
mod demo;
mod export;
mod failure;
mod import;
mod interrupt;
mod lines;
mod names;
mod output;
mod piped;
mod progress;
mod read;
mod retention;
#[cfg(feature = "server")]
mod serve;
mod store;
mod table;
mod text;
mod upkeep;
mod values;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use failure::{Failure, Outcome};
use output::Output;

/// Many connections come and go: see Cargo.toml.
#[cfg(feature = "server")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    #[cfg_attr(not(feature = "server"), expect(unused_mut, reason = "only a server has a file of settings"))]
    let mut args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    #[cfg(feature = "server")]
    if let Err(failure) = serve::read_settings(&mut args) {
        return failure.report(args.json);
    }
    trace(&args);
    let mut out = Output::new(args.json);
    let outcome = run(&args, &mut out);
    // What was printed before a failure belongs to the answer (the findings of `verify`).
    let flushed = out.flush();
    match outcome.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(args.json),
    }
}

fn run(args: &Args, out: &mut Output) -> Outcome {
    args.check()?;
    match &args.command {
        Command::Import(import) => import::run(args, import, out),
        Command::Export => export::run(args, out),
        Command::Changes(changes) => changes::run(args, changes, out),
        Command::Get(get) => read::get(args, get, out),
        Command::History(history) => read::history(args, history, out),
        Command::Entities(entities) => read::entities(args, entities, out),
        Command::Recent(recent) => read::recent(args, recent, out),
        Command::Datasets { prefix } => read::datasets(args, prefix.as_deref(), out),
        Command::Stat { dataset } => read::stat(args, dataset.as_deref(), out),
        Command::Delete { dataset } => upkeep::delete(args, dataset, out),
        Command::Retention(command) => retention::run(args, command, out),
        Command::Consumer(command) => consumer::run(args, command, out),
        Command::Compact { dataset, grace } => upkeep::compact(args, dataset.as_deref(), *grace, out),
        Command::Verify => upkeep::verify(args, out),
        Command::Backup { dest } => upkeep::backup(args, dest, out),
        #[cfg(feature = "server")]
        Command::Serve(serve) => serve::run(args, serve, out),
        #[cfg(feature = "server")]
        Command::Token { scope, prefix } => serve::token(scope, prefix, out),
        Command::Restore { src } => upkeep::restore(args, src, out),
    }
}

/// Help and version go to stdout; anything else is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
        let text = error.to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        return Failure::invalid(message).report(true);
    }
    // Whether it can be printed or not, there is nothing else to do.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Events of the engine go to stderr: warnings for people, and more with `-v`. With `--json` stderr is for the error, but
/// for a server, which has a log: an object a line.
fn trace(args: &Args) {
    use tracing_subscriber::filter::LevelFilter;
    #[cfg(feature = "server")]
    let serves = matches!(args.command, Command::Serve(_));
    #[cfg(not(feature = "server"))]
    let serves = false;
    let level = match args.verbose {
        0 if args.json && !serves => LevelFilter::OFF,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(level)
        // A standard error that nobody reads is no reason to stop.
        .log_internal_errors(false);
    #[cfg(feature = "server")]
    if serves && args.json {
        return log.json().init();
    }
    log.init();
}
