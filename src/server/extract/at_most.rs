//! Lists whose length is bounded while they are read. The size of a body bounds what it may become only by a large factor:
//! three bytes (`{},`) are an element of a hundred.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// A list of at most `MAX` elements: the first one beyond is refused, and nothing behind it is read.
#[derive(Debug)]
pub struct AtMost<T, const MAX: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for AtMost<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AtMost<T, MAX>, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = AtMost<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<AtMost<T, MAX>, A::Error> {
                let mut taken = Vec::new();
                while taken.len() < MAX {
                    match list.next_element()? {
                        Some(element) => taken.push(element),
                        None => return Ok(AtMost(taken)),
                    }
                }
                match list.next_element::<IgnoredAny>()? {
                    None => Ok(AtMost(taken)),
                    Some(_) => Err(A::Error::custom(format_args!("this list holds at most {MAX}"))),
                }
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::extract::from_cbor;

    type Three = AtMost<u8, 3>;

    fn cbor(value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(&value.to_vec(), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_list_is_taken_up_to_its_bound_and_not_beyond() {
        assert_eq!(serde_json::from_str::<Three>("[]").unwrap().0, [0_u8; 0]);
        assert_eq!(serde_json::from_str::<Three>("[1,2,3]").unwrap().0, [1, 2, 3]);
        assert_eq!(from_cbor::<Three>(&cbor(&[1, 2, 3])).unwrap().0, [1, 2, 3]);
        // What follows is not looked at, whatever it is.
        let refused = serde_json::from_str::<Three>("[1,2,3,4,!").unwrap_err();
        assert!(refused.to_string().contains("at most 3"), "{refused}");
        assert_eq!(from_cbor::<Three>(&cbor(&[1, 2, 3, 4])).unwrap_err().kind(), "invalid");
        // A length that nothing stands behind takes no memory.
        let refused = from_cbor::<Three>(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).unwrap_err();
        assert_eq!(refused.kind(), "invalid");
    }
}
