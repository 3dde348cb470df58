//! What an answer reached, as text that the device gives back: nothing is written when reading.
//!
//! `a` and base64 of: version, the moment of the answer as a cursor, how many members, and of each its number as the
//! distance from the one before it, whether it began anew, its cursor; and a code that only this server can make, which the
//! names of group and device are part of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::codec::{Reader, put_number, put_short};
use super::key::{AckKey, CODE_BYTES};
use super::members::MAX_MEMBERS;
use crate::{Cursor, SyncKey};

/// What an ack begins with.
const PREFIX: char = 'a';
const VERSION: u8 = 2;
/// The longest member of an ack: two numbers at their longest, a byte, and the longest cursor behind its length.
const MAX_REACHED_BYTES: usize = 10 + 1 + 1 + 96;
const MAX_BYTES: usize = 1 + 97 + 10 + MAX_MEMBERS * MAX_REACHED_BYTES + CODE_BYTES;
const MAX_TEXT_BYTES: usize = 1 + MAX_BYTES.div_ceil(3) * 4;
/// The shortest: a number, a byte and an empty cursor.
const MIN_REACHED_BYTES: usize = 3;

/// What an answer reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The moment of the answer: a cursor, so that the store can tell whether it has been there.
    pub moment: Cursor,
    /// The members for which it said something, by their numbers.
    pub reached: Vec<Reached>,
}

/// How far an answer came in one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The member's number: the key of its membership.
    pub member: u64,
    /// Whether the device was told to forget what it held.
    pub reset: bool,
    /// Where it goes on.
    pub next: Cursor,
}

impl Ack {
    /// The store-wide key up to which all was read.
    pub fn at(&self) -> u64 {
        self.moment.position().map_or(0, SyncKey::get)
    }

    /// The text for this device of this group. Members are in the order of their numbers.
    pub fn encode(&self, key: &AckKey, group: &[u8], device: &[u8]) -> String {
        let mut out = vec![VERSION];
        put_short(&mut out, &self.moment.to_bytes());
        put_number(&mut out, self.reached.len() as u64);
        let mut before = 0;
        for Reached { member, reset, next } in &self.reached {
            put_number(&mut out, member - before);
            out.push(u8::from(*reset));
            put_short(&mut out, &next.to_bytes());
            before = *member;
        }
        let code = key.code([group, device, &out]);
        out.extend_from_slice(&code);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(out))
    }

    /// The ack of this text, if it is one that was given to this device of this group.
    pub fn decode(text: &str, key: &AckKey, group: &[u8], device: &[u8]) -> Option<Ack> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (body, code) = bytes.split_last_chunk::<CODE_BYTES>()?;
        if !key.is_code(code, [group, device, body]) {
            return None;
        }
        let mut reader = Reader(body);
        if reader.byte()? != VERSION {
            return None;
        }
        let moment = Cursor::from_bytes(reader.short()?).ok().filter(|moment| moment.position().is_some())?;
        let count = usize::try_from(reader.number()?).ok()?;
        if count > MAX_MEMBERS || count * MIN_REACHED_BYTES > reader.0.len() {
            return None;
        }
        let mut reached: Vec<Reached> = Vec::with_capacity(count);
        for _ in 0..count {
            let ahead = reader.number()?;
            let member = reached.last().map_or(0, |last| last.member).checked_add(ahead).filter(|_| ahead > 0)?;
            let reset = match reader.byte()? {
                0 => false,
                1 => true,
                _ => return None,
            };
            let next = Cursor::from_bytes(reader.short()?).ok()?;
            reached.push(Reached { member, reset, next });
        }
        reader.0.is_empty().then_some(Ack { moment, reached })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> AckKey {
        AckKey::from([7; 32])
    }

    fn cursors() -> impl Strategy<Value = Cursor> {
        prop_oneof![
            Just(Cursor::START),
            (1..1u64 << 63).prop_map(|key| Cursor::after(SyncKey::new(key))),
            any::<u64>().prop_map(Cursor::since_time),
        ]
    }

    fn acks() -> impl Strategy<Value = Ack> {
        let reached = proptest::collection::btree_map(1u64.., (any::<bool>(), cursors()), 0..20);
        (0..1u64 << 63, reached).prop_map(|(at, reached)| Ack {
            moment: Cursor::after(SyncKey::new(at)),
            reached: reached.into_iter().map(|(member, (reset, next))| Reached { member, reset, next }).collect(),
        })
    }

    proptest! {
        #[test]
        fn an_ack_comes_back_as_it_was(ack in acks(), group: Vec<u8>, device: Vec<u8>) {
            let text = ack.encode(&key(), &group, &device);
            prop_assert!(text.starts_with('a') && text.len() <= MAX_TEXT_BYTES);
            prop_assert_eq!(Ack::decode(&text, &key(), &group, &device), Some(ack));
        }

        #[test]
        fn any_byte_changed_is_refused(ack in acks(), at: prop::sample::Index, with: u8) {
            let text = ack.encode(&key(), b"g", b"d").into_bytes();
            let at = at.index(text.len());
            let mut changed = text.clone();
            changed[at] = with;
            if let Ok(changed) = String::from_utf8(changed) && changed.as_bytes() != text {
                prop_assert_eq!(Ack::decode(&changed, &key(), b"g", b"d"), None);
            }
        }

        #[test]
        fn cut_or_for_somebody_else_it_is_refused(ack in acks(), at: prop::sample::Index, device in "[a-z]{0,9}") {
            let text = ack.encode(&key(), b"g", b"d");
            prop_assert_eq!(Ack::decode(&text[..at.index(text.len())], &key(), b"g", b"d"), None);
            prop_assert_eq!(Ack::decode(&text, &key(), b"other", b"d"), None);
            if device != "d" {
                prop_assert_eq!(Ack::decode(&text, &key(), b"g", device.as_bytes()), None);
            }
            // The same letters parted otherwise.
            prop_assert_eq!(Ack::decode(&text, &key(), b"gd", b""), None);
        }

        #[test]
        fn hostile_text_is_refused_whatever_it_says(mut body: Vec<u8>, count: u64) {
            let code = key().code([b"g", b"d", &body]);
            body.extend_from_slice(&code);
            let _refused_or_not = Ack::decode(&format!("a{}", URL_SAFE_NO_PAD.encode(&body)), &key(), b"g", b"d");
            // A count that nothing stands behind.
            let mut body = vec![VERSION];
            put_short(&mut body, &Cursor::START.to_bytes());
            put_number(&mut body, count.max(1));
            let code = key().code([b"g", b"d", &body]);
            body.extend_from_slice(&code);
            prop_assert_eq!(Ack::decode(&format!("a{}", URL_SAFE_NO_PAD.encode(&body)), &key(), b"g", b"d"), None);
        }
    }

    #[test]
    fn the_largest_fits_and_a_longer_text_is_not_looked_at() {
        let next = Cursor::after(SyncKey::new((1 << 63) - 1));
        let last = u64::MAX - MAX_MEMBERS as u64;
        let reached = (1..=MAX_MEMBERS as u64).map(|n| Reached { member: last + n, reset: true, next }).collect();
        let text = Ack { moment: next, reached }.encode(&key(), b"g", b"d");
        assert_eq!(Ack::decode(&text, &key(), b"g", b"d").unwrap().reached.len(), MAX_MEMBERS);
        assert_eq!(Ack::decode(&"a".repeat(MAX_TEXT_BYTES + 1), &key(), b"g", b"d"), None);
    }
}
