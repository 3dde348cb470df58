//! Waiting until there is something to read.

use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::problem::Problem;
use crate::{SyncKey, Watch};

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// There is something.
    Changed,
    /// The time is over.
    TimedOut,
    /// The server is about to stop: answer what there is.
    Closing,
}

/// About what it takes to wait for a dataset, in bytes: its name is held two or three times, with a place among all who
/// wait for it.
pub fn watched(dataset: &[u8]) -> usize {
    640 + 3 * dataset.len()
}

/// Waits until the head of one of these datasets passes the key beside it, or one that was read is gone. They need not
/// exist yet. The key is the position of the page that was read last, not the head it told of: a page that ends a window
/// may leave entries between the two, and who waited for the head to move would sleep over them.
///
/// It holds a few hundred bytes and no page; a place among the client's waiters ([`Gates::waiter`](super::gates::Gates::waiter))
/// is the caller's to hold.
///
/// # Errors
///
/// `busy` above the store's limit on watchers, `closed`.
pub async fn changed(app: &App, datasets: &[(&[u8], SyncKey)], until: Instant) -> Result<Woken, Problem> {
    // In place: registering looks at what is in memory.
    let watch = app.engine.watch_held(datasets)?;
    Ok(woken(app, watch, until).await)
}

/// Waits for a watch.
pub async fn woken(app: &App, watch: Watch, until: Instant) -> Woken {
    tokio::select! {
        biased;
        woken = timeout_at(until, watch) => if woken.is_ok() { Woken::Changed } else { Woken::TimedOut },
        () = app.closing.wait() => Woken::Closing,
    }
}
