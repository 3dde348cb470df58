//! Tags: an entity's key in quotes, and the conditions of a request on it.

use axum::http::HeaderValue;

use super::problem::Problem;
use crate::{Expect, SyncKey};

/// The strong tag of an entity whose newest entry has this key.
pub fn tag(key: SyncKey) -> HeaderValue {
    // Digits in quotes are a header's value; a tag that matches nothing stands for what cannot happen.
    HeaderValue::try_from(format!("\"{key}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The tags that a client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Whatever there is.
    Any,
    /// These.
    Keys(Vec<SyncKey>),
}

impl Known {
    /// Whether this key is among them.
    pub fn has(&self, key: SyncKey) -> bool {
        match self {
            Known::Any => true,
            Known::Keys(keys) => keys.contains(&key),
        }
    }
}

/// What `If-None-Match` of a read says. A tag that is weak or not ours is one that nothing has.
///
/// # Errors
///
/// `invalid` for what is no list of tags.
pub fn known(if_none_match: Option<&str>) -> Result<Known, Problem> {
    match if_none_match.map(str::trim) {
        None => Ok(Known::Keys(Vec::new())),
        Some("*") => Ok(Known::Any),
        Some(list) => {
            let keys = list.split(',').map(|text| {
                let text = text.trim();
                // A read may compare weakly.
                parse(text.strip_prefix("W/").unwrap_or(text))
            });
            Ok(Known::Keys(keys.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()))
        }
    }
}

/// What a write expects by its `If-Match` and `If-None-Match`.
///
/// # Errors
///
/// `invalid` for what cannot be expected.
pub fn wanted(if_match: Option<&str>, if_none_match: Option<&str>) -> Result<Option<Expect>, Problem> {
    match (if_match.map(str::trim), if_none_match.map(str::trim)) {
        (None, None) => Ok(None),
        (Some("*"), None) => Ok(Some(Expect::Present)),
        (None, Some("*")) => Ok(Some(Expect::Absent)),
        (Some(text), None) if text.contains(',') => Err(Problem::invalid("If-Match takes one tag, or *")),
        // No entity has the key 0: a tag that is weak or not ours matches nothing.
        (Some(text), None) => match text.strip_prefix("W/") {
            Some(weak) => parse(weak).map(|_| Some(Expect::At(SyncKey::ZERO))),
            None => Ok(Some(Expect::At(parse(text)?.unwrap_or(SyncKey::ZERO)))),
        },
        (None, Some(_)) => Err(Problem::invalid("If-None-Match of a write takes * alone")),
        (Some(_), Some(_)) => Err(Problem::invalid("If-Match and If-None-Match exclude each other")),
    }
}

/// The key of a strong tag; none for one that is not ours.
fn parse(text: &str) -> Result<Option<SyncKey>, Problem> {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|inner| !inner.contains('"'));
    let inner = inner.ok_or_else(|| Problem::invalid(format!("{text:?} is not a tag: write a key in quotes")))?;
    // As it is given out, so that no two texts are the same tag.
    Ok(crate::json::key(inner).ok().filter(|key| key.to_string() == inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_expects_what_its_headers_say() {
        let at = |key| Some(Expect::At(SyncKey::new(key)));
        for (if_match, if_none_match, expected) in [
            (None, None, None),
            (Some("*"), None, Some(Expect::Present)),
            (None, Some(" * "), Some(Expect::Absent)),
            (Some("\"42\""), None, at(42)),
            (Some("\"042\""), None, at(0)),
            (Some("W/\"42\""), None, at(0)),
            (Some("\"theirs\""), None, at(0)),
        ] {
            assert_eq!(wanted(if_match, if_none_match).unwrap(), expected, "{if_match:?} {if_none_match:?}");
        }
        for (if_match, if_none_match) in [
            (Some("42"), None),
            (Some("\"1\", \"2\""), None),
            (Some("W/42"), None),
            (Some(""), None),
            (Some("\""), None),
            (None, Some("\"42\"")),
            (Some("*"), Some("*")),
        ] {
            assert_eq!(wanted(if_match, if_none_match).unwrap_err().kind(), "invalid", "{if_match:?}");
        }
    }

    #[test]
    fn a_read_knows_what_it_lists() {
        assert!(known(Some("*")).unwrap().has(SyncKey::new(1)));
        let some = known(Some("\"1\", W/\"2\",\"theirs\"")).unwrap();
        assert!(some.has(SyncKey::new(1)) && some.has(SyncKey::new(2)) && !some.has(SyncKey::new(3)));
        assert_eq!(known(None).unwrap(), Known::Keys(Vec::new()));
        assert!(known(Some("1")).is_err());
    }

    #[test]
    fn a_tag_is_the_key_in_quotes() {
        assert_eq!(tag(SyncKey::new(u64::MAX)), "\"18446744073709551615\"");
    }
}
