//! Who may do what: bearer tokens, kept as hashes in a file that is read again when it changes.

mod file;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::gates::Client;
use super::problem::Problem;
use crate::Result;
use file::{Stamp, is_fresh, read, stamp};

/// What a token may do. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Also set retention and delete datasets.
    Admin,
}

impl Scope {
    /// The scope of this name.
    pub fn named(name: &str) -> Option<Scope> {
        match name {
            "read" => Some(Scope::Read),
            "write" => Some(Scope::Write),
            "admin" => Some(Scope::Admin),
            _ => None,
        }
    }
}

/// A scope on the datasets that begin with a prefix.
#[derive(Debug, Clone)]
struct Grant {
    token: [u8; 32],
    scope: Scope,
    prefix: Vec<u8>,
}

/// What one request may do.
#[derive(Debug, Clone)]
pub struct Access {
    /// Whom its waits are counted for.
    pub client: Client,
    /// None: there are no tokens, everything is allowed.
    grants: Option<Arc<[Grant]>>,
}

impl Access {
    /// Lets the request through if it may do this with the dataset.
    ///
    /// # Errors
    ///
    /// `forbidden`.
    pub fn check(&self, scope: Scope, dataset: &[u8]) -> Result<(), Problem> {
        let Some(grants) = &self.grants else { return Ok(()) };
        if grants.iter().any(|grant| grant.scope >= scope && dataset.starts_with(&grant.prefix)) {
            return Ok(());
        }
        let scope = match scope {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        };
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", format!("this token may not {scope} this dataset"))
            .dataset(dataset))
    }

    /// Lets the request through if it may read everything.
    ///
    /// # Errors
    ///
    /// `forbidden`.
    pub fn check_reads_all(&self) -> Result<(), Problem> {
        match self.reads(b"") {
            true => Ok(()),
            false => {
                Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "this needs a token that may read everything"))
            }
        }
    }
}

impl Access {
    /// Whether it may read this dataset.
    pub fn reads(&self, dataset: &[u8]) -> bool {
        let Some(grants) = &self.grants else { return true };
        grants.iter().any(|grant| dataset.starts_with(&grant.prefix))
    }

    /// The prefixes of what it may read below `prefix`, in byte order, none of them within another.
    pub fn readable(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        let Some(grants) = &self.grants else { return vec![prefix.to_vec()] };
        let mut prefixes: Vec<Vec<u8>> = grants
            .iter()
            .filter_map(|grant| match grant.prefix.len() <= prefix.len() {
                true => prefix.starts_with(&grant.prefix).then_some(prefix),
                false => grant.prefix.starts_with(prefix).then_some(&grant.prefix[..]),
            })
            .map(<[u8]>::to_vec)
            .collect();
        prefixes.sort_unstable();
        // Whatever begins with another stands right behind it.
        prefixes.dedup_by(|later, kept| later.starts_with(kept));
        prefixes
    }
}

/// The middleware has put it there; a route without it would let nobody in.
impl<S: Sync> FromRequestParts<S> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Access, Problem> {
        parts.extensions.get::<Access>().cloned().ok_or_else(Problem::unauthorized)
    }
}

/// The tokens of a server.
#[derive(Debug)]
pub struct Tokens {
    file: Option<PathBuf>,
    grants: RwLock<(Option<Stamp>, Arc<[Grant]>)>,
    /// How often they were read.
    readings: AtomicU64,
}

impl Tokens {
    /// The tokens of this file; without one nothing is restricted.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Invalid`] with the line that is wrong.
    pub fn load(file: Option<PathBuf>) -> Result<Tokens> {
        let grants = match &file {
            Some(file) => read(file)?,
            None => (None, Arc::default()),
        };
        Ok(Tokens { file, grants: RwLock::new(grants), readings: AtomicU64::new(0) })
    }

