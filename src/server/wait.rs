//! Waiting until there is something to read.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::problem::Problem;
use crate::{Engine, SyncKey, Watch};

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

/// Waits for a dataset to change.
#[derive(Debug)]
pub struct Waiting(Option<Watch>);

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Ready(()), |watch| Pin::new(watch).poll(cx))
    }
}

/// Wakes when the head of one of these datasets passes the key beside it, or one that has a head is gone, at once if it is
/// already. They need not exist yet.
///
/// It holds a few hundred bytes and no page; a place among the client's waiters ([`Gates::waiter`](super::gates::Gates::waiter))
/// is the caller's to hold. In place: it looks at what is in memory.
///
/// # Errors
///
/// `busy` above the store's limit on watchers, `closed`.
pub fn watch(engine: &Engine, datasets: &[(&[u8], SyncKey)]) -> crate::Result<Waiting> {
    let watch = engine.watch(datasets)?;
    // One that was deleted before it was watched wakes nobody.
    for (name, _) in datasets.iter().filter(|(_, head)| *head > SyncKey::ZERO) {
        if !engine.exists(name)? {
            return Ok(Waiting(None));
        }
    }
    Ok(Waiting(Some(watch)))
}

/// Waits as [`watch`] says, until a time.
///
/// # Errors
///
/// As [`watch`].
pub async fn changed(app: &App, datasets: &[(&[u8], SyncKey)], until: Instant) -> Result<Woken, Problem> {
    let waiting = watch(&app.engine, datasets)?;
    Ok(woken(app, waiting, until).await)
}

/// Waits until a time.
pub async fn woken(app: &App, waiting: Waiting, until: Instant) -> Woken {
    tokio::select! {
        biased;
        woken = timeout_at(until, waiting) => if woken.is_ok() { Woken::Changed } else { Woken::TimedOut },
        () = app.closing.wait() => Woken::Closing,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{Batch, Options};

    #[test]
    fn a_dataset_deleted_before_it_was_watched_wakes_whoever_held_something_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path().join("store"), Options::default().memory(16 << 20)).unwrap();
        let mut batch = Batch::new();
        batch.put("d", "e", "1").put("other", "e", "1");
        let head = engine.append(batch).unwrap().last;
        let wakes = |datasets: &[(&[u8], SyncKey)]| watch(&engine, datasets).unwrap().now_or_never().is_some();
        let (held, other) = ((&b"d"[..], SyncKey::new(1)), (&b"other"[..], head));
        assert!(!wakes(&[held, other]));
        engine.delete_dataset("d").unwrap();
        assert!(wakes(&[held, other]));
        assert!(!wakes(&[(b"d", SyncKey::ZERO), other]), "who holds nothing of it waits for it to begin");
    }
}
