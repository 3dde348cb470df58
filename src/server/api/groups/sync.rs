//! The whole group at once, from where the device is.

use tokio::time::Instant;

use serde::{Deserialize, Serialize};

use super::ack::{Ack, Reached};
use super::asked::{Asked, Told, part, says};
use super::key::AckKey;
use super::members::{Members, check_name, kept_in};
use super::position::{Position, kept_as, make_room};
use super::{TRIES, no_group};
use crate::server::answer::{Answer, Format};
use crate::server::api::changes::{limits, until};
use crate::server::api::schemas::many;
use crate::server::api::sync::{Part, parts_bytes};
use crate::server::app::{App, Shared};
use crate::server::auth::{Access, Scope};
use crate::server::extract::{Given, Names};
use crate::server::gates::Patience;
use crate::server::held::Held;
use crate::server::problem::Problem;
use crate::server::reading;
use crate::server::wait::{self, woken};
use crate::{
    Batch, Cursor, DatasetChanges, Durability, Engine, Error, Expect, Limits, ManyPage, Page, StaleReason, SyncKey,
    Watch,
};

/// Longest name of a device, in bytes.
const MAX_DEVICE_BYTES: usize = 255;
/// What the parts of a small group take in an answer besides their entries, in bytes: a larger one is read when that is known.
const SMALL_BYTES: usize = 64 << 10;
/// How often members are read again in one answer, since they have gone stale or a window of theirs ended with nothing; then
/// they are left to the next.
const ROUNDS: usize = 4;

/// Which device, and what it has applied
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSync {
    /// The device
    #[schema(min_length = 1, max_length = 255)]
    device: String,
    /// The `ack` of the answer applied last
    ack: Option<String>,
    /// At most this many entries in all
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// At most this many bytes of entities and payloads in all
    #[schema(minimum = 0)]
    bytes: Option<usize>,
    /// Wait up to this many seconds if nothing is due
    #[schema(minimum = 0)]
    wait: Option<f64>,
}

#[derive(Debug, Serialize)]
struct GroupAnswer<'a> {
    datasets: Vec<Part<'a>>,
    more: bool,
    ack: String,
}

/// A request: who asks, and for how much.
#[derive(Debug, Clone)]
struct Request {
    group: Vec<u8>,
    /// What its position is kept under.
    device: Vec<u8>,
    access: Access,
    limits: Limits,
    /// Of all answers together, in bytes.
    most: usize,
    format: Format,
}

/// What a read of the group came to.
enum Outcome {
    /// Something is due: the answer, written.
    Answer(Vec<u8>),
    /// Nothing is: until this wakes, which takes so many bytes meanwhile.
    Nothing(Watch, usize),
    /// It would read from the start, and may not without leave.
    Full,
    /// The answer may take so many bytes, and may not without leave.
    Room(usize),
}

/// What changed in a group since the device was here
///
/// A new device gets all there is. Only `ack`, taken from an earlier answer, moves the device's position.
#[utoipa::path(
    post,
    path = "/v1/groups/{g}/sync",
    tag = "groups",
    params(("g" = String, Path, description = "The group")),
    request_body = GroupSync,
    responses(
        (status = 200, description = "A part for each dataset for which there is something to say",
            body = many::GroupSyncBody),
        (status = 400, description = "The request is wrong, or the ack is not one of this group and device"),
        (status = 403, description = "The token's scope does not reach every member"),
        (status = 404, description = "There is no such group"),
        (status = 429, description = "This client holds too many waits and streams"),
        (status = 507, description = "The disk is full")
    )
)]
pub async fn sync_group(
    app: Shared,
    access: Access,
    Names([group]): Names<1>,
    format: Format,
    Given(asked, held): Given<GroupSync>,
) -> Result<Answer, Problem> {
    check_name(&group)?;
    if !(1..=MAX_DEVICE_BYTES).contains(&asked.device.len()) {
        return Err(Problem::invalid(format!("a device's name has 1 to {MAX_DEVICE_BYTES} bytes")));
    }
    // What it has applied already may be deleted again before it says so.
    let limits = limits(&app, asked.limit, asked.bytes, None, None)?.unseen_deletes();
    let until = until(&app, asked.wait)?;
    let device = kept_as(&access, &asked.device);
    let mut request = Request { group, device, access, limits, most: app.gates.most_page_bytes(), format };
    if let Some(ack) = asked.ack {
        acknowledge(&app, &request, &ack).await?;
    }
    // What is left of the body is small.
    drop(held);
    let (mut full, mut waiter) = (None, None);
    loop {
        let last = until.is_none_or(|until| Instant::now() >= until) || app.closing.begun();
        let (reads, may_be_full) = (request.clone(), full.is_some());
        let work = move |engine: &Engine, room| Ok(reads.read(engine, room, may_be_full, last));
        let (read, mut leave) =
            reading::read_within(Patience::Some, &app, limits.max_bytes() + SMALL_BYTES, work, weigh).await?;
        match read?? {
            Outcome::Answer(bytes) => {
                leave.full_sync = full;
                return Ok(Answer::of(format.content_type(), bytes.into()).hold(leave));
            }
            Outcome::Full => full = Some(app.gates.full_sync()?),
            // It has all the room there is.
            Outcome::Room(_) => continue,
            Outcome::Nothing(watch, bytes) => {
                // While it waits it holds neither.
                drop((leave, full.take()));
                if waiter.is_none() {
                    waiter = Some(app.gates.waiter(&request.access.client)?);
                }
                let mut waits = Held::for_waits();
                waits.more(&app, bytes)?;
                if let Some(until) = until {
                    // Whatever ends the wait, it is looked at once more; then `last` is true, or there is something.
                    woken(&app, watch, until).await;
                    request.access = app.tokens.renewed(&request.access)?;
                }
            }
        }
    }
}

