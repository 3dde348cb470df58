//! The two classic rules for two writers of one entity, over [`Expect`]: last writer wins, and merge.
//!
//! Both read the entity, decide, and write on the condition that it is still what was read; if it is not, they read
//! again. Each round that fails is one in which another writer got through, so they end.

use bytes::Bytes;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::types::{Batch, Commit, Entry, Expect};

/// Writes `payload` unless the stored one is of the same or a newer version: the last writer wins, in whatever order the
/// writes arrive. `version` tells the version of a payload, a timestamp or a counter that the clients keep in it.
///
/// Returns the commit, or none if what is stored wins. A deleted entity has no version, so any write brings it back.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("store");
/// # use tidelog::{Engine, Options};
/// # let engine = Engine::open(&dir, Options::default())?;
/// // The first eight bytes are the time of the edit.
/// let version = |payload: &[u8]| payload.first_chunk().map(|time| u64::from_be_bytes(*time));
/// let edit = |time: u64, text: &str| [&time.to_be_bytes()[..], text.as_bytes()].concat();
///
/// let late = tidelog::conflict::last_writer_wins(&engine, "notes", "n1", edit(20, "from the phone"), version)?;
/// let early = tidelog::conflict::last_writer_wins(&engine, "notes", "n1", edit(10, "from the laptop"), version)?;
/// assert!(late.is_some() && early.is_none());
/// # Ok::<(), tidelog::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`Engine::get`] and [`Engine::append`], but for `Conflict` and `DatasetNotFound`.
pub fn last_writer_wins<V: Ord>(
    engine: &Engine,
    dataset: impl Into<Bytes>,
    entity: impl Into<Bytes>,
    payload: impl Into<Bytes>,
    version: impl Fn(&[u8]) -> V,
) -> Result<Option<Commit>> {
    let payload = payload.into();
    merge(engine, dataset, entity, |stored| match stored {
        Some(stored) if version(stored) >= version(&payload) => None,
        _ => Some(payload.clone()),
    })
}

/// Writes what `merge` makes of the stored payload (none: the entity does not exist), and asks it again if another writer
/// was faster. `merge` returns none to leave the entity as it is; then none is returned.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("store");
/// # use tidelog::{Engine, Options};
/// # let engine = Engine::open(&dir, Options::default())?;
/// // A record of two fields, "name;phone": this client changed the phone only.
/// let with_phone = |stored: Option<&[u8]>| {
///     let stored = String::from_utf8_lossy(stored.unwrap_or_default()).into_owned();
///     let name = stored.split(';').next().unwrap_or_default().to_owned();
///     Some(format!("{name};555-0100").into())
/// };
/// tidelog::conflict::merge(&engine, "contacts", "c1", |_| Some("Ada;".into()))?;
/// tidelog::conflict::merge(&engine, "contacts", "c1", with_phone)?;
/// let merged = engine.get("contacts", "c1")?.and_then(|entry| entry.payload);
/// assert_eq!(merged.as_deref(), Some(&b"Ada;555-0100"[..]));
/// # Ok::<(), tidelog::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`Engine::get`] and [`Engine::append`], but for `Conflict` and `DatasetNotFound`.
pub fn merge(
    engine: &Engine,
    dataset: impl Into<Bytes>,
    entity: impl Into<Bytes>,
    mut merge: impl FnMut(Option<&[u8]>) -> Option<Bytes>,
) -> Result<Option<Commit>> {
    let (dataset, entity) = (dataset.into(), entity.into());
    loop {
        let stored = match engine.get(&dataset, &entity) {
            Err(Error::DatasetNotFound { .. }) => None,
            stored => stored?,
        };
        let Some(merged) = merge(stored.as_ref().and_then(|entry| entry.payload.as_deref())) else { return Ok(None) };
        let mut batch = Batch::new();
        batch.put(dataset.clone(), entity.clone(), merged).expect(unchanged(stored.as_ref()));
        match engine.append(batch) {
            Err(Error::Conflict { .. }) => {}
            outcome => return outcome.map(Some),
        }
    }
}

/// The expectation that an entity is still as it was read.
fn unchanged(stored: Option<&Entry>) -> Expect {
    stored.map_or(Expect::Absent, |entry| Expect::At(entry.key))
}
