//! Waking those who wait for a dataset's head to pass a key. A watcher holds no data: what changed is read afterwards.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::request::wake;
use crate::error::{Error, Result};

const SHARDS: usize = 64;

/// The watchers of one shard: per dataset, by their number, the key to pass and whom to tell.
type Shard = HashMap<Bytes, HashMap<u64, (u64, Arc<Signal>)>>;

/// All watchers.
pub struct Watchers {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    registered: AtomicU64,
    next: AtomicU64,
    max: u64,
}

#[derive(Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    fired: bool,
    waker: Option<Waker>,
}

impl Signal {
    fn fire(&self) {
        let mut state = self.state.lock();
        state.fired = true;
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            wake(waker);
        }
    }
}

impl Watchers {
    pub fn new(max: usize) -> Watchers {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let (registered, next) = (AtomicU64::new(0), AtomicU64::new(0));
        Watchers { shards, hasher: RandomState::new(), registered, next, max: max as u64 }
    }

    /// How many are registered.
    pub fn count(&self) -> u64 {
        self.registered.load(Ordering::SeqCst)
    }

    /// Registers a watcher. The caller looks at the heads afterwards, and fires it if one has passed already.
    pub fn register(self: &Arc<Self>, datasets: &[(Bytes, u64)]) -> Result<Watch> {
        if self.registered.fetch_add(1, Ordering::SeqCst) >= self.max {
            self.registered.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::Busy { what: format!("{} watchers are registered", self.max) });
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let signal = Arc::new(Signal::default());
        for (dataset, after) in datasets {
            let mut shard = self.shard(dataset).lock();
            let watchers = shard.entry(dataset.clone()).or_default();
            // A dataset named twice wakes at the lower of its keys.
            let least = watchers.get(&number).map_or(*after, |(before, _)| (*before).min(*after));
            watchers.insert(number, (least, signal.clone()));
        }
        let names = datasets.iter().map(|(dataset, _)| dataset.clone()).collect();
        Ok(Watch { watchers: self.clone(), number, names, signal })
    }

    /// Tells those who wait for `dataset` that its head is `key` now.
    pub fn publish(&self, dataset: &Bytes, key: u64) {
        let passed = |(after, signal): &(u64, Arc<Signal>)| (key > *after).then(|| signal.clone());
        let shard = self.shard(dataset).lock();
        let signals: Vec<_> = shard.get(dataset).map_or_else(Vec::new, |all| all.values().filter_map(passed).collect());
        // A waker may drop its watcher, which takes itself out of the shard.
        drop(shard);
        signals.iter().for_each(|signal| signal.fire());
    }

    /// Wakes everyone: the engine closes.
    pub fn wake_all(&self) {
        for shard in &self.shards {
            let signals: Vec<_> =
                shard.lock().values().flat_map(|all| all.values().map(|(_, signal)| signal.clone())).collect();
            signals.iter().for_each(|signal| signal.fire());
        }
    }

    fn shard(&self, dataset: &Bytes) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(dataset) as usize % SHARDS]
    }
}

/// A registered watcher, from [`Engine::watch`](crate::Engine::watch). Wait for it from a thread or await it under any
/// runtime; once it has fired it stays so. Dropping it takes it back. Its waker may not block: see [`Receipt`].
///
/// [`Receipt`]: crate::Receipt
pub struct Watch {
    watchers: Arc<Watchers>,
    number: u64,
    names: Box<[Bytes]>,
    signal: Arc<Signal>,
}

impl Watch {
    pub(super) fn fire(&self) {
        self.signal.fire();
    }

    /// Waits until a head has passed its key, or `timeout` is over; tells whether one has. Closing the engine wakes it
    /// too: the read that follows says so.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.signal.state.lock();
        while !state.fired {
            match deadline {
                Some(deadline) if self.signal.changed.wait_until(&mut state, deadline).timed_out() => break,
                Some(_) => {}
                None => self.signal.changed.wait(&mut state),
            }
        }
        state.fired
    }
}

impl Future for Watch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.signal.state.lock();
        if state.fired {
            return Poll::Ready(());
        }
        let before = state.waker.replace(cx.waker().clone());
        // To drop it is the caller's code, too.
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for name in &self.names {
            let mut shard = self.watchers.shard(name).lock();
            if let Some(watchers) = shard.get_mut(name) {
                watchers.remove(&self.number);
                if watchers.is_empty() {
                    shard.remove(name);
                }
            }
        }
        self.watchers.registered.fetch_sub(1, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("datasets", &self.names.len()).finish_non_exhaustive()
    }
}
