//! How much may be under way at once. What is beyond a gate is refused at once, never queued without bound.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::closing::Closing;
use super::config::Config;
use super::problem::{Problem, jitter};

/// Who is counted as one client: the token it shows, else the address it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Client {
    /// By the hash of its token.
    Token([u8; 32]),
    /// By its address.
    Address(IpAddr),
}

/// How long a client waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It wants an answer, and can come back.
    Some,
    /// It follows what comes, and has asked for nothing now.
    Endless,
}

/// A place among those who read from the start, given back when nobody holds it any more.
pub type FullSync = Arc<OwnedSemaphorePermit>;

/// What memory is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Bodies, and what they are made into.
    Bodies,
    /// What those hold who wait for changes: so long as they do, it must not be lacking for bodies.
    Waits,
}

/// The unit in which memory is counted.
const UNIT: usize = 1 << 10;

/// The gates of a server.
#[derive(Debug)]
pub struct Gates {
    full_syncs: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    most_page_units: usize,
    patience: Duration,
    bodies: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    waiters: Arc<Waiters>,
    closing: Closing,
}

#[derive(Debug)]
struct Waiters {
    by_client: Mutex<HashMap<Client, usize>>,
    per_client: usize,
}

/// A place among the waiters of a client, given back when dropped.
#[derive(Debug)]
pub struct WaiterPlace {
    waiters: Arc<Waiters>,
    client: Client,
}

impl Gates {
    /// Gates as configured. From `closing` on nobody waits at them.
    pub fn new(config: &Config, closing: Closing) -> Gates {
        let units = |bytes: usize| (bytes / UNIT).clamp(1, u32::MAX as usize >> 4);
        let most_page_units = units(config.page_memory);
        Gates {
            full_syncs: Arc::new(Semaphore::new(config.full_syncs)),
            pages: Arc::new(Semaphore::new(most_page_units)),
            most_page_units,
            patience: config.patience,
            bodies: Arc::new(Semaphore::new(units(config.body_memory))),
            waits: Arc::new(Semaphore::new(units(config.wait_memory))),
            waiters: Arc::new(Waiters { by_client: Mutex::default(), per_client: config.waiters_per_client }),
            closing,
        }
    }

    /// Leave to read from the start, held until the answer is sent.
    ///
    /// # Errors
    ///
    /// `busy`, with a time to come back that differs from client to client.
    pub fn full_sync(&self) -> Result<FullSync, Problem> {
        Arc::clone(&self.full_syncs).try_acquire_owned().map(Arc::new).map_err(|_| {
            Problem::busy("too many clients are reading everything at once; come back later").retry_after(jitter(1, 10))
        })
    }

    /// Leave to hold a page of up to `bytes` in memory, until the answer is sent. It waits for its turn: pages that are
    /// being sent to clients that read make room soon, and clients that do not read are cut off.
    ///
    /// # Errors
    ///
    /// `busy` if its turn does not come while the client has [`Patience`], `closed` if it would have to wait and the
    /// server stops.
    pub async fn page(&self, bytes: usize, patience: Patience) -> Result<OwnedSemaphorePermit, Problem> {
        let page = async {
            tokio::select! {
                // Who is answered because the server stops has its turn, if there is room.
                biased;
                page = Arc::clone(&self.pages).acquire_many_owned(self.page_units(bytes)) => page.ok(),
                () = self.closing.wait() => None,
            }
        };
        let turn = match patience {
            Patience::Some => timeout(self.patience, page).await,
            Patience::Endless => Ok(page.await),
        };
        match turn {
            Ok(page) => page.ok_or_else(Problem::closing),
            Err(_) => Err(Problem::busy("answers to other clients take all the memory there is for them")),
        }
    }

    /// The same as [`Gates::page`] if there is room now.
    pub fn page_now(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.pages).try_acquire_many_owned(self.page_units(bytes)).ok()
    }

    fn page_units(&self, bytes: usize) -> u32 {
        bytes.div_ceil(UNIT).clamp(1, self.most_page_units) as u32
    }

    /// The largest page that leave can be had for; one that is larger counts as this.
    pub fn most_page_bytes(&self) -> usize {
        self.most_page_units * UNIT
    }

    /// Leave to hold `bytes`, of which some may be held already. It does not wait: those who hold a part of their bodies
    /// would wait for each other.
    ///
    /// # Errors
    ///
    /// `busy`.
    pub fn memory(&self, of: Use, bytes: usize, held: &mut Option<OwnedSemaphorePermit>) -> Result<(), Problem> {
        let (free, refusal) = match of {
            Use::Bodies => (&self.bodies, "the bodies of requests under way take all the memory there is for them"),
            Use::Waits => (&self.waits, "those who wait for many datasets take all the memory there is for them"),
        };
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(UNIT).saturating_sub(has).min(u32::MAX as usize >> 4) as u32;
        if more > 0 {
            let permit = Arc::clone(free).try_acquire_many_owned(more).map_err(|_| Problem::busy(refusal))?;
            match held {
                Some(held) => held.merge(permit),
                None => *held = Some(permit),
            }
        }
        Ok(())
    }

    /// A place for one more wait or stream of this client.
    ///
    /// # Errors
    ///
    /// `too_many_waiters`.
    pub fn waiter(&self, client: &Client) -> Result<WaiterPlace, Problem> {
        let mut by_client = self.waiters.by_client.lock();
        let waiting = by_client.entry(client.clone()).or_default();
        if *waiting >= self.waiters.per_client {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_waiters",
                format!("this client holds {waiting} waits and streams already; end some, or use one socket for many datasets"),
            )
            .retry_after(jitter(1, 10)));
        }
        *waiting += 1;
        Ok(WaiterPlace { waiters: Arc::clone(&self.waiters), client: client.clone() })
    }

    /// How many waits and streams there are.
    pub fn waiting(&self) -> usize {
        self.waiters.by_client.lock().values().sum()
    }
}

/// Gives back what a page proved not to need.
pub fn fit(mut page: OwnedSemaphorePermit, bytes: usize) -> OwnedSemaphorePermit {
    let units = bytes.div_ceil(UNIT).max(1);
    // What is split off is given back as it is dropped.
    drop(page.split(page.num_permits().saturating_sub(units)));
    page
}

impl Drop for WaiterPlace {
    fn drop(&mut self) {
        let mut by_client = self.waiters.by_client.lock();
        if let Some(waiting) = by_client.get_mut(&self.client) {
            *waiting -= 1;
            if *waiting == 0 {
                by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::super::config::Settings;
    use super::*;

    #[tokio::test]
    async fn at_the_end_there_is_room_for_whom_there_is_and_nobody_waits_for_more() {
        let closing = Closing::default();
        let gates = Gates::new(&Settings::default().resolve().unwrap(), closing.clone());
        closing.begin();
        let all = gates.page(gates.most_page_bytes(), Patience::Some).await.unwrap();
        let refused = gates.page(1, Patience::Endless).await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(all);
        drop(gates.page(1, Patience::Endless).await.unwrap());
    }
}
