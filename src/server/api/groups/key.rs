//! The key of acks: random bytes that only this store has, so that an ack is one that was given here.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::TRIES;
use crate::server::problem::Problem;
use crate::{Batch, Engine, Error, Expect};

/// Where it is kept, and under what: acks outlive a restart of the server.
const KEPT_IN: &[u8] = b"\0k";
const KEPT_AS: &[u8] = b"acks";
const KEY_BYTES: usize = 32;
/// How much of a code an ack carries.
pub const CODE_BYTES: usize = 16;

/// The key of a store's acks.
#[derive(Clone, PartialEq, Eq)]
pub struct AckKey([u8; KEY_BYTES]);

impl fmt::Debug for AckKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AckKey(..)")
    }
}

#[cfg(test)]
impl From<[u8; KEY_BYTES]> for AckKey {
    fn from(bytes: [u8; KEY_BYTES]) -> AckKey {
        AckKey(bytes)
    }
}

impl AckKey {
    /// The key of this store, made when it is first asked for.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::get`] and [`Engine::append`].
    pub fn of(engine: &Engine) -> Result<AckKey, Problem> {
        for _ in 0..TRIES {
            let found = match engine.get(KEPT_IN, KEPT_AS) {
                Err(Error::DatasetNotFound { .. }) => None,
                found => found?,
            };
            let known = found.as_ref().and_then(|entry| entry.payload.as_deref()?.try_into().ok());
            if let Some(known) = known {
                return Ok(AckKey(known));
            }
            let mut made = [0; KEY_BYTES];
            getrandom::fill(&mut made).map_err(|error| Problem::internal(format!("no random bytes: {error}")))?;
            let expect = found.map_or(Expect::Absent, |entry| Expect::At(entry.key));
            let mut batch = Batch::new();
            batch.put(KEPT_IN, KEPT_AS, made.to_vec()).expect(expect);
            match engine.append(batch) {
                Ok(_) => return Ok(AckKey(made)),
                // Somebody was faster: it is theirs.
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::busy("the key of acks is being made by many at once"))
    }

    /// The code over these parts.
    pub fn code(&self, parts: [&[u8]; 3]) -> [u8; CODE_BYTES] {
        let whole = self.over(parts).finalize().into_bytes();
        std::array::from_fn(|at| whole[at])
    }

    /// Whether this is the code over these parts. How long it takes tells nothing.
    pub fn is_code(&self, code: &[u8; CODE_BYTES], parts: [&[u8]; 3]) -> bool {
        self.over(parts).verify_truncated_left(code).is_ok()
    }

    fn over(&self, parts: [&[u8]; 3]) -> Hmac<Sha256> {
        // As long as a block of the hash, which is how it is filled up anyway.
        let mut block = [0; 64];
        block[..KEY_BYTES].copy_from_slice(&self.0);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    #[test]
    fn a_store_has_one_key_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), Options::default()).unwrap();
        let key = std::thread::scope(|scope| {
            let made: Vec<_> = (0..4).map(|_| scope.spawn(|| AckKey::of(&engine).unwrap())).collect();
            let made: Vec<AckKey> = made.into_iter().map(|key| key.join().unwrap()).collect();
            assert!(made.iter().all(|key| *key == made[0]));
            made[0].clone()
        });
        engine.close().unwrap();
        let engine = Engine::open(dir.path(), Options::default()).unwrap();
        assert_eq!(AckKey::of(&engine).unwrap(), key);
        let other = tempfile::tempdir().unwrap();
        let other = Engine::open(other.path(), Options::default()).unwrap();
        assert_ne!(AckKey::of(&other).unwrap(), key);
        assert_eq!(format!("{key:?}"), "AckKey(..)");
    }

    #[test]
    fn codes_are_hmac_sha256() {
        // RFC 4231, test case 2, with the lengths that stand before each part.
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(b"Jefe");
        let mut expected = <Hmac<Sha256> as KeyInit>::new_from_slice(b"Jefe").unwrap();
        for part in [&b"what do ya want "[..], b"for nothing?", b""] {
            expected.update(&(part.len() as u64).to_le_bytes());
            expected.update(part);
        }
        let code = AckKey(key).code([b"what do ya want ", b"for nothing?", b""]);
        assert_eq!(code[..], expected.finalize().into_bytes()[..CODE_BYTES]);
        assert!(AckKey(key).is_code(&code, [b"what do ya want ", b"for nothing?", b""]));
        assert!(!AckKey(key).is_code(&code, [b"what do ya want", b" for nothing?", b""]));
        assert!(!AckKey([1; KEY_BYTES]).is_code(&code, [b"what do ya want ", b"for nothing?", b""]));
    }
}
