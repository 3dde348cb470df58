//! Many datasets and many commits over one connection: a WebSocket.

mod in_flight;
mod messages;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde::Deserialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, timeout};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{cursor, limits};
use super::commits;
use crate::Batch;
use crate::server::app::{App, Shared};
use crate::server::arriving::{Arriving, NO_ROOM};
use crate::server::auth::{Access, Scope};
use crate::server::extract::Asked;
use crate::server::follow::Follow;
use crate::server::gates::WaiterPlace;
use crate::server::held::Held;
use crate::server::listen::Peer;
use crate::server::problem::Problem;
use in_flight::{Ended, InFlight};
use messages::{Ref, Said, Subscribe};
use subscriptions::{Read, Subscriptions};

/// The largest page in one message, in bytes as it is written: a socket's buffer stays as large as the largest message it
/// had, and what it has above 64 KiB takes of what there is for all. Only a single entry can be larger.
const PAGE_BYTES: usize = 64 << 10;
/// What is read at once, and what is gathered before it is written.
const READ_BYTES: usize = 4 << 10;
const WRITE_BYTES: usize = 16 << 10;
/// How many things are looked after before what is gathered is written.
const AT_ONCE: usize = 64;
/// What a sign of life takes besides what it says: its head and its mask.
const SIGN_BYTES: usize = 6;
/// How long commits under way, and then the client, may take when the socket ends.
const FAREWELL: Duration = Duration::from_secs(5);
const LAST_WORDS: Duration = Duration::from_secs(1);

pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(socket))
}

/// How a socket is opened from a browser.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Opened {
    /// A ticket, in place of the header `Authorization`
    ticket: Option<String>,
}

/// Many datasets and commits over one connection
///
/// A WebSocket; docs/http.md has its messages.
#[utoipa::path(
    get,
    path = "/v1/socket",
    tag = "streams",
    params(Opened),
    responses(
        (status = 101, description = "The connection is a WebSocket from here on"),
        (status = 400, description = "This is no request for a WebSocket"),
        (status = 401, description = "Neither a token nor a ticket that is good"),
        (status = 429, description = "This client holds too many waits and streams")
    )
)]
async fn socket(
    app: Shared,
    known: Option<Extension<Access>>,
    peer: Option<Extension<Peer>>,
    Asked(opened): Asked<Opened>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|refused| Problem::invalid(format!("open a WebSocket here: {refused}")))?;
    let access = match (opened.ticket, known) {
        (Some(ticket), _) => app.tokens.renewed(&app.tickets.take(&ticket)?)?,
        (None, Some(Extension(access))) => access,
        (None, None) => return Err(Problem::unauthorized()),
    };
    let place = app.gates.waiter(&access.client)?;
    let most = app.config.body_bytes.min(MAX_MESSAGE_BYTES);
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    let upgrade = upgrade.read_buffer_size(READ_BYTES).write_buffer_size(WRITE_BYTES);
    // Its place among the connections is kept to its end.
    let Some(Extension(Peer { slot, arriving, .. })) = peer else { return Err(Problem::internal("no connection")) };
    arriving.begin(&app);
    Ok(upgrade.on_upgrade(async move |websocket| {
        Socket::new(app.0, access, place, websocket, arriving).serve().await;
        drop(slot);
    }))
}

/// The largest message: a socket holds one for as long as it takes to arrive. Larger commits go over HTTP.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// A connection under way.
struct Socket {
    app: Arc<App>,
    access: Access,
    websocket: WebSocket,
    arriving: Arc<Arriving>,
    /// For the buffer in which pages are written.
    written: Held,
    subscriptions: Subscriptions,
    commits: InFlight,
    closing: BoxFuture<'static, ()>,
    beat: Interval,
    heard: Instant,
    /// Of the tokens, when it was last looked what this one may do; none if it was not yet.
    readings: Option<u64>,
    _place: WaiterPlace,
}

/// What is to be looked after next.
enum Event {
    Closing,
    Beat,
    Ended(Ended),
    Read(Read),
    Heard(Option<Result<Message, axum::Error>>),
}

