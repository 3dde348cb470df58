//! Load for a server on this machine, bounded in count and time, and what it measures.
//!
//! `cargo run --release --features server --example load -- --serve target/release/tidelog [--seconds N] [ROW..]`
//!
//! starts `tidelog serve` on a store of its own (and `redis-server`, if one is installed, for the rows that compare), runs
//! the rows named (all: delivery kill idle pages commits wrk socket sync), and prints a line of figures for each. `make load` does that.
//! It connects to loopback addresses only.

mod commits;
mod delivery;
mod http;
mod idle;
mod kill;
mod pages;
mod redis;
mod servers;
mod socket;
mod sync;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What went wrong, for people.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What is to be run.
struct Plan {
    serve: PathBuf,
    seconds: u64,
    /// Another server's appends, to compare with: a durable-streams-server.
    streams: Option<PathBuf>,
    rows: Vec<String>,
}

const ROWS: &[&str] = &["delivery", "kill", "idle", "pages", "commits", "wrk", "socket", "sync"];

impl Plan {
    fn from_args() -> Outcome<Plan> {
        let mut plan = Plan { serve: PathBuf::new(), seconds: 10, streams: None, rows: Vec::new() };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--serve" => plan.serve = value()?.into(),
                "--streams" => plan.streams = Some(value()?.into()),
                "--seconds" => plan.seconds = value()?.parse()?,
                row if ROWS.contains(&row) => plan.rows.push(arg),
                _ => {
                    return Err(format!("{arg} is not known: --serve, --streams, --seconds, or a row: {ROWS:?}").into());
                }
            }
        }
        if plan.serve.as_os_str().is_empty() {
            return Err("--serve names the tidelog binary".into());
        }
        if plan.rows.is_empty() {
            plan.rows = ROWS.iter().map(|row| (*row).to_owned()).collect();
        }
        Ok(plan)
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.clamp(1, 120))
    }
}

fn main() -> ExitCode {
    let run = || -> Outcome {
        let plan = Plan::from_args()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        for row in &plan.rows {
            runtime.block_on(async {
                match row.as_str() {
                    "delivery" => delivery::run(&plan).await,
                    "kill" => kill::run(&plan).await,
                    "idle" => idle::run(&plan).await,
                    "pages" => pages::run(&plan).await,
                    "commits" => commits::run(&plan).await,
                    "wrk" => wrk::run(&plan).await,
                    "socket" => socket::run(&plan).await,
                    _ => sync::run(&plan).await,
                }
            })?;
        }
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The payload of every entry: 256 bytes of JSON.
fn payload(n: u64) -> String {
    let text = format!("{{\"n\":{n},\"text\":\"");
    format!("{text}{}\"}}", "tidelog ".repeat(32).split_at(256 - text.len() - 2).0)
}

/// The value below which this share of them lie.
fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}
