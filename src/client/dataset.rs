//! Datasets as a whole.

use serde::{Deserialize, Serialize};
use ureq::http::Method;

use super::error::{Error, Result};
use super::path::{Query, path};
use super::transport::{Answer, Call, Client};
use super::wire::{Digits, ListEndWire, encode, needed};
use crate::{Cap, DatasetStat, Keep, NamePage, Retention, SyncKey};

impl Client {
    /// The names of datasets that begin with this, after one, `limit` of them, in byte order.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub fn datasets(&self, prefix: impl AsRef<[u8]>, after: Option<&[u8]>, limit: usize) -> Result<NamePage> {
        let mut query = Query::of(path(&[b"datasets"])?).add("limit", limit.to_string());
        let prefix = Some(prefix.as_ref()).filter(|prefix| !prefix.is_empty());
        for (name, base64, bytes) in [("prefix", "prefix_base64", prefix), ("after", "after_base64", after)] {
            query = match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
                Some((Ok(text), _)) => query.add(name, text),
                Some((Err(_), bytes)) => query.add(base64, encode(bytes)),
                None => query,
            };
        }
        let answer = self.call(&Call::get(query.text()))?;
        let wire: DatasetsWire = answer.json()?;
        let names: Result<Vec<_>> =
            wire.datasets.into_iter().map(|row| needed("dataset", row.dataset, row.dataset_base64)).collect();
        Ok(NamePage { names: names?, more: wire.page.more })
    }

    /// What a dataset holds.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such dataset.
    pub fn stat(&self, dataset: impl AsRef<[u8]>) -> Result<DatasetStat> {
        stat(&self.call(&Call::get(path(&[b"datasets", dataset.as_ref()])?))?)
    }

    /// Sets how much of a dataset's past is kept. Needs an `admin` token where there are tokens. If an answer is lost, it is
    /// set once more, over what others may have set meanwhile.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub fn set_retention(&self, dataset: impl AsRef<[u8]>, retention: &Retention) -> Result<DatasetStat> {
        let body = RetentionBody { retention: RetentionFields::of(retention) };
        let call = Call::new(Method::PATCH, path(&[b"datasets", dataset.as_ref()])?).json(&body)?;
        stat(&self.call(&call)?)
    }

    /// Deletes a dataset with all its entries; false if there was none. Needs an `admin` token where there are tokens.
    ///
    /// # Errors
    ///
    /// Those of any call. It is not tried again if its answer is lost, or it could delete what others have made since:
    /// after [`Error::Unavailable`] look whether it is there.
    pub fn delete_dataset(&self, dataset: impl AsRef<[u8]>) -> Result<bool> {
        self.found(&Call::new(Method::DELETE, path(&[b"datasets", dataset.as_ref()])?).once())
    }

    /// Makes a call that may find nothing to do.
    pub(super) fn found(&self, call: &Call) -> Result<bool> {
        match self.call(call) {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[derive(Deserialize)]
struct DatasetsWire {
    datasets: Vec<DatasetWire>,
    page: ListEndWire,
}

#[derive(Deserialize)]
struct DatasetWire {
    dataset: Option<String>,
    dataset_base64: Option<String>,
}

#[derive(Serialize)]
struct RetentionBody {
    retention: RetentionFields,
}

#[derive(Serialize, Deserialize)]
struct RetentionFields {
    keep: KeepWord,
    history: Cap,
    tombstones: Cap,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeepWord {
    Live,
    Window,
}

impl RetentionFields {
    fn of(retention: &Retention) -> RetentionFields {
        let keep = match retention.keep {
            Keep::Live => KeepWord::Live,
            Keep::Window => KeepWord::Window,
        };
        RetentionFields { keep, history: retention.history, tombstones: retention.tombstones }
    }

    fn retention(self) -> Retention {
        let keep = match self.keep {
            KeepWord::Live => Keep::Live,
            KeepWord::Window => Keep::Window,
        };
        Retention { keep, history: self.history, tombstones: self.tombstones }
    }
}

#[derive(Deserialize)]
struct StatWire {
    head: Digits,
    first: Digits,
    history_floor: Digits,
    floor: Digits,
    entries: u64,
    bytes: u64,
    superseded: u64,
    tombstones: u64,
    time: u64,
    retention: RetentionFields,
}

fn stat(answer: &Answer) -> Result<DatasetStat> {
    let wire: StatWire = answer.json()?;
    Ok(DatasetStat {
        head: SyncKey::new(wire.head.0),
        first: SyncKey::new(wire.first.0),
        history_floor: SyncKey::new(wire.history_floor.0),
        floor: SyncKey::new(wire.floor.0),
        entries: wire.entries,
        bytes: wire.bytes,
        superseded: wire.superseded,
        tombstones: wire.tombstones,
        retention: wire.retention.retention(),
        time_ms: wire.time,
    })
}
