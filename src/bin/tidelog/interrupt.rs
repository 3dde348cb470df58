//! Ending well when a signal asks for it, so that the store is closed cleanly. A second signal ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use tidelog::Error;

use crate::failure::{Failure, Outcome};

/// Whether a signal came.
#[derive(Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on SIGINT and SIGTERM are noted.
    pub fn listen() -> Outcome<Interrupt> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down and puts it up, the second finds it up.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&came))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&came)))
                .map_err(|source| Failure::Engine(Error::Io { what: "cannot listen to signals".to_owned(), source }))?;
        }
        Ok(Interrupt(came))
    }

    /// Whether one came.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
