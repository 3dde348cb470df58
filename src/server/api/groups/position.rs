//! How far a device has come in each member of a group: the payload of one entity.

use std::collections::BTreeMap;

use super::ack::{Ack, Reached};
use super::codec::{Reader, put_number, put_short};
use super::members::MAX_MEMBERS;
use crate::server::auth::Access;
use crate::server::gates::Client;
use crate::{Batch, Cap, Cursor, Engine, Error, Retention};

const VERSION: u8 = 1;
/// Most devices of a group whose positions are kept.
const MAX_DEVICES: usize = 1024;

/// The position of a device, by the numbers of members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position(BTreeMap<u64, Place>);

/// A device's place in one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The moment of the answer that led here.
    pub at: u64,
    /// Where it goes on.
    pub next: Cursor,
}

impl Position {
    /// The place in a member; none if the device was never there.
    pub fn place(&self, member: u64) -> Option<Place> {
        self.0.get(&member).copied()
    }

    /// Takes over what an answer reached, as far as it leads on, and forgets what is no member any more. Tells whether
    /// that changed anything.
    pub fn merge(&mut self, ack: &Ack, is_member: impl Fn(u64) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|member, _| is_member(*member));
        let mut changed = self.0.len() != before;
        for reached in ack.reached.iter().filter(|reached| is_member(reached.member)) {
            if self.0.get(&reached.member).is_none_or(|place| place.leads_to(ack.at(), reached)) {
                self.0.insert(reached.member, Place { at: ack.at(), next: reached.next });
                changed = true;
            }
        }
        changed
    }

    /// Forgets what was reached up to the moment of an answer that was given in another history of the store, which a
    /// restore took back: the device holds what nobody knows of any more. Tells whether that changed anything.
    pub fn forget(&mut self, ack: &Ack) -> bool {
        let before = self.0.len();
        self.0.retain(|_, place| place.at > ack.at());
        self.0.len() != before
    }

    /// As it is kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for (member, place) in &self.0 {
            put_number(&mut out, *member);
            put_number(&mut out, place.at);
            put_short(&mut out, &place.next.to_bytes());
        }
        out
    }

    /// From what was kept. What cannot be read is no position: the device begins anew.
    pub fn decode(bytes: &[u8]) -> Position {
        let mut reader = Reader(bytes);
        if reader.byte() != Some(VERSION) {
            return Position::default();
        }
        let mut places = BTreeMap::new();
        while !reader.0.is_empty() {
            match place(&mut reader).filter(|_| places.len() < MAX_MEMBERS) {
                Some((member, place)) => places.insert(member, place),
                None => return Position::default(),
            };
        }
        Position(places)
    }
}

fn place(reader: &mut Reader<'_>) -> Option<(u64, Place)> {
    let (member, at) = (reader.number()?, reader.number()?);
    Some((member, Place { at, next: Cursor::from_bytes(reader.short()?).ok()? }))
}

impl Place {
    /// Whether an answer of the moment `at` leads on from here. What a device applied last counts, so a later answer wins
    /// over an earlier one: where it told the device to begin anew even from further back, and never backwards where it
    /// did not. Keys cannot be compared alone: a dataset that is read anew begins below where the device had been.
    fn leads_to(&self, at: u64, reached: &Reached) -> bool {
        let (here, there) = (self.next.position(), reached.next.position());
        match at.cmp(&self.at) {
            std::cmp::Ordering::Greater => reached.reset || there > here,
            // Of one moment. Of two that began anew the shorter may have been applied last; what it lacks comes again.
            std::cmp::Ordering::Equal => {
                if reached.reset {
                    there < here
                } else {
                    there > here
                }
            }
            std::cmp::Ordering::Less => false,
        }
    }
}

/// What a device's position is kept under: the token that it shows, if there are tokens, and its name. Two clients whose
/// devices have the same name would else take each other's changes away.
pub fn kept_as(access: &Access, device: &str) -> Vec<u8> {
    let token: &[u8] = match &access.client {
        Client::Token(hash) => hash,
        Client::Address(_) => &[],
    };
    [&[token.len() as u8], token, device.as_bytes()].concat()
}

