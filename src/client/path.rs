//! Paths and queries: names are bytes, so all of them that is not plain is percent-encoded.

use super::error::{Error, Result};
use crate::{Cursor, Limits, View};

/// `/v1` and these parts, each percent-encoded.
pub(super) fn path(parts: &[&[u8]]) -> Result<String> {
    let mut path = String::from("/v1");
    for part in parts {
        if part.is_empty() {
            return Err(Error::refused("a name must not be empty"));
        }
        path.push('/');
        encode(&mut path, part);
    }
    Ok(path)
}

/// Letters, digits, `-`, `_` and `~` as they are. Not the dot: `.` and `..` as a segment mean something else.
fn encode(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// A path with its query, as it grows.
pub(super) struct Query {
    text: String,
    first: bool,
}

impl Query {
    pub fn of(path: String) -> Query {
        Query { text: path, first: true }
    }

    pub fn add(mut self, name: &str, value: impl AsRef<[u8]>) -> Query {
        self.text.push(if self.first { '?' } else { '&' });
        self.first = false;
        self.text.push_str(name);
        self.text.push('=');
        encode(&mut self.text, value.as_ref());
        self
    }

    pub fn maybe(self, name: &str, value: Option<impl AsRef<[u8]>>) -> Query {
        match value {
            Some(value) => self.add(name, value),
            None => self,
        }
    }

    pub fn since(self, cursor: &Cursor) -> Query {
        self.add("since", cursor.to_string())
    }

    /// What differs from the server's own: it may allow less than the engine does.
    pub fn limits(mut self, limits: Limits) -> Query {
        let Asked { limit, bytes, view, payloads } = Asked::of(limits);
        self = self.maybe("limit", limit.map(|limit| limit.to_string()));
        self = self.maybe("bytes", bytes.map(|bytes| bytes.to_string()));
        self.maybe("view", view).maybe("payloads", payloads.map(|payloads| payloads.to_string()))
    }

    pub fn text(self) -> String {
        self.text
    }
}

/// Most entries that a server gives in a page.
const MAX_ENTRIES: usize = 10_000;

/// What of some limits has to be said.
pub(super) struct Asked {
    pub limit: Option<usize>,
    pub bytes: Option<usize>,
    pub view: Option<&'static str>,
    pub payloads: Option<bool>,
}

impl Asked {
    pub fn of(limits: Limits) -> Asked {
        let default = Limits::default();
        let other = |asked: usize, default: usize| (asked != default).then_some(asked);
        Asked {
            limit: other(limits.max_entries, default.max_entries).map(|limit| limit.min(MAX_ENTRIES)),
            bytes: other(limits.max_bytes, default.max_bytes),
            view: (limits.view == View::Every).then_some("every"),
            payloads: (!limits.payloads).then_some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_percent_encoded() {
        assert_eq!(path(&[b"datasets", b"team/inbox"]).unwrap(), "/v1/datasets/team%2Finbox");
        assert_eq!(path(&[b"datasets", b"..", b"\x00\xff a"]).unwrap(), "/v1/datasets/%2E%2E/%00%FF%20a");
        assert!(matches!(path(&[b"datasets", b""]), Err(Error::Refused(_))));
    }

    #[test]
    fn only_what_differs_is_asked_for() {
        let text = |limits| Query::of("/p".into()).limits(limits).text();
        assert_eq!(text(Limits::default()), "/p");
        assert_eq!(text(Limits::entries(50).without_payloads()), "/p?limit=50&payloads=false");
        assert_eq!(text(Limits::entries(1 << 30).bytes(9).view(View::Every)), "/p?limit=10000&bytes=9&view=every");
    }
}
