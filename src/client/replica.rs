use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::error::{Error, Result};
use super::local::{Local, apply};
use super::problem::Problem;
use super::transport::Client;
use crate::{Cursor, Entry, Limits, SyncKey, View};

/// The kind of problem that says that a dataset does not exist: a 404 alone may be anybody's.
const NO_DATASET: &str = "dataset_not_found";

/// A local copy of one dataset, kept in step with the server's.
///
/// It goes on from the cursor that its [`Local`] stores. If that has gone stale, the whole dataset is read again, and the
/// new copy takes the place of the old one only when it is complete. For datasets that keep their live state
/// ([`Keep::Live`](crate::Keep::Live)).
///
/// ```no_run
/// use std::time::Duration;
/// use tidelog::client::{Client, Memory, Replica};
///
/// let client = Client::new("http://127.0.0.1:7171")?;
/// let mut replica = Replica::new(client, "calendar", Memory::new());
/// replica.catch_up()?; // exactly the server's state at this moment
/// let kept = replica.into_local(); // for the next time
/// # Ok::<(), tidelog::client::Error>(())
/// ```
#[derive(Debug)]
pub struct Replica<L> {
    client: Client,
    dataset: Bytes,
    limits: Limits,
    local: L,
}

/// What a call of [`Replica`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Entries applied.
    pub entries: usize,
    /// Whether the whole copy was replaced.
    pub reset: bool,
    /// The key up to which the copy is now exactly the dataset's state; 0 if there is no such dataset.
    pub position: SyncKey,
}

impl<L: Local> Replica<L> {
    /// A copy of `dataset`, going on from what `local` holds.
    pub fn new(client: Client, dataset: impl Into<Bytes>, local: L) -> Replica<L> {
        Replica { client, dataset: dataset.into(), limits: Limits::default(), local }
    }

    /// How much one answer holds, entries and bytes.
    pub fn limits(self, limits: Limits) -> Replica<L> {
        let limits = Limits { payloads: true, ..limits.view(View::Latest) };
        Replica { limits, ..self }
    }

    /// The copy.
    pub fn local(&self) -> &L {
        &self.local
    }

    /// The copy, to keep.
    pub fn into_local(self) -> L {
        self.local
    }

    /// Reads what changed, to the end. Then the copy is exactly the server's state at one moment. A dataset that does not
    /// exist has an empty copy.
    ///
    /// # Errors
    ///
    /// Those of [`Client::changes`] but for the stale and those of a missing dataset, and [`Error::Local`]. What was
    /// applied before stays: the next call goes on from there.
    pub fn catch_up(&mut self) -> Result<Progress> {
        self.follow(Duration::ZERO)
    }

    /// The same; if nothing is due, waits for it for so long.
    ///
    /// # Errors
    ///
    /// Those of [`catch_up`](Replica::catch_up).
    pub fn follow(&mut self, mut wait: Duration) -> Result<Progress> {
        let mut progress = Progress::default();
        loop {
            let cursor = self.local.cursor().unwrap_or(Cursor::START);
            let page = match self.client.wait_changes(&self.dataset, &cursor, self.limits, wait) {
                Ok(page) => page,
                Err(Error::Stale(problem)) => return self.reset(&problem, cursor),
                Err(Error::NotFound(problem)) if problem.kind == NO_DATASET => {
                    progress.reset = self.local.cursor().is_some();
                    self.local.replace(BTreeMap::new(), Cursor::START).map_err(Error::Local)?;
                    return Ok(progress);
                }
                Err(error) => return Err(error),
            };
            progress.entries += page.entries.len();
            progress.position = page.position;
            self.local.apply(page.entries.into_iter().collect(), page.next).map_err(Error::Local)?;
            if !page.more {
                return Ok(progress);
            }
            wait = Duration::ZERO;
        }
    }

    /// Puts a complete new copy in the place of the one that cannot be mended.
    fn reset(&mut self, why: &Problem, refused: Cursor) -> Result<Progress> {
        // The start itself is gone of a dataset that was a window once: then what is still there is all there is.
        let again = |refused| if refused == Cursor::START { Cursor::oldest() } else { Cursor::START };
        let (mut pause, mut from) = (why.retry_after, again(refused));
        loop {
            // Others have gone stale at the same moment: the server spreads them over a time.
            std::thread::sleep(pause.unwrap_or_default());
            match self.whole(from) {
                Ok((entries, cursor, position)) => {
                    let progress = Progress { entries: entries.len(), reset: true, position };
                    self.local.replace(entries, cursor).map_err(Error::Local)?;
                    return Ok(progress);
                }
                // Or it was overtaken while it read.
                Err(Error::Stale(problem)) => (pause, from) = (problem.retry_after, again(from)),
                Err(Error::NotFound(problem)) if problem.kind == NO_DATASET => {
                    self.local.replace(BTreeMap::new(), Cursor::START).map_err(Error::Local)?;
                    return Ok(Progress { reset: true, ..Progress::default() });
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn whole(&self, mut cursor: Cursor) -> Result<(BTreeMap<Bytes, Entry>, Cursor, SyncKey)> {
        let mut entries = BTreeMap::new();
        loop {
            let page = self.client.changes(&self.dataset, &cursor, self.limits)?;
            apply(&mut entries, page.entries.into_iter().collect());
            cursor = page.next;
            if !page.more {
                return Ok((entries, cursor, page.position));
            }
        }
    }
}
