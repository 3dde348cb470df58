//! Entities: each with its newest version. Older ones are in the chunks, where every entry names the one before it.

use bytes::Bytes;

use super::families::Family;
use super::record::Version;
use super::rows::Rows;
use super::snapshot::{Snapshot, just_behind};
use super::{Result, keys};
use crate::codec::Malformed;

impl Snapshot<'_> {
    /// The newest version of an entity; a delete included.
    pub fn newest(&self, id: u64, entity: &[u8]) -> Result<Option<Version>> {
        self.parsed(Family::Entities, &keys::entity(id, entity), parse_version)
    }

    /// All entities that sort behind `after`, in order, each with its newest version.
    pub fn entities(&self, id: u64, after: Option<&[u8]>) -> Rows<'_, (Bytes, Version)> {
        let (mut from, to) = keys::dataset_range(id);
        if let Some(after) = after {
            from = just_behind(keys::entity(id, after));
        }
        Rows::new(self, Family::Entities, (from, to), parse_entity)
    }
}

fn parse_version(row: &[u8], value: &[u8]) -> Result<Version, Malformed> {
    let (_, entity) = keys::parse_entity(row)?;
    Version::decode(entity.len(), value)
}

pub(super) fn parse_entity(row: &[u8], value: &[u8]) -> Result<(Bytes, Version), Malformed> {
    let (_, entity) = keys::parse_entity(row)?;
    Ok((Bytes::copy_from_slice(entity), Version::decode(entity.len(), value)?))
}
