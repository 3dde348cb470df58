//! `serve`: the store over HTTP. And `token`, which makes what lets a client in.

use std::fmt::Display;
use std::str::FromStr;

use tidelog::server;
use tidelog::{Engine, Error};

use crate::args::{Args, Command};
use crate::demo::{self, Demo};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Up to how much of a dataset the grace holds, in bytes: as the engine has it.
const GRACE_BYTES: u64 = 256 << 20;

#[derive(Debug, clap::Args)]
pub struct Serve {
    #[command(flatten)]
    pub settings: server::Settings,
    /// Write a small living data set, to have something to look at
    #[arg(long)]
    pub demo: bool,
    /// Believe this machine's clock, though it is more than 7 days ahead of the store's last commit
    ///
    /// Without it such a clock is not trusted: commits are dated from the last one on, and nothing grows old enough to be
    /// dropped faster than by the time that passes. To be said once: the first commit makes it known to the store.
    #[arg(long)]
    pub confirm_clock: bool,
}

/// Puts what a server's file of settings says below what the command line and the environment do. How it logs is said
/// there too; other commands know flags alone for that, as their output is read by whoever calls them.
pub fn read_settings(args: &mut Args) -> Outcome {
    let Command::Serve(serve) = &mut args.command else { return Ok(()) };
    let mut settings = std::mem::take(&mut serve.settings);
    settings.json = from_environment("TIDELOG_JSON")?;
    settings.verbose = from_environment("TIDELOG_VERBOSE")?;
    serve.settings = settings.with_file()?;
    let settings = serve.settings.clone();
    args.default_to(settings.data, settings.memory, settings.json, settings.verbose);
    Ok(())
}

/// A setting from the environment; none if it is empty.
fn from_environment<T: FromStr<Err: Display>>(name: &str) -> Outcome<Option<T>> {
    let Some(text) = std::env::var_os(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.to_string_lossy();
    text.parse().map(Some).map_err(|error| Failure::invalid(format!("{name}: {text}: {error}")))
}

/// Serves the store until a signal ends it.
pub fn run(args: &Args, serve: &Serve, out: &mut Output) -> Outcome {
    let config = serve.settings.clone().resolve()?;
    let options = args
        .options()
        .create_if_missing(true)
        .background_compaction(true)
        .sync_keys(config.keys.into())
        .grace(config.grace, GRACE_BYTES)
        .consumer_budget(config.consumer_bytes as u64);
    let options = if serve.demo { demo::options(options) } else { options };
    let engine = Engine::open(args.data(), options)?;
    if serve.confirm_clock {
        engine.confirm_clock();
    }
    let demo = serve.demo.then(|| Demo::begin(&engine)).transpose()?;
    let mut told = Ok(());
    server::run(engine, config, |address, tls| {
        let scheme = if tls { "https" } else { "http" };
        told = say(out, &format!("{scheme}://{address}"));
    })?;
    drop(demo);
    told
}

/// Where it listens: the first line of the output, for whoever started it.
fn say(out: &mut Output, url: &str) -> Outcome {
    if out.is_json() {
        out.named("serve", &serde_json::json!({ "url": url }))?;
    } else {
        out.text(format_args!("listening on {url}"))?;
    }
    out.flush()
}

/// Prints a new token, and what the server keeps of it.
pub fn token(scope: &str, prefix: &str, out: &mut Output) -> Outcome {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|error| {
        Failure::Engine(Error::Io { what: "cannot get random bytes".to_owned(), source: std::io::Error::other(error) })
    })?;
    let token = format!("tl_{}", server::hex(&random));
    let hash = server::hex(&server::hash(&token));
    let line = [hash.as_str(), scope, prefix].join(" ");
    let line = line.trim_end();
    if out.is_json() {
        return out.named("token", &serde_json::json!({ "token": token, "line": line }));
    }
    out.text(format_args!("the token, for the client; it is not kept here:\n  {token}\nthe line for the server's file of tokens:\n  {line}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn sizes_of_the_server_have_units_too() {
        let read = |size: &str| Args::try_parse_from(["tidelog", "serve", "--page-bytes", size]);
        for (size, bytes) in [("4M", 4 << 20), ("4194304", 4 << 20)] {
            let Command::Serve(serve) = read(size).unwrap().command else { panic!("it is another command") };
            assert_eq!(serve.settings.page_bytes, Some(bytes), "{size}");
        }
        assert!(read("4X").unwrap_err().to_string().contains("a number with K, M, G or T"));
    }
}