fn weigh(read: &Result<Outcome, Problem>) -> usize {
    match read {
        Ok(Outcome::Answer(bytes)) => bytes.len(),
        Ok(Outcome::Room(bytes)) => *bytes,
        _ => 0,
    }
}

/// Moves the device's position to where an earlier answer led.
async fn acknowledge(app: &App, request: &Request, text: &str) -> Result<(), Problem> {
    let (read, text) = (request.clone(), text.to_owned());
    let ack =
        app.run(move |engine| Ok(AckKey::of(engine).map(|key| Ack::decode(&text, &key, &read.group, &read.device))));
    let ack = ack.await??.ok_or_else(|| {
        Problem::invalid(
            "this is no ack of this group and device; ask without one: what was not acknowledged comes again",
        )
    })?;
    let ack = std::sync::Arc::new(ack);
    for _ in 0..TRIES {
        let (request, ack) = (request.clone(), std::sync::Arc::clone(&ack));
        let receipt = app.run(move |engine| Ok(request.merge(engine, &ack))).await??;
        match receipt {
            None => return Ok(()),
            Some(receipt) => match receipt.await {
                Ok(_) => return Ok(()),
                // Another request of the device was faster: look again.
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
    Err(Problem::busy("this device is acknowledging many answers at once"))
}

impl Request {
    /// The group, if all of it may be read.
    fn members(&self, engine: &Engine) -> Result<Members, Problem> {
        let found = Members::load(engine, &self.group)?.ok_or_else(no_group)?;
        found.check(&self.access, Scope::Read)?;
        Ok(found)
    }

    /// The device's position, and the key of what keeps it.
    fn position(&self, engine: &Engine) -> Result<(Position, Option<SyncKey>), Problem> {
        match engine.get(kept_in(b'p', &self.group), &self.device) {
            Ok(Some(entry)) => Ok((Position::decode(entry.payload.as_deref().unwrap_or_default()), Some(entry.key))),
            Ok(None) | Err(Error::DatasetNotFound { .. }) => Ok((Position::default(), None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the answer of this ack was given in a history that this store still has.
    fn is_ours(&self, engine: &Engine, ack: &Ack) -> Result<bool, Problem> {
        match engine.changes(kept_in(b'g', &self.group), &ack.moment, Limits::entries(1)) {
            // It is older than what is kept of the list's past.
            Err(Error::Stale(stale)) => Ok(matches!(stale.reason, StaleReason::Trimmed | StaleReason::HistoryTrimmed)),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(true),
        }
    }

    fn merge(&self, engine: &Engine, ack: &Ack) -> Result<Option<crate::Receipt>, Problem> {
        let members = self.members(engine)?.members;
        let (mut position, key) = self.position(engine)?;
        let numbers: std::collections::HashSet<u64> = members.iter().map(|(number, _)| *number).collect();
        let changed = match self.is_ours(engine, ack)? {
            true => position.merge(ack, |member| numbers.contains(&member)),
            false => position.forget(ack),
        };
        if !changed {
            return Ok(None);
        }
        let kept = kept_in(b'p', &self.group);
        let mut batch = Batch::new();
        if key.is_none() {
            make_room(engine, &kept, &mut batch)?;
        }
        let expect = key.map_or(Expect::Absent, Expect::At);
        batch.put(kept, self.device.clone(), position.encode()).expect(expect);
        Ok(Some(engine.submit(batch, Durability::Synced)?))
    }

    /// Reads the group from where the device is; with nothing to say there is an answer only if it is the `last` time.
    fn read(&self, engine: &Engine, room: usize, may_be_full: bool, last: bool) -> Result<Outcome, Problem> {
        let (members, group) = (self.members(engine)?, kept_in(b'g', &self.group));
        let needed = parts_bytes(members.datasets(), self.most)? + self.limits.max_bytes();
        if needed.min(self.most) > room {
            return Ok(Outcome::Room(needed));
        }
        let (position, _) = self.position(engine)?;
        let mut asked: Vec<Asked> = members
            .members
            .into_iter()
            .map(|(member, dataset)| {
                let place = position.place(member);
                Asked {
                    member,
                    dataset,
                    at: place.map(|place| place.at),
                    from: place.map_or(Cursor::START, |place| place.next),
                }
            })
            .collect();
        // Whom the last answers did not reach comes first, so that nobody starves.
        asked.sort_by_key(|asked| asked.at);
        // A dataset of which the device knows that there was nothing is small, if there is something by now.
        let mut is_full = asked.iter().any(|asked| asked.at.is_none());
        let mut rounds = 0;
        let many = loop {
            if is_full && !may_be_full {
                return Ok(Outcome::Full);
            }
            // The group itself comes with them, for the moment of the answer.
            let asks = asked.iter().map(|asked| (&asked.dataset[..], asked.from));
            let request: Vec<_> = std::iter::once((&group[..], Cursor::head())).chain(asks).collect();
            let many = engine.changes_many(&request, 0, self.limits)?;
            rounds += 1;
            let mut any = false;
            for (asked, part) in asked.iter_mut().zip(&many.datasets[1..]) {
                match part {
                    DatasetChanges::Failed(Error::Stale(_)) => {
                        // Of a dataset that was a window once the start itself may be gone.
                        let from = if asked.from == Cursor::START { Cursor::oldest() } else { Cursor::START };
                        (asked.from, any, is_full) = (from, true, true);
                    }
                    // The window that the device is in ends with nothing, and the next one has begun.
                    DatasetChanges::Page(page) if page.is_passed() && !asked.is_whole() => {
                        (asked.from, any) = (page.next, true);
                    }
                    _ => {}
                }
            }
            if !any || rounds == ROUNDS {
                break many;
            }
        };
        self.told(engine, &asked, many, members.tag, last)
    }

    fn told(
        &self,
        engine: &Engine,
        asked: &[Asked],
        many: ManyPage,
        tag: SyncKey,
        last: bool,
    ) -> Result<Outcome, Problem> {
        let at = many.visible;
        let mut parts = many.datasets.into_iter();
        let Some(DatasetChanges::Page(Page { next: moment, .. })) = parts.next() else { return Err(no_group()) };
        // What went stale again and again is left to the next answer.
        let is_stale = |part: &DatasetChanges| matches!(part, DatasetChanges::Failed(Error::Stale(_)));
        let more = many.more || parts.as_slice().iter().any(is_stale);
        let (mut told, mut reached) = (Vec::new(), Vec::new());
        let group = kept_in(b'g', &self.group);
        let mut watched = vec![(&group[..], tag)];
        let mut due = more;
        for (asked, part) in asked.iter().zip(parts) {
            let position = match &part {
                DatasetChanges::Page(page) => page.position,
                DatasetChanges::Failed(Error::DatasetNotFound { .. }) => SyncKey::ZERO,
                _ => at,
            };
            watched.push((&asked.dataset[..], position));
            let Some(says) = says(asked, part) else { continue };
            if let Told::Page(page) | Told::Reset(page) = &says {
                due = true;
                let reset = matches!(says, Told::Reset(_));
                reached.push(Reached { member: asked.member, reset, next: page.next });
            }
            told.push((&asked.dataset, says));
        }
        if !due && !last {
            let bytes = watched.iter().map(|(dataset, _)| wait::watched(dataset)).sum();
            return Ok(Outcome::Nothing(engine.watch_held(&watched)?, bytes));
        }
        reached.sort_by_key(|reached| reached.member);
        let ack = Ack { moment, reached }.encode(&AckKey::of(engine)?, &self.group, &self.device);
        let datasets = told.iter().map(|(dataset, told)| part(dataset, told)).collect();
        Ok(Outcome::Answer(self.format.encode(&GroupAnswer { datasets, more, ack }, 256)?))
    }
}
