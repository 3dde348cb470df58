//! The datasets that a socket follows. One page is read at a time, whatever the number of datasets.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;
use tokio::sync::OwnedSemaphorePermit;

use super::{maybe, messages};
use crate::Watch;
use crate::server::app::App;
use crate::server::follow::{Follow, Written};
use crate::server::gates::{FullSync, Patience};
use crate::server::held::Held;
use crate::server::problem::Problem;
use crate::server::wait::watched;

/// Most datasets that a socket may follow.
pub const MAX_SUBSCRIPTIONS: usize = 4096;

/// A page that was read, or why there is none; with its subscription's number.
pub struct Read {
    number: u64,
    follow: Follow,
    outcome: Result<Written, Problem>,
}

/// The subscriptions of a socket.
pub struct Subscriptions {
    numbers: HashMap<Box<[u8]>, u64>,
    by_number: HashMap<u64, Subscription>,
    next: u64,
    /// Those with something to read.
    due: VecDeque<u64>,
    reading: Option<BoxFuture<'static, Read>>,
    /// A watch for each of the others. One for all of them would have to be made anew, and every dataset be looked at,
    /// whenever one of them changes.
    idle: FuturesUnordered<Abortable<Idle>>,
    /// The place of a client that reads everything, which those that do share.
    full: Weak<OwnedSemaphorePermit>,
    /// For what they all take.
    held: Held,
}

struct Subscription {
    follow: Follow,
    /// Whether it has said something yet: the first page is sent even if it is empty.
    begun: bool,
    /// The place, if all of it is read, until the last page of that is sent.
    full: Option<FullSync>,
    /// Ends its watch.
    idle: Option<AbortHandle>,
}

struct Idle {
    number: u64,
    watch: Watch,
}

impl Future for Idle {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        Pin::new(&mut self.watch).poll(cx).map(|()| self.number)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(idle) = &self.idle {
            idle.abort();
        }
    }
}

impl Subscriptions {
    /// None yet.
    pub fn new() -> Subscriptions {
        Subscriptions {
            numbers: HashMap::new(),
            by_number: HashMap::new(),
            next: 0,
            due: VecDeque::new(),
            reading: None,
            idle: FuturesUnordered::new(),
            full: Weak::new(),
            held: Held::for_waits(),
        }
    }

    /// Begins to follow a dataset, in place of what was followed of it before.
    ///
    /// # Errors
    ///
    /// `busy` if there are too many, or too many clients read from the start, or there is no memory for more.
    pub fn begin(&mut self, app: &App, follow: Follow) -> Result<(), Problem> {
        self.end(follow.dataset());
        if self.by_number.len() >= MAX_SUBSCRIPTIONS {
            return Err(Problem::busy(format!("a socket follows at most {MAX_SUBSCRIPTIONS} datasets")));
        }
        let full = if follow.is_from_start() { Some(self.full_sync(app)?) } else { None };
        self.held.more(app, watched(follow.dataset()))?;
        let number = self.next;
        self.next += 1;
        self.numbers.insert(follow.dataset().into(), number);
        self.by_number.insert(number, Subscription { follow, begun: false, full, idle: None });
        self.due.push_back(number);
        Ok(())
    }

    fn full_sync(&mut self, app: &App) -> Result<FullSync, Problem> {
        if let Some(full) = self.full.upgrade() {
            return Ok(full);
        }
        let full = app.gates.full_sync()?;
        self.full = Arc::downgrade(&full);
        Ok(full)
    }

    /// Ends it; nothing of it comes after. False if there was none.
    pub fn end(&mut self, dataset: &[u8]) -> bool {
        let number = self.numbers.remove(dataset);
        let ended = number.is_some_and(|number| self.by_number.remove(&number).is_some());
        if ended {
            self.held.less(watched(dataset));
        }
        ended
    }

    /// The datasets that are followed.
    pub fn datasets(&self) -> impl Iterator<Item = &[u8]> {
        self.numbers.keys().map(AsRef::as_ref)
    }

    /// The next page, when there is one. Nothing is lost if this is not waited for to its end.
    pub async fn next(&mut self, app: &Arc<App>) -> Read {
        loop {
            if self.reading.is_none() {
                self.reading = self.read(app);
            }
            tokio::select! {
                biased;
                read = maybe(&mut self.reading) => {
                    self.reading = None;
                    return read;
                }
                Some(woken) = self.idle.next(), if !self.idle.is_empty() => {
                    // One that was ended says so, and is no more.
                    if let Ok(number) = woken {
                        self.due.push_back(number);
                    }
                }
            }
        }
    }

    fn read(&mut self, app: &Arc<App>) -> Option<BoxFuture<'static, Read>> {
        while let Some(number) = self.due.pop_front() {
            let Some(subscription) = self.by_number.get_mut(&number) else { continue };
            subscription.idle = None;
            let (app, mut follow) = (Arc::clone(app), subscription.follow.clone());
            return Some(Box::pin(async move {
                let outcome = follow.read(&app, Patience::Endless, messages::changes).await;
                Read { number, follow, outcome }
            }));
        }
        None
    }

    /// Takes note of what was read: the page to be sent, if there is something to say and it is still wanted.
    ///
    /// # Errors
    ///
    /// The dataset that is followed no more, and why.
    pub fn note(&mut self, app: &App, read: Read) -> Result<Option<Written>, (Box<[u8]>, Problem)> {
        let Read { number, follow, outcome } = read;
        let Some(subscription) = self.by_number.get_mut(&number) else { return Ok(None) };
        subscription.follow = follow;
        let noted = outcome.and_then(|page| {
            if page.more {
                self.due.push_back(number);
            } else {
                let follow = &subscription.follow;
                let watch = app.engine.watch_held(&[(follow.dataset(), follow.position())])?;
                let (idle, handle) = futures_util::future::abortable(Idle { number, watch });
                self.idle.push(idle);
                subscription.idle = Some(handle);
            }
            let said = !page.is_empty || page.more || !subscription.begun;
            subscription.begun = true;
            // Whoever is up to date follows, and no longer reads everything.
            let full = if page.more { None } else { subscription.full.take() };
            Ok(said.then(|| page.hold(full)))
        });
        let dataset: Box<[u8]> = match &noted {
            Ok(_) => Box::default(),
            Err(_) => subscription.follow.dataset().into(),
        };
        noted.map_err(|problem| {
            self.end(&dataset);
            (dataset, problem)
        })
    }
}
