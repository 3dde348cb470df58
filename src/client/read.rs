//! Reading one dataset.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ureq::http::header::IF_NONE_MATCH;

use super::answers;
use super::error::{Error, Result};
use super::path::{Query, path};
use super::transport::{Answer, Call, Client};
use super::wire::{Digits, EntriesWire, EntryWire, ListEndWire, NameBody, PageWire, cursor, entries, needed};
use crate::{Cursor, EntityRow, Entry, Limits, Page, SyncKey};

/// One entity as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The key of its newest entry: its tag, and what [`Expect::At`](crate::Expect::At) takes.
    pub key: SyncKey,
    /// Its payload.
    pub payload: Bytes,
    /// The time of the commit, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The client or device that made the change, if it named itself.
    pub origin: Option<Bytes>,
}

/// An entity compared with what the caller holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// It is still as the caller holds it.
    Same,
    /// It is another by now.
    Changed(Stored),
    /// It does not exist.
    Gone,
}

/// One page of tags, in the order of the entities' ids.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagPage {
    /// The entities and their keys.
    pub tags: Vec<EntityRow>,
    /// Whether there are more: ask again after the last one.
    pub more: bool,
}

impl Client {
    /// An entity as it is now; none if it, or its dataset, does not exist.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub fn get(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>) -> Result<Option<Stored>> {
        let call = Call::get(path(&[b"datasets", dataset.as_ref(), b"entities", entity.as_ref()])?);
        match self.call(&call) {
            Ok(answer) => stored(answer).map(Some),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An entity, if it is another than the one the caller holds, whose key this is.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub fn refresh(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>, held: SyncKey) -> Result<Refreshed> {
        let call = Call::get(path(&[b"datasets", dataset.as_ref(), b"entities", entity.as_ref()])?);
        match self.call(&call.header(IF_NONE_MATCH, answers::tag(held)?)) {
            Ok(answer) if answer.status == 304 => Ok(Refreshed::Same),
            Ok(answer) => stored(answer).map(Refreshed::Changed),
            Err(Error::NotFound(_)) => Ok(Refreshed::Gone),
            Err(error) => Err(error),
        }
    }

    /// Several entities, all as of one moment, and the cursor from which to go on. None for one that does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such dataset.
    pub fn get_many(
        &self,
        dataset: impl AsRef<[u8]>,
        entities: &[impl AsRef<[u8]>],
    ) -> Result<(Vec<Option<Entry>>, Cursor)> {
        let names = entities.iter().map(|entity| NameBody::of(entity.as_ref())).collect();
        let call = Call::post(path(&[b"datasets", dataset.as_ref(), b"get"])?, &GetBody { entities: names })?;
        let answer = self.call(&call)?;
        let wire: GetWire<'_> = answer.json()?;
        let entries: Result<Vec<_>> =
            wire.entries.into_iter().map(|entry| entry.map(EntryWire::entry).transpose()).collect();
        Ok((entries?, cursor(&wire.next)?))
    }

    /// The newest `limit` entries of one entity, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such dataset or entity.
    pub fn history(&self, dataset: impl AsRef<[u8]>, entity: impl AsRef<[u8]>, limit: usize) -> Result<Vec<Entry>> {
        let path = path(&[b"datasets", dataset.as_ref(), b"entities", entity.as_ref(), b"history"])?;
        let answer = self.call(&Call::get(Query::of(path).add("limit", limit.to_string()).text()))?;
        entries(answer.json::<EntriesWire<'_>>()?.entries)
    }

    /// What changed in a dataset since a cursor: the next page.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the cursor is too old; [`Error::NotFound`] if there is no such dataset.
    pub fn changes(&self, dataset: impl AsRef<[u8]>, cursor: &Cursor, limits: Limits) -> Result<Page> {
        self.wait_changes(dataset, cursor, limits, Duration::ZERO)
    }

    /// The next page; if nothing is due, waits for it for so long (long-poll; the server may allow less). The page is empty
    /// if nothing came.
    ///
    /// # Errors
    ///
    /// Those of [`changes`](Client::changes).
    pub fn wait_changes(
        &self,
        dataset: impl AsRef<[u8]>,
        cursor: &Cursor,
        limits: Limits,
        wait: Duration,
    ) -> Result<Page> {
        let query = Query::of(path(&[b"datasets", dataset.as_ref(), b"changes"])?).since(cursor).limits(limits);
        let seconds = (!wait.is_zero()).then(|| wait.as_secs_f64().to_string());
        let answer = self.call(&Call::get(query.maybe("wait", seconds).text()).wait(wait))?;
        answer.json::<PageWire<'_>>()?.page()
    }

    /// The dataset's live entities and their tags (keys) after one, in the order of their ids, `limit` of them: for a
    /// client without a cursor, which compares and fetches what differs.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such dataset.
    pub fn tags(&self, dataset: impl AsRef<[u8]>, after: Option<&[u8]>, limit: usize) -> Result<TagPage> {
        let mut query = Query::of(path(&[b"datasets", dataset.as_ref(), b"tags"])?).add("limit", limit.to_string());
        query = match after.map(|after| (std::str::from_utf8(after), after)) {
            Some((Ok(text), _)) => query.add("after", text),
            Some((Err(_), bytes)) => query.add("after_base64", super::wire::encode(bytes)),
            None => query,
        };
        let answer = self.call(&Call::get(query.text()))?;
        let wire: TagsWire = answer.json()?;
        let tags: Result<Vec<_>> = wire.tags.into_iter().map(TagWire::row).collect();
        Ok(TagPage { tags: tags?, more: wire.page.more })
    }
}

fn stored(answer: Answer) -> Result<Stored> {
    let time_ms = answer.text("tidelog-time").and_then(|time| time.parse().ok());
    Ok(Stored {
        key: answers::etag(&answer)?,
        time_ms: time_ms.ok_or_else(|| Error::unexpected("an entity without its time"))?,
        origin: answer.headers.get("tidelog-origin").map(|origin| Bytes::copy_from_slice(origin.as_bytes())),
        payload: answer.body.into(),
    })
}

#[derive(Serialize)]
struct GetBody<'a> {
    entities: Vec<NameBody<'a>>,
}

#[derive(Deserialize)]
struct GetWire<'a> {
    #[serde(borrow)]
    entries: Vec<Option<EntryWire<'a>>>,
    next: String,
}

#[derive(Deserialize)]
struct TagsWire {
    tags: Vec<TagWire>,
    page: ListEndWire,
}

#[derive(Deserialize)]
struct TagWire {
    entity: Option<String>,
    entity_base64: Option<String>,
    tag: Digits,
}

impl TagWire {
    fn row(self) -> Result<EntityRow> {
        let entity = needed("entity", self.entity, self.entity_base64)?;
        Ok(EntityRow { entity, key: SyncKey::new(self.tag.0) })
    }
}
