//! The commits of a socket that are under way. They are handed in in the order in which they came.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::maybe;
use super::messages::Ref;
use crate::server::api::commits::is_quick;
use crate::server::app::App;
use crate::server::held::Held;
use crate::server::problem::Problem;
use crate::{Batch, Commit, Durability, Engine, Receipt};

/// Most commits of a socket that may be under way: no message is read beyond.
pub const MAX_IN_FLIGHT: usize = 256;

/// A commit under way: what it is answered under, and the leave to hold it, which is given back when it ends.
struct Asked<T> {
    of: T,
    reference: Ref,
    held: Held,
}

/// What became of commits when they were handed in.
type HandedIn = Vec<Asked<Result<Receipt, Problem>>>;

/// How a commit ended.
pub type Ended = (Ref, Result<Commit, Problem>);

/// The commits under way.
#[derive(Default)]
pub struct InFlight {
    /// Not yet handed in.
    waiting: Vec<Asked<Batch>>,
    handing_in: Option<BoxFuture<'static, HandedIn>>,
    flying: FuturesUnordered<Flying>,
    /// Refused when they were handed in, still to be told.
    refused: Vec<Asked<Problem>>,
    count: usize,
    bytes: usize,
}

struct Flying(Asked<Receipt>);

impl Future for Flying {
    type Output = Asked<Result<Commit, Problem>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0.of).poll(cx).map(|outcome| Asked {
            of: outcome.map_err(Problem::from),
            reference: self.0.reference.take(),
            held: std::mem::replace(&mut self.0.held, Held::for_bodies()),
        })
    }
}

impl InFlight {
    /// Takes a commit, with the leave to hold it.
    pub fn take(&mut self, batch: Batch, reference: Ref, held: Held) {
        self.count += 1;
        self.bytes += held.bytes();
        self.waiting.push(Asked { of: batch, reference, held });
    }

    /// Whether there is room for another one.
    pub fn has_room(&self, app: &App) -> bool {
        self.count < MAX_IN_FLIGHT && self.bytes < app.config.body_bytes
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The next that ends. Nothing is lost if this is not waited for to its end.
    pub async fn next(&mut self, app: &Arc<App>) -> Ended {
        loop {
            if let Some(Asked { of, reference, held }) = self.refused.pop() {
                return self.ended(reference, &held, Err(of));
            }
            if self.handing_in.is_none() && !self.waiting.is_empty() {
                let waiting = std::mem::take(&mut self.waiting);
                if is_quick(&app.engine, waiting.iter().map(|asked| asked.of.len()).sum()) {
                    self.handed_in(hand_in(&app.engine, waiting));
                    continue;
                }
                self.handing_in = Some(Box::pin(hand_in_elsewhere(Arc::clone(app), waiting)));
            }
            tokio::select! {
                biased;
                Some(Asked { of, reference, held }) = self.flying.next(), if !self.flying.is_empty() => {
                    return self.ended(reference, &held, of);
                }
                handed_in = maybe(&mut self.handing_in) => {
                    self.handing_in = None;
                    self.handed_in(handed_in);
                }
            }
        }
    }

    fn handed_in(&mut self, handed_in: HandedIn) {
        for Asked { of, reference, held } in handed_in {
            match of {
                Ok(of) => self.flying.push(Flying(Asked { of, reference, held })),
                Err(of) => self.refused.push(Asked { of, reference, held }),
            }
        }
    }

    fn ended(&mut self, reference: Ref, held: &Held, outcome: Result<Commit, Problem>) -> Ended {
        self.count -= 1;
        self.bytes -= held.bytes();
        (reference, outcome)
    }
}

/// Hands commits in, one after the other.
fn hand_in(engine: &Engine, waiting: Vec<Asked<Batch>>) -> HandedIn {
    let hand_in = |Asked { of, reference, held }| {
        let receipt = engine.submit(of, Durability::Synced).map_err(Problem::from);
        Asked { of: receipt, reference, held }
    };
    waiting.into_iter().map(hand_in).collect()
}

/// The same where it holds up nobody: what many changes depend on may take a while to be looked up.
async fn hand_in_elsewhere(app: Arc<App>, waiting: Vec<Asked<Batch>>) -> HandedIn {
    let engine = app.engine.clone();
    match tokio::task::spawn_blocking(move || hand_in(&engine, waiting)).await {
        Ok(handed_in) => handed_in,
        // The socket ends with it: nobody waits for an answer that cannot come.
        Err(broken) => match broken.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Vec::new(),
        },
    }
}
