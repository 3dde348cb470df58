//! Records the history of a git repository and brings three clients to its present files.
//!
//! Every commit along the first parents, oldest first, becomes one batch; every path is an entity; added, modified
//! and deleted files are created, updated and deleted with the blob's bytes as payload. Then a fresh client, one that
//! is behind, and one whose cursor was compacted away read the dataset, and what each ends with is compared with
//! `git ls-tree -r HEAD`.
//!
//! ```text
//! cargo run --features cli --example git_history -- [REPOSITORY] [--data DIR] [--memory BYTES]
//! ```

mod clients;
mod git;
mod import;
mod run;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Record a git history in Tidelog and bring three clients to its present files.
#[derive(Parser)]
#[command(name = "git_history")]
struct Arguments {
    /// The repository, bare or not.
    #[arg(default_value = ".")]
    repository: PathBuf,
    /// Keep the store in this directory, which must be new (else: a temporary one, removed at the end).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The engine's memory option, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, value_parser = clap::value_parser!(u64).range(16 << 20..))]
    memory: u64,
    /// Leave out blobs above this size, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_blob: usize,
}

fn main() -> ExitCode {
    match play(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(arguments: &Arguments) -> git::Result<bool> {
    let temporary = tempfile::Builder::new().prefix("tidelog-git-history-").tempdir()?;
    let store = temporary.path().join("store");
    let data = arguments.data.as_deref();
    let settings = run::Settings {
        repo: &arguments.repository,
        data: data.unwrap_or(&store),
        memory: usize::try_from(arguments.memory)?,
        max_blob: arguments.max_blob,
    };
    let bar = show::bar();
    let report = run::run(&settings, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let kept = data.map(|dir| dir.display().to_string());
    Ok(show::print(&report?, settings.memory, kept.as_deref()))
}
