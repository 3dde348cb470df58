//! Versions of entities.

use bytes::Bytes;

use super::families::Family;
use super::record::Version;
use super::rows::{Position, Rows};
use super::snapshot::Snapshot;
use super::{Result, keys};
use crate::codec::Malformed;

impl Snapshot<'_> {
    /// The newest version of an entity whose key is at most `key`.
    pub fn version_at_or_below(&self, id: u64, entity: &[u8], key: u64) -> Result<Option<Version>> {
        self.entity_lookup().seek(id, entity, key)
    }

    /// The newest `limit` versions of an entity, newest first.
    pub fn versions(&self, id: u64, entity: &[u8], limit: usize) -> Result<Vec<Version>> {
        let range = (keys::entity_prefix(id, entity), keys::entity_end(id, entity));
        Rows::new(self, Family::Entities, range, parse_version).take(limit).collect()
    }

    /// Looks up many entities with one iterator; cheapest in ascending order.
    pub fn entity_lookup(&self) -> EntityLookup<'_> {
        EntityLookup { at: Position::of_entities(self) }
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
}

/// Looks up versions of entities with one iterator.
pub struct EntityLookup<'s> {
    at: Position<'s>,
}

impl EntityLookup<'_> {
    /// The newest version of an entity whose key is at most `at_most`.
    pub fn seek(&mut self, id: u64, entity: &[u8], at_most: u64) -> Result<Option<Version>> {
        let aim = keys::entity(id, entity, at_most);
        self.at.seek(&aim);
        self.at.parsed(parse_version)
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

pub(super) fn parse_version(row: &[u8], value: &[u8]) -> Result<Version, Malformed> {
    parse_row(row, value).map(|(_, version)| version)
}

pub(super) fn parse_row(row: &[u8], value: &[u8]) -> Result<(Bytes, Version), Malformed> {
    let (_, entity, key) = keys::parse_entity(row)?;
    let version = Version::decode(entity.len(), key, value)?;
    Ok((entity.into(), version))
}
