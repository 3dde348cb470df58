//! A group: a list of datasets, kept as a dataset of its own. Each member is an entity, and the key of its entry is the
//! member's number: one that left and came back has another. An entity that no member can have the name of changes with
//! every change of the list, as its tag and so that two of them cannot mix.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use crate::server::auth::{Access, Scope};
use crate::server::problem::Problem;
use crate::{Batch, Engine, Error, Expect, SyncKey};

/// Most members of a group.
pub const MAX_MEMBERS: usize = 4096;
/// Longest name of a dataset, in bytes.
const MAX_DATASET_BYTES: usize = 512;
/// Longest name of a group: its datasets begin with two bytes more.
const MAX_GROUP_BYTES: usize = MAX_DATASET_BYTES - 2;
/// Datasets that begin with a zero byte are no members.
const TAG: &[u8] = b"\0";
const PAYLOAD: &[u8] = b"{}";

/// A group as of one moment.
#[derive(Debug)]
pub struct Members {
    /// The key of the last change of the list.
    pub tag: SyncKey,
    /// Number and dataset of each, in byte order of the datasets.
    pub members: Vec<(u64, Vec<u8>)>,
}

/// The dataset that a group is kept in, or with `p` the positions of its devices.
pub fn kept_in(what: u8, group: &[u8]) -> Vec<u8> {
    [&[0, what], group].concat()
}

/// Whether a group can have this name.
///
/// # Errors
///
/// `invalid`.
pub fn check_name(group: &[u8]) -> Result<(), Problem> {
    match group.len() {
        1..=MAX_GROUP_BYTES => Ok(()),
        _ => Err(Problem::invalid(format!("a group's name has 1 to {MAX_GROUP_BYTES} bytes"))),
    }
}

/// The names for a list, each once.
///
/// # Errors
///
/// `invalid` for one that no dataset can have.
pub fn listed(names: impl IntoIterator<Item = Vec<u8>>) -> Result<BTreeSet<Vec<u8>>, Problem> {
    let names: BTreeSet<Vec<u8>> = names.into_iter().collect();
    for name in &names {
        if !(1..=MAX_DATASET_BYTES).contains(&name.len()) {
            return Err(Problem::invalid(format!("a dataset's name has 1 to {MAX_DATASET_BYTES} bytes")));
        }
        crate::server::extract::public(name)?;
    }
    Ok(names)
}

impl Members {
    /// The group, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::entities`].
    pub fn load(engine: &Engine, group: &[u8]) -> crate::Result<Option<Members>> {
        let mut rows = match engine.entities(kept_in(b'g', group), None, MAX_MEMBERS + 1) {
            Err(Error::DatasetNotFound { .. }) => return Ok(None),
            rows => rows?.into_iter(),
        };
        let Some(tag) = rows.next().filter(|row| row.entity == TAG) else { return Ok(None) };
        let members = rows.map(|row| (row.key.get(), row.entity.to_vec())).collect();
        Ok(Some(Members { tag: tag.key, members }))
    }

    /// The datasets, in byte order.
    pub fn datasets(&self) -> impl Iterator<Item = &[u8]> {
        self.members.iter().map(|(_, dataset)| &dataset[..])
    }

    /// Lets the request through if it may do this with every member. A group without members is for those who may do it
    /// with everything.
    ///
    /// # Errors
    ///
    /// `forbidden`. Which member is out of reach is not said: who may not reach it need not know that there is one.
    pub fn check(&self, access: &Access, scope: Scope) -> Result<(), Problem> {
        let reaches = |dataset: &[u8]| access.check(scope, dataset).is_ok();
        let reached = match self.members.is_empty() {
            true => reaches(b""),
            false => self.members.iter().all(|(_, dataset)| reaches(dataset)),
        };
        if reached { Ok(()) } else { Err(out_of_reach()) }
    }
}

/// Lets a list through that a client gives, if it may write to all of it. The empty one, which takes a name from others,
/// is for those who may write to everything.
///
/// # Errors
///
/// `forbidden`, naming the dataset.
pub fn check_listed(names: &BTreeSet<Vec<u8>>, access: &Access) -> Result<(), Problem> {
    match names.is_empty() {
        true => access.check(Scope::Write, b"").map_err(|_| out_of_reach()),
        false => names.iter().try_for_each(|name| access.check(Scope::Write, name)),
    }
}

fn out_of_reach() -> Problem {
    let detail =
        "this token does not reach every dataset of this group; one without datasets is for those who reach all";
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
}

/// What makes `names` the group's list, if it is not that already; it holds as long as the list is as it was found.
pub fn change(group: &[u8], found: Option<&Members>, names: &BTreeSet<Vec<u8>>) -> Option<Batch> {
    let there: BTreeSet<&[u8]> =
        found.iter().flat_map(|found| &found.members).map(|(_, dataset)| &dataset[..]).collect();
    let kept_in = bytes::Bytes::from(kept_in(b'g', group));
    let mut batch = Batch::new();
    for name in names.iter().filter(|name| !there.contains(&name[..])) {
        batch.put(kept_in.clone(), name.clone(), PAYLOAD);
    }
    for name in there.into_iter().filter(|name| !names.contains(*name)) {
        batch.delete(kept_in.clone(), name.to_vec());
    }
    if batch.is_empty() && found.is_some() {
        return None;
    }
    // The last one, so that its key is the list's newest.
    let expect = found.map_or(Expect::Absent, |found| Expect::At(found.tag));
    batch.put(kept_in, TAG, PAYLOAD).expect(expect);
    Some(batch)
}
