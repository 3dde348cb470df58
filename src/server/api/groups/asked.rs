//! A member of a group that is read for a device, and what is said of it.

use crate::server::api::changes::ChangesBody;
use crate::server::api::sync::Part;
use crate::server::follow::nothing;
use crate::server::problem::Problem;
use crate::{Cursor, DatasetChanges, Error, Page};

/// A member that is read: where from, and whether the device is told to begin anew.
pub struct Asked {
    /// Its number.
    pub member: u64,
    /// Its name.
    pub dataset: Vec<u8>,
    /// The moment of the answer that led to its place; none if it has none.
    pub at: Option<u64>,
    /// Where it is read from.
    pub from: Cursor,
}

impl Asked {
    /// Whether all that there is of it is read.
    pub fn is_whole(&self) -> bool {
        self.from == Cursor::START || self.from == Cursor::oldest()
    }
}

/// What is said of a member.
pub enum Told {
    /// What follows what the device has.
    Page(Page),
    /// All there is, for a device that forgets what it has.
    Reset(Page),
    /// Why there is nothing.
    Failed(Problem),
}

/// What there is to say of a member; nothing if the device has all of it.
///
/// A read from the start says `reset`, always: the device may have applied an earlier answer that it has not
/// acknowledged, and such a read tells of no deletes.
pub fn says(asked: &Asked, part: DatasetChanges) -> Option<Told> {
    let is_start = asked.is_whole();
    match part {
        DatasetChanges::Page(page) if is_start => Some(Told::Reset(page)),
        DatasetChanges::Page(page) => (!page.entries.is_empty() || page.more).then_some(Told::Page(page)),
        DatasetChanges::NotReached => None,
        // It does not exist: there is nothing in it, which the device is told once.
        DatasetChanges::Failed(Error::DatasetNotFound { .. }) => {
            (!is_start || asked.at.is_none()).then(|| Told::Reset(nothing()))
        }
        DatasetChanges::Failed(Error::Stale(_)) => None,
        DatasetChanges::Failed(error) => Some(Told::Failed(error.into())),
    }
}

/// The part of an answer that says it.
pub fn part<'a>(dataset: &'a [u8], told: &'a Told) -> Part<'a> {
    match told {
        Told::Page(page) => Part::of(dataset, "page", Some(ChangesBody::new(dataset, page))),
        Told::Reset(page) => Part::of(dataset, "reset", Some(ChangesBody::new(dataset, page))),
        Told::Failed(problem) => Part::failed(dataset, problem),
    }
}
