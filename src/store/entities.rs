//! Versions of entities.

use bytes::Bytes;

use super::families::Family;
use super::record::Version;
use super::rows::{Position, Rows};
use super::snapshot::Snapshot;
use super::{Result, keys};
use crate::codec::Malformed;

impl Snapshot<'_> {
    /// The newest version of an entity.
    pub fn newest(&self, id: u64, entity: &[u8]) -> Result<Option<Version>> {
        self.version_at_or_below(id, entity, u64::MAX)
    }

    /// The newest version of an entity whose key is at most `key`.
    pub fn version_at_or_below(&self, id: u64, entity: &[u8], key: u64) -> Result<Option<Version>> {
        let range = (keys::entity(id, entity, key), keys::entity_end(id, entity));
        Rows::new(self, Family::Entities, range, parse_version).next().transpose()
    }

    /// The newest `limit` versions of an entity, newest first.
    pub fn versions(&self, id: u64, entity: &[u8], limit: usize) -> Result<Vec<Version>> {
        let range = (keys::entity_prefix(id, entity), keys::entity_end(id, entity));
        Rows::new(self, Family::Entities, range, parse_version).take(limit).collect()
    }

    /// Looks up many entities with one iterator; cheapest in ascending order.
    pub fn entity_lookup(&self) -> EntityLookup<'_> {
        EntityLookup { at: Position::new(self, Family::Entities, None), last: None }
    }

    /// All entities that sort behind `after`, in order, each with its newest version (a delete included).
    pub fn entities(&self, id: u64, after: Option<&[u8]>) -> Entities<'_> {
        let (mut from, to) = keys::dataset_range(id);
        if let Some(after) = after {
            from = keys::entity_end(id, after);
        }
        let mut at = Position::new(self, Family::Entities, Some((from.clone(), to)));
        at.seek(&from);
        Entities { at, id, ended: false }
    }

    /// All versions of all entities of a dataset, newest first within an entity.
    pub(super) fn all_versions(&self, id: u64) -> Rows<'_, (Bytes, Version)> {
        Rows::new(self, Family::Entities, keys::dataset_range(id), parse_row)
    }
}

/// Looks up versions of entities with one iterator.
pub struct EntityLookup<'s> {
    at: Position<'s>,
    /// Where the last lookup was aimed at; the iterator stands at the first row from there on.
    last: Option<Vec<u8>>,
}

impl EntityLookup<'_> {
    /// The newest version of an entity whose key is at most `at_most`.
    pub fn seek(&mut self, id: u64, entity: &[u8], at_most: u64) -> Result<Option<Version>> {
        let aim = keys::entity(id, entity, at_most);
        if !self.already_at(&aim)? {
            self.at.seek(&aim);
        }
        let prefix = aim.len() - 8;
        let here = matches!(self.at.row()?, Some((row, _)) if row.get(..prefix) == aim.get(..prefix));
        self.last = Some(aim);
        if here { self.at.parsed(parse_version) } else { Ok(None) }
    }

    /// Whether the row here is the first one from `aim` on, as it is for new entities that sort behind the last one
    /// looked up and before the next one that exists.
    fn already_at(&self, aim: &[u8]) -> Result<bool> {
        let Some(last) = &self.last else { return Ok(false) };
        if last.as_slice() > aim {
            return Ok(false);
        }
        Ok(self.at.row()?.is_none_or(|(row, _)| row >= aim))
    }
}

/// Entities of a dataset with their newest versions. After an error there is nothing more.
pub struct Entities<'s> {
    at: Position<'s>,
    id: u64,
    ended: bool,
}

impl Entities<'_> {
    fn step(&mut self) -> Result<Option<(Bytes, Version)>> {
        let Some((entity, newest)) = self.at.parsed(parse_row)? else { return Ok(None) };
        // Most entities have few versions: a step is cheaper than a seek.
        for _ in 0..4 {
            self.at.next();
            match self.at.parsed(parse_row)? {
                Some((next, _)) if next == entity => {}
                _ => return Ok(Some((entity, newest))),
            }
        }
        self.at.seek(&keys::entity_end(self.id, &entity));
        Ok(Some((entity, newest)))
    }
}

impl Iterator for Entities<'_> {
    type Item = Result<(Bytes, Version)>;

    fn next(&mut self) -> Option<Result<(Bytes, Version)>> {
        if self.ended {
            return None;
        }
        let row = self.step().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

fn parse_version(row: &[u8], value: &[u8]) -> Result<Version, Malformed> {
    parse_row(row, value).map(|(_, version)| version)
}

pub(super) fn parse_row(row: &[u8], value: &[u8]) -> Result<(Bytes, Version), Malformed> {
    let (_, entity, key) = keys::parse_entity(row)?;
    let version = Version::decode(entity.len(), key, value)?;
    Ok((entity.into(), version))
}
