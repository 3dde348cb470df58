//! The sync server: `tidelog serve`. The only asynchronous code of the crate, over its public interface alone.
//!
//! `docs/http.md` says what it answers. Not part of the public interface: run the command.

mod answer;
mod api;
mod app;
mod arriving;
mod auth;
mod closing;
mod config;
mod extract;
mod follow;
mod gates;
mod guard;
mod held;
mod inflate;
mod listen;
mod pace;
mod problem;
mod reading;
mod tags;
mod tickets;
mod wait;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use auth::{Scope, hash, hex};
pub use config::{Config, Settings};

use app::App;
use tokio::signal::unix::{SignalKind, signal};

use crate::{Engine, Error, Result};

/// How often the file of tokens is looked at.
const TOKENS_EVERY: Duration = Duration::from_secs(2);
/// Threads that may read the disk at once.
const READERS: usize = 64;

/// Serves the store until SIGINT or SIGTERM, and closes it then. `ready` is told the address.
///
/// # Errors
///
/// [`Error::Invalid`] for what is wrong with the configuration, [`Error::Io`] if the address cannot be listened on, and
/// those of [`Engine::close`].
pub fn run(engine: Engine, config: Config, ready: impl FnOnce(SocketAddr, bool)) -> Result<()> {
    let tls = listen::tls(&config)?;
    let app = Arc::new(App::new(engine.clone(), config)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(READERS)
        .thread_name("tidelog-serve")
        .build()
        .map_err(|source| io("start the server's threads", source))?;
    let served = runtime.block_on(async {
        let listener = listen::bind(app.config.listen).map_err(|source| {
            io(&format!("listen on {} (--listen names another address)", app.config.listen), source)
        })?;
        let address = listener.local_addr().map_err(|source| io("learn the address", source))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|source| io("listen to signals", source))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(|source| io("listen to signals", source))?;
        let routes = Arc::new(api::Routes::new(&app));
        let closing = app.closing.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            closing.begin();
            // A second one does not wait for anybody.
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
        tokio::spawn(keep_tokens(Arc::clone(&app)));
        ready(address, tls.is_some());
        listen::serve(Arc::clone(&app), listener, tls, routes).await;
        Ok(())
    });
    // Reads under way hold the store; they end by themselves.
    runtime.shutdown_timeout(Duration::from_secs(10));
    let closed = engine.close();
    served.and(closed)
}

/// Reads the tokens again when their file changes.
async fn keep_tokens(app: Arc<App>) {
    let mut tick = tokio::time::interval(TOKENS_EVERY);
    loop {
        tick.tick().await;
        app.tokens.reload();
    }
}

fn io(what: &str, source: std::io::Error) -> Error {
    Error::Io { what: what.to_owned(), source }
}
