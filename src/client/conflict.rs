//! The two rules of [`tidelog::conflict`](crate::conflict) for two writers of one entity, over the network.

use bytes::Bytes;

use super::error::{Error, Result};
use super::read::Stored;
use super::transport::Client;
use crate::{Commit, Expect};

impl Client {
    /// Writes what `merge` makes of the stored payload (none: the entity does not exist), and asks it again if another
    /// writer was faster. `merge` returns none to leave the entity as it is; then none is returned.
    ///
    /// ```no_run
    /// # let client = tidelog::client::Client::new("http://127.0.0.1:7171")?;
    /// // A counter in text: adds one, whoever else does so at the same time.
    /// client.merge("counters", "visits", |stored| {
    ///     let stored = stored.and_then(|stored| std::str::from_utf8(stored).ok()).unwrap_or("0");
    ///     let count: u64 = stored.parse().unwrap_or(0);
    ///     Some((count + 1).to_string().into())
    /// })?;
    /// # Ok::<(), tidelog::client::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`get`](Client::get) and [`put_if`](Client::put_if), but for [`Error::Conflict`].
    pub fn merge(
        &self,
        dataset: impl AsRef<[u8]>,
        entity: impl AsRef<[u8]>,
        mut merge: impl FnMut(Option<&[u8]>) -> Option<Bytes>,
    ) -> Result<Option<Commit>> {
        let (dataset, entity) = (dataset.as_ref(), entity.as_ref());
        loop {
            let stored = self.get(dataset, entity)?;
            let Some(merged) = merge(stored.as_ref().map(|stored| &stored.payload[..])) else { return Ok(None) };
            match self.put_if(dataset, entity, merged, unchanged(stored.as_ref())) {
                Err(Error::Conflict(_)) => {}
                outcome => return outcome.map(Some),
            }
        }
    }

    /// Writes `payload` unless the stored one is of the same or a newer version: the last writer wins, in whatever order
    /// the writes arrive. `version` tells the version of a payload, a timestamp or a counter that the clients keep in it.
    ///
    /// Returns the commit, or none if what is stored wins. A deleted entity has no version, so any write brings it back.
    ///
    /// # Errors
    ///
    /// Those of [`merge`](Client::merge).
    pub fn last_writer_wins<V: Ord>(
        &self,
        dataset: impl AsRef<[u8]>,
        entity: impl AsRef<[u8]>,
        payload: impl Into<Bytes>,
        version: impl Fn(&[u8]) -> V,
    ) -> Result<Option<Commit>> {
        let payload = payload.into();
        self.merge(dataset, entity, |stored| match stored {
            Some(stored) if version(stored) >= version(&payload) => None,
            _ => Some(payload.clone()),
        })
    }
}

/// The expectation that an entity is still as it was read.
fn unchanged(stored: Option<&Stored>) -> Expect {
    stored.map_or(Expect::Absent, |stored| Expect::At(stored.key))
}