/// Makes room for a new device's position: those that have not moved for the longest time go. Such a device begins anew.
pub fn make_room(engine: &Engine, kept: &[u8], batch: &mut Batch) -> crate::Result<()> {
    let mut devices = match engine.entities(kept, None, MAX_DEVICES * 2) {
        Err(Error::DatasetNotFound { .. }) => {
            // Only where a device is matters, not where it was or that it was there.
            let cap = Cap { entries: Some(1), ..Cap::default() };
            engine.set_retention(kept, Retention { history: cap, tombstones: cap, ..Retention::default() })?;
            return Ok(());
        }
        devices => devices?,
    };
    // The key of a position tells when it moved last.
    devices.sort_unstable_by_key(|device| device.key);
    for device in devices.iter().take((devices.len() + 1).saturating_sub(MAX_DEVICES)) {
        batch.delete(kept.to_vec(), device.entity.to_vec());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SyncKey;

    fn cursor(key: u64) -> Cursor {
        Cursor::after(SyncKey::new(key))
    }

    fn ack(at: u64, member: u64, key: u64, reset: bool) -> Ack {
        Ack { moment: cursor(at), reached: vec![Reached { member, reset, next: cursor(key) }] }
    }

    fn at(position: &Position, member: u64) -> Option<u64> {
        position.place(member).and_then(|place| place.next.position()).map(SyncKey::get)
    }

    #[test]
    fn a_late_ack_of_an_older_answer_changes_nothing() {
        let mut position = Position::default();
        assert!(position.merge(&ack(10, 1, 9, true), |_| true));
        assert!(position.merge(&ack(20, 1, 19, false), |_| true));
        let before = position.clone();
        assert!(!position.merge(&ack(10, 1, 9, true), |_| true));
        assert!(!position.merge(&ack(15, 1, 15, false), |_| true));
        assert!(!position.merge(&ack(20, 1, 19, false), |_| true));
        assert_eq!(position, before);
    }

    #[test]
    fn it_goes_back_only_where_the_device_was_told_to_begin_anew() {
        let mut position = Position::default();
        position.merge(&ack(50, 1, 50, true), |_| true);
        assert!(!position.merge(&ack(60, 1, 40, false), |_| true));
        assert!(position.merge(&ack(70, 1, 5, true), |_| true), "a long dataset read anew, its first page");
        assert_eq!(at(&position, 1), Some(5));
        assert!(position.merge(&ack(70, 1, 3, true), |_| true), "a shorter page of the same moment");
        assert!(!position.merge(&ack(70, 1, 4, true), |_| true));
        assert!(position.merge(&ack(80, 1, 60, false), |_| true));
        assert_eq!(at(&position, 1), Some(60));
    }

    #[test]
    fn who_is_no_member_any_more_is_forgotten_and_not_taken_over() {
        let mut position = Position::default();
        position.merge(&ack(10, 1, 9, true), |_| true);
        assert!(position.merge(&ack(20, 2, 19, true), |member| member == 3));
        assert_eq!(position, Position::default());
    }

    #[test]
    fn what_was_reached_in_a_lost_history_is_forgotten() {
        let mut position = Position::default();
        position.merge(&ack(80, 1, 80, true), |_| true);
        position.merge(&ack(90, 2, 90, true), |_| true);
        assert!(position.forget(&ack(200, 1, 200, false)));
        assert_eq!(position, Position::default());
        position.merge(&ack(1 << 40, 1, 1 << 40, true), |_| true);
        assert!(!position.forget(&ack(200, 1, 200, false)), "it is late, and the device has begun anew since");
    }

    #[test]
    fn it_is_kept_as_it_is_and_what_is_damaged_begins_anew() {
        let mut position = Position::default();
        for member in 1..50 {
            position.merge(&ack(member * 1000, member, member * 7, true), |_| true);
        }
        let bytes = position.encode();
        assert_eq!(Position::decode(&bytes), position);
        assert_eq!(Position::decode(&bytes[..bytes.len() - 1]), Position::default());
        assert_eq!(Position::decode(&[]), Position::default());
        assert_eq!(Position::decode(b"\x02abc"), Position::default());
    }
}
