//! What every request shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::auth::Tokens;
use super::closing::Closing;
use super::config::Config;
use super::gates::Gates;
use super::problem::Problem;
use super::tickets::Tickets;
use crate::Engine;

/// The server's state.
#[derive(Debug)]
pub struct App {
    /// The store.
    pub engine: Engine,
    /// What it runs by.
    pub config: Config,
    /// Who may do what.
    pub tokens: Tokens,
    /// Who may open a socket with what.
    pub tickets: Tickets,
    /// How much may be under way.
    pub gates: Gates,
    /// What it counts.
    pub counters: Counters,
    /// Whether it is about to stop.
    pub closing: Closing,
}

/// What the server counts of itself.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests answered, by the first digit of the status.
    pub answers: [AtomicU64; 6],
    /// Microseconds until their answers began, together.
    pub micros: AtomicU64,
    /// Connections open now.
    pub connections: AtomicU64,
}

impl Counters {
    /// Notes an answer.
    pub fn answered(&self, status: u16, micros: u64) {
        if let Some(answers) = self.answers.get(usize::from(status / 100)) {
            answers.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// What handlers are given.
pub type Shared = axum::extract::State<Arc<App>>;

impl App {
    /// A server of this store that runs by `config`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) for tokens that cannot be used.
    pub fn new(engine: Engine, config: Config) -> crate::Result<App> {
        let closing = Closing::default();
        Ok(App {
            engine,
            tokens: Tokens::load(config.tokens.clone())?,
            tickets: Tickets::default(),
            gates: Gates::new(&config, closing.clone()),
            counters: Counters::default(),
            closing,
            config,
        })
    }

    /// Does what may block, a read of the disk for instance, where it holds up nobody else.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> crate::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let engine = self.engine.clone();
        match tokio::task::spawn_blocking(move || work(&engine)).await {
            Ok(done) => Ok(done?),
            Err(error) => {
                tracing::error!(%error, "the work for a request broke off");
                Err(Problem::internal("the work for this request broke off"))
            }
        }
    }
}
