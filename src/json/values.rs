//! Values that stand in what is read: payloads, names, ops, expectations.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::text::decode_base64;
use crate::{Expect, SyncKey};

/// A key: decimal digits.
pub(super) fn parse_key(text: &str) -> Option<SyncKey> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().map(SyncKey::new) } else { None }
}

/// A payload as its format has it: the source text of a value, or bytes.
pub(super) enum Payload<'a> {
    Text(&'a RawValue),
    Raw(Vec<u8>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Payload<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload<'a>, D::Error> {
        struct Raw;

        impl Visitor<'_> for Raw {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }

        match deserializer.is_human_readable() {
            true => <&RawValue>::deserialize(deserializer).map(Payload::Text),
            false => deserializer.deserialize_byte_buf(Raw).map(Payload::Raw),
        }
    }
}

/// A payload in base64, which only a format for people needs.
pub(super) struct Base64Text(pub String);

impl<'de> Deserialize<'de> for Base64Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Base64Text, D::Error> {
        match deserializer.is_human_readable() {
            true => String::deserialize(deserializer).map(Base64Text),
            false => Err(de::Error::custom("send `payload` as a byte string")),
        }
    }
}

/// Not a derived enum: serde would take `{"put":null}` for one as well.
#[derive(Clone, Copy, serde::Deserialize)]
#[serde(try_from = "String")]
pub(super) enum ChangeOp {
    Create,
    Update,
    Put,
    Delete,
}

impl TryFrom<String> for ChangeOp {
    type Error = String;

    fn try_from(text: String) -> Result<ChangeOp, String> {
        match text.as_str() {
            "create" => Ok(ChangeOp::Create),
            "update" => Ok(ChangeOp::Update),
            "put" => Ok(ChangeOp::Put),
            "delete" => Ok(ChangeOp::Delete),
            _ => Err(format!("unknown op `{text}`: create, update, put or delete")),
        }
    }
}

/// `"absent"`, `"present"` or a key as a string or an integer.
pub(super) struct Expectation(pub Expect);

impl<'de> Deserialize<'de> for Expectation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Expectation, D::Error> {
        struct Words;

        impl Visitor<'_> for Words {
            type Value = Expectation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"absent\", \"present\" or a key")
            }

            fn visit_u64<E: de::Error>(self, key: u64) -> Result<Expectation, E> {
                Ok(Expectation(Expect::At(SyncKey::new(key))))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Expectation, E> {
                match text {
                    "absent" => Ok(Expectation(Expect::Absent)),
                    "present" => Ok(Expectation(Expect::Present)),
                    _ => match parse_key(text) {
                        Some(key) => Ok(Expectation(Expect::At(key))),
                        None => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                    },
                }
            }
        }

        deserializer.deserialize_any(Words)
    }
}

/// A name within a list: a string, or `{"base64":".."}` where it is not text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameGiven(pub Vec<u8>);

impl<'de> Deserialize<'de> for NameGiven {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NameGiven, D::Error> {
        struct Name;

        impl<'de> Visitor<'de> for Name {
            type Value = NameGiven;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or {\"base64\":\"..\"}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NameGiven, E> {
                Ok(NameGiven(text.as_bytes().to_vec()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NameGiven, A::Error> {
                let name = match map.next_entry::<String, String>()? {
                    Some((field, text)) if field == "base64" => {
                        decode_base64("base64", &text).map_err(de::Error::custom)?
                    }
                    Some((field, _)) => return Err(de::Error::unknown_field(&field, &["base64"])),
                    None => return Err(de::Error::missing_field("base64")),
                };
                match map.next_key::<String>()? {
                    None => Ok(NameGiven(name)),
                    Some(field) => Err(de::Error::unknown_field(&field, &["base64"])),
                }
            }
        }

        deserializer.deserialize_any(Name)
    }
}

/// A key within a value: a string of digits, or an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyGiven(pub SyncKey);

impl<'de> Deserialize<'de> for KeyGiven {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeyGiven, D::Error> {
        struct Key;

        impl Visitor<'_> for Key {
            type Value = KeyGiven;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_u64<E: de::Error>(self, key: u64) -> Result<KeyGiven, E> {
                Ok(KeyGiven(SyncKey::new(key)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<KeyGiven, E> {
                parse_key(text).map(KeyGiven).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Key)
    }
}
