//! Groups: lists of datasets that the server keeps, and for each device how far it is.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ureq::http::Method;

use super::error::Result;
use super::many::{Budget, PartOf, PartWire, parts};
use super::path::path;
use super::transport::{Call, Client};
use super::wire::{NameBody, NameWire};
use crate::Limits;

/// One call of [`Client::group_sync`].
#[derive(Debug, Clone)]
pub struct GroupSync<'a> {
    device: &'a str,
    ack: Option<&'a str>,
    limits: Limits,
    wait: Duration,
}

impl<'a> GroupSync<'a> {
    /// For this device, with nothing to acknowledge.
    pub fn of(device: &'a str) -> GroupSync<'a> {
        GroupSync { device, ack: None, limits: Limits::default(), wait: Duration::ZERO }
    }

    /// Everything up to the answer with this [`ack`](GroupPage::ack) was applied and stored. Only that moves the device's
    /// position: what was not acknowledged comes again.
    pub fn ack(self, ack: &'a str) -> GroupSync<'a> {
        GroupSync { ack: Some(ack), ..self }
    }

    /// How much an answer holds of all datasets together: entries and bytes.
    pub fn limits(self, limits: Limits) -> GroupSync<'a> {
        GroupSync { limits, ..self }
    }

    /// If nothing is due, wait for it for so long.
    pub fn wait(self, wait: Duration) -> GroupSync<'a> {
        GroupSync { wait, ..self }
    }
}

/// The answer of [`Client::group_sync`].
#[derive(Debug)]
#[non_exhaustive]
pub struct GroupPage {
    /// Those datasets of the group of which there is something to say.
    pub datasets: Vec<PartOf>,
    /// Whether there is more.
    pub more: bool,
    /// What to acknowledge with the next call, once this answer is applied and stored.
    pub ack: String,
}

impl Client {
    /// Makes a group of these datasets, or gives it new ones. If an answer is lost, it is given them once more, over what
    /// others may have given it meanwhile.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub fn put_group(&self, group: impl AsRef<[u8]>, datasets: &[impl AsRef<[u8]>]) -> Result<()> {
        let names = datasets.iter().map(|dataset| NameBody::of(dataset.as_ref())).collect();
        let call = Call::new(Method::PUT, path(&[b"groups", group.as_ref()])?).json(&GroupBody { datasets: names })?;
        self.call(&call).map(drop)
    }

    /// The datasets of a group.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](super::Error::NotFound) if there is no such group.
    pub fn group(&self, group: impl AsRef<[u8]>) -> Result<Vec<Bytes>> {
        let answer = self.call(&Call::get(path(&[b"groups", group.as_ref()])?))?;
        answer.json::<GroupWire>()?.datasets.into_iter().map(NameWire::bytes).collect()
    }

    /// What a device has not seen of a whole group, in as few answers as the limits allow.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](super::Error::NotFound) if there is no such group.
    pub fn group_sync(&self, group: impl AsRef<[u8]>, sync: &GroupSync<'_>) -> Result<GroupPage> {
        let GroupSync { device, ack, limits, wait } = *sync;
        let body = GroupSyncBody { device, ack, budget: Budget::of_size(limits, wait) };
        let answer = self.call(&Call::post(path(&[b"groups", group.as_ref(), b"sync"])?, &body)?.wait(wait))?;
        let wire: GroupPageWire<'_> = answer.json()?;
        Ok(GroupPage { datasets: parts(wire.datasets)?, more: wire.more, ack: wire.ack })
    }
}

#[derive(Serialize)]
struct GroupBody<'a> {
    datasets: Vec<NameBody<'a>>,
}

#[derive(Deserialize)]
struct GroupWire {
    datasets: Vec<NameWire>,
}

#[derive(Serialize)]
struct GroupSyncBody<'a> {
    device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<&'a str>,
    #[serde(flatten)]
    budget: Budget,
}

#[derive(Deserialize)]
struct GroupPageWire<'a> {
    #[serde(borrow)]
    datasets: Vec<PartWire<'a>>,
    more: bool,
    ack: String,
}