/// Why a socket ends.
enum End {
    /// The other side is gone, or does not read.
    Gone,
    /// It is told why.
    Told(u16, &'static str),
}

impl From<axum::Error> for End {
    fn from(_: axum::Error) -> End {
        End::Gone
    }
}

impl Socket {
    fn new(app: Arc<App>, access: Access, place: WaiterPlace, websocket: WebSocket, arriving: Arc<Arriving>) -> Socket {
        let closing = app.closing.clone();
        let mut beat = tokio::time::interval_at(Instant::now() + app.config.heartbeat, app.config.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Socket {
            access,
            websocket,
            arriving,
            written: Held::for_waits(),
            subscriptions: Subscriptions::new(),
            commits: InFlight::default(),
            closing: Box::pin(async move { closing.wait().await }),
            beat,
            heard: Instant::now(),
            readings: None,
            _place: place,
            app,
        }
    }

    async fn serve(mut self) {
        let ended = loop {
            let mut event = self.event().await;
            let mut gathered = 0;
            let ended = loop {
                if let Err(end) = self.look_after(event).await {
                    break Some(end);
                }
                gathered += 1;
                match self.event().now_or_never() {
                    Some(next) if gathered < AT_ONCE => event = next,
                    Some(next) => {
                        // What is taken out must be looked after, too.
                        break self.look_after(next).await.err();
                    }
                    None => break None,
                }
            };
            match ended {
                Some(end) => break end,
                None => {
                    if self.websocket.flush().await.is_err() {
                        break End::Gone;
                    }
                }
            }
        };
        if let End::Told(code, reason) = ended {
            self.end(code, reason).await;
        }
    }

    /// What comes next. Nothing is lost if this is not waited for to its end.
    async fn event(&mut self) -> Event {
        let has_room = self.commits.has_room(&self.app);
        tokio::select! {
            biased;
            () = &mut self.closing => Event::Closing,
            _ = self.beat.tick() => Event::Beat,
            ended = self.commits.next(&self.app) => Event::Ended(ended),
            read = self.subscriptions.next(&self.app) => Event::Read(read),
            heard = self.websocket.next(), if has_room => Event::Heard(heard),
        }
    }

    async fn look_after(&mut self, event: Event) -> Result<(), End> {
        // What was done is told in any case.
        if !matches!(event, Event::Closing | Event::Ended(_)) {
            self.renew().await?;
        }
        match event {
            Event::Closing => Err(End::Told(close_code::AWAY, "the server is stopping")),
            Event::Beat => self.beat().await,
            Event::Ended(ended) => self.answer(ended).await,
            Event::Read(read) => self.page(read).await,
            Event::Heard(None) => Err(End::Gone),
            Event::Heard(Some(Err(error))) => Err(wrong(&error)),
            Event::Heard(Some(Ok(message))) => {
                self.heard = Instant::now();
                self.arriving.taken(match &message {
                    Message::Text(_) | Message::Binary(_) => usize::MAX,
                    Message::Ping(bytes) | Message::Pong(bytes) => SIGN_BYTES + bytes.len(),
                    Message::Close(_) => 0,
                });
                match message {
                    Message::Text(text) => self.said(&text).await,
                    Message::Binary(_) => self.refuse(&Problem::invalid("messages are text"), None, &None).await,
                    Message::Ping(_) | Message::Pong(_) => Ok(()),
                    // It was answered; the other side ends the connection.
                    Message::Close(_) => Ok(()),
                }
            }
        }
    }

    async fn said(&mut self, text: &str) -> Result<(), End> {
        match messages::read(text) {
            Err(problem) => self.refuse(&problem, None, &None).await,
            Ok(Said::Subscribe(dataset, subscribe)) => match self.subscribe(dataset.clone(), &subscribe) {
                Ok(()) => Ok(()),
                Err(problem) => {
                    self.subscriptions.end(&dataset);
                    self.refuse(&problem, Some(&dataset), &None).await
                }
            },
            Ok(Said::Unsubscribe(dataset)) => {
                self.subscriptions.end(&dataset);
                Ok(self.websocket.feed(messages::unsubscribed(&dataset)).await?)
            }
            Ok(Said::Commit(batch, reference)) => match batch.and_then(|batch| self.admit(batch, text.len())) {
                Ok((batch, held)) => {
                    self.commits.take(batch, reference, held);
                    Ok(())
                }
                Err(problem) => self.refuse(&problem, None, &reference).await,
            },
        }
    }

    /// Lets a commit in that took so many bytes as text, with the leave to hold what became of it.
    fn admit(&self, batch: Batch, bytes: usize) -> Result<(Batch, Held), Problem> {
        commits::check(&self.access, &batch)?;
        let mut held = Held::for_bodies();
        held.more(&self.app, bytes + batch.len() * commits::CHANGE_BYTES)?;
        Ok((batch, held))
    }

    fn subscribe(&mut self, dataset: Vec<u8>, asked: &Subscribe) -> Result<(), Problem> {
        self.access.check(Scope::Read, &dataset)?;
        let limits = limits(&self.app, asked.limit, Some(PAGE_BYTES), asked.view, asked.payloads)?;
        let follow = Follow::new(dataset, cursor(asked.since.as_deref())?, limits).by_messages(PAGE_BYTES);
        self.subscriptions.begin(&self.app, follow)
    }

    /// Sends a page, and waits until the client takes it: one that does not read holds this page and no other.
    async fn page(&mut self, read: Read) -> Result<(), End> {
        match self.subscriptions.note(&self.app, read) {
            Ok(None) => Ok(()),
            Ok(Some(page)) => {
                let (bytes, leave) = page.into_parts();
                let more = bytes.len().saturating_sub(self.written.bytes());
                self.written.more(&self.app, more).map_err(|_| End::Told(close_code::AGAIN, NO_ROOM))?;
                // JSON of ours is UTF-8.
                let text = Utf8Bytes::try_from(bytes).map_err(|_| End::Gone)?;
                self.websocket.send(Message::Text(text)).await?;
                drop(leave);
                Ok(())
            }
            Err((dataset, problem)) => self.refuse(&problem, Some(&dataset), &None).await,
        }
    }

    async fn answer(&mut self, (reference, outcome): Ended) -> Result<(), End> {
        match outcome {
            Ok(commit) => Ok(self.websocket.feed(messages::committed(commit, &reference)).await?),
            Err(problem) => self.refuse(&problem, None, &reference).await,
        }
    }

    async fn refuse(&mut self, problem: &Problem, dataset: Option<&[u8]>, reference: &Ref) -> Result<(), End> {
        Ok(self.websocket.feed(messages::failed(problem, dataset, reference)).await?)
    }

    /// Shows that it lives, and looks whether the client does.
    async fn beat(&mut self) -> Result<(), End> {
        let config = &self.app.config;
        if self.heard.elapsed() > config.heartbeat * 2 + config.patience && self.commits.has_room(&self.app) {
            return Err(End::Gone);
        }
        Ok(self.websocket.feed(Message::Ping(axum::body::Bytes::new())).await?)
    }

    /// Looks what the client may do now, if the tokens may be others: what it may not is neither done nor sent.
    async fn renew(&mut self) -> Result<(), End> {
        let readings = Some(self.app.tokens.readings());
        if std::mem::replace(&mut self.readings, readings) == readings {
            return Ok(());
        }
        let refused = End::Told(close_code::POLICY, "this token is known no more");
        self.access = self.app.tokens.renewed(&self.access).map_err(|_| refused)?;
        let out_of_reach = |dataset: &&[u8]| self.access.check(Scope::Read, dataset).is_err();
        let gone: Vec<Vec<u8>> = self.subscriptions.datasets().filter(out_of_reach).map(<[u8]>::to_vec).collect();
        for dataset in gone {
            self.subscriptions.end(&dataset);
            if let Err(problem) = self.access.check(Scope::Read, &dataset) {
                self.refuse(&problem, Some(&dataset), &None).await?;
            }
        }
        Ok(())
    }

    /// Sees commits under way through, says why it ends, and lets the client have the last word.
    async fn end(&mut self, code: u16, reason: &'static str) {
        // One of them may wait for room that others could have.
        self.subscriptions = Subscriptions::new();
        let answers = async {
            while !self.commits.is_empty() {
                let ended = self.commits.next(&self.app).await;
                if self.answer(ended).await.is_err() {
                    return;
                }
            }
        };
        // Those that are not answered in time may be asked about again, by their ids.
        let _late = timeout(FAREWELL, answers).await;
        let close = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let goodbye = async {
            if self.websocket.send(Message::Close(Some(close))).await.is_ok() {
                while let Some(Ok(_)) = self.websocket.next().await {}
            }
        };
        let _late = timeout(LAST_WORDS, goodbye).await;
    }
}

/// Why what came cannot be gone on with.
fn wrong(error: &axum::Error) -> End {
    let text = error.to_string();
    match text {
        _ if text.contains(NO_ROOM) => End::Told(close_code::AGAIN, NO_ROOM),
        _ if text.contains("too long") || text.contains("Space limit") => {
            End::Told(close_code::SIZE, "a message is larger than this server takes")
        }
        _ if text.contains("UTF-8") => End::Told(close_code::INVALID, "text is UTF-8"),
        _ if text.contains("protocol") => End::Told(close_code::PROTOCOL, "this is not a WebSocket's protocol"),
        _ => End::Gone,
    }
}

/// The future that may be there; never, if it is not.
async fn maybe<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