    /// Whether there are tokens at all.
    pub fn restrict(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again if it has changed. What cannot be read changes nothing, and is said. What changed a moment ago
    /// is left to the next time: somebody may be about to write the rest of it.
    pub fn reload(&self) {
        let Some(file) = &self.file else { return };
        let changed = stamp(file);
        if changed.is_some() && changed == self.grants.read().0 || changed.is_some_and(is_fresh) {
            return;
        }
        match read(file) {
            Ok(grants) => {
                tracing::info!(file = %file.display(), grants = grants.1.len(), "tokens read");
                *self.grants.write() = grants;
                self.readings.fetch_add(1, Ordering::Release);
            }
            Err(error) => tracing::warn!(%error, "tokens not read again; those known before stay"),
        }
    }

    /// What a request with these headers, from this client, may do.
    ///
    /// # Errors
    ///
    /// `unauthorized` without a token that is known.
    pub fn access(&self, headers: &HeaderMap, client: Client) -> Result<Access, Problem> {
        if self.file.is_none() {
            return Ok(Access { client, grants: None });
        }
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        self.access_of(token.ok_or_else(Problem::unauthorized)?.1.trim())
    }

    /// A number that is another one once the tokens may be others: then [`renewed`](Tokens::renewed) tells.
    pub fn readings(&self) -> u64 {
        self.readings.load(Ordering::Acquire)
    }

    /// What whoever was let in before may do now.
    ///
    /// # Errors
    ///
    /// `unauthorized` if its token is known no more.
    pub fn renewed(&self, access: &Access) -> Result<Access, Problem> {
        match access.client {
            Client::Token(hash) => self.access_of_hash(hash),
            Client::Address(_) => Ok(access.clone()),
        }
    }

    /// What the bearer of a token may do.
    ///
    /// # Errors
    ///
    /// `unauthorized`.
    pub fn access_of(&self, token: &str) -> Result<Access, Problem> {
        self.access_of_hash(hash(token))
    }

    fn access_of_hash(&self, hash: [u8; 32]) -> Result<Access, Problem> {
        let all = Arc::clone(&self.grants.read().1);
        // Every hash is compared, in constant time each, so that the time tells nothing.
        let grants: Arc<[Grant]> = all.iter().filter(|grant| bool::from(grant.token.ct_eq(&hash))).cloned().collect();
        match grants.is_empty() {
            true => Err(Problem::unauthorized()),
            false => Ok(Access { client: Client::Token(hash), grants: Some(grants) }),
        }
    }
}

/// The hash under which a token is kept.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A hash as the file has it.
pub fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn tokens(text: &str) -> (tempfile::TempDir, Tokens) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        std::fs::write(&file, text).unwrap();
        let tokens = Tokens::load(Some(file)).unwrap();
        (dir, tokens)
    }

    #[test]
    fn a_token_reaches_its_prefix_with_its_scope_and_no_further() {
        let (_dir, tokens) =
            tokens(&format!("# phones\n{} write team/\n{} read\n", hex(&hash("one")), hex(&hash("two"))));
        let one = tokens.access_of("one").unwrap();
        assert!(one.check(Scope::Read, b"team/a").is_ok());
        assert!(one.check(Scope::Write, b"team/a").is_ok());
        assert_eq!(one.check(Scope::Admin, b"team/a").unwrap_err().kind(), "forbidden");
        assert_eq!(one.check(Scope::Read, b"tea").unwrap_err().kind(), "forbidden");
        let two = tokens.access_of("two").unwrap();
        assert!(two.check(Scope::Read, b"anything").is_ok());
        assert_eq!(two.check(Scope::Write, b"anything").unwrap_err().kind(), "forbidden");
        assert_eq!(tokens.access_of("three").unwrap_err().kind(), "unauthorized");
    }

    #[test]
    fn what_can_be_read_below_a_prefix_is_told_without_repeats() {
        let lines = ["read team/b", "write team/", "admin other", "read team/a"]
            .map(|grant| format!("{} {grant}\n", hex(&hash("one"))));
        let (_dir, tokens) = tokens(&lines.concat());
        let one = tokens.access_of("one").unwrap();
        assert_eq!(one.readable(b""), [&b"other"[..], b"team/"]);
        assert_eq!(one.readable(b"team/b"), [b"team/b"]);
        assert_eq!(one.readable(b"te"), [b"team/"]);
        assert!(one.readable(b"x").is_empty());
        assert!(one.reads(b"team/z") && one.reads(b"others") && !one.reads(b"tea"));
    }

    #[test]
    fn what_changed_a_moment_ago_is_left_to_the_next_time() {
        let (dir, tokens) = tokens(&format!("{} read\n", hex(&hash("one"))));
        let file = dir.path().join("tokens");
        // Between emptying a file and writing it there is nothing in it.
        std::fs::write(&file, "").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(SystemTime::now()).unwrap();
        tokens.reload();
        assert!(tokens.access_of("one").is_ok());
        long_ago(&file);
        tokens.reload();
        assert_eq!(tokens.access_of("one").unwrap_err().kind(), "unauthorized");
    }

    /// As if the file had been left alone for a while.
    fn long_ago(file: &Path) {
        let then = SystemTime::now() - Duration::from_secs(60);
        std::fs::File::options().write(true).open(file).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn a_token_taken_from_the_file_is_let_in_no_more() {
        let (dir, tokens) = tokens(&format!("{} read\n", hex(&hash("one"))));
        assert!(tokens.access_of("one").is_ok());
        let file = dir.path().join("tokens");
        std::fs::write(&file, "").unwrap();
        // Some file systems count time in steps.
        let later = SystemTime::now() + Duration::from_secs(5);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        tokens.reload();
        assert_eq!(tokens.access_of("one").unwrap_err().kind(), "unauthorized");
    }
}
