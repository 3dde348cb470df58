//! Timelines: the newest entries first, and from there in both directions.

use ureq::http::HeaderMap;

use super::error::Result;
use super::path::{Query, path};
use super::transport::{Call, Client};
use super::wire::{EntriesWire, entries};
use crate::{Entry, SyncKey};

/// Which part of a timeline.
///
/// ```
/// use tidelog::SyncKey;
/// use tidelog::client::Timeline;
///
/// let newest = Timeline::newest().limit(20);
/// let missed = Timeline::newest().min_id(SyncKey::new(41)); // those next above what was seen
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    since_id: Option<SyncKey>,
    min_id: Option<SyncKey>,
    max_id: Option<SyncKey>,
    limit: Option<usize>,
    /// The query of a link, in place of all that.
    link: Option<String>,
}

/// One page of a timeline.
#[derive(Debug)]
#[non_exhaustive]
pub struct TimelinePage {
    /// The entries, newest first.
    pub entries: Vec<Entry>,
    /// The page of those before them, if there may be any.
    pub older: Option<Timeline>,
    /// The page of those after them, if there may be any.
    pub newer: Option<Timeline>,
}

impl Timeline {
    /// The newest entries.
    pub fn newest() -> Timeline {
        Timeline::default()
    }

    /// The newest entries above this key: what lies between them and the key is left out.
    pub fn since_id(self, key: SyncKey) -> Timeline {
        Timeline { since_id: Some(key), ..self }
    }

    /// The entries next above this key: nothing is left out.
    pub fn min_id(self, key: SyncKey) -> Timeline {
        Timeline { min_id: Some(key), ..self }
    }

    /// The newest entries below this key.
    pub fn max_id(self, key: SyncKey) -> Timeline {
        Timeline { max_id: Some(key), ..self }
    }

    /// At most this many entries.
    pub fn limit(self, limit: usize) -> Timeline {
        Timeline { limit: Some(limit), ..self }
    }

    fn query(&self, path: String) -> String {
        if let Some(link) = &self.link {
            return format!("{path}?{link}");
        }
        let text = |key: Option<SyncKey>| key.map(|key| key.to_string());
        let query = Query::of(path).maybe("since_id", text(self.since_id)).maybe("min_id", text(self.min_id));
        let query = query.maybe("max_id", text(self.max_id));
        query.maybe("limit", self.limit.map(|limit| limit.to_string())).text()
    }
}

impl Client {
    /// One page of a dataset as a timeline, newest first, with where to go on in both directions.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](super::Error::NotFound) if there is no such dataset.
    pub fn timeline(&self, dataset: impl AsRef<[u8]>, timeline: &Timeline) -> Result<TimelinePage> {
        let call = Call::get(timeline.query(path(&[b"timelines", dataset.as_ref()])?));
        let answer = self.call(&call)?;
        let (older, newer) = (link(&answer.headers, "next"), link(&answer.headers, "prev"));
        Ok(TimelinePage { entries: entries(answer.json::<EntriesWire<'_>>()?.entries)?, older, newer })
    }
}

/// The query of the link with this relation. Its path is not used: a proxy may have another one for the same server.
fn link(headers: &HeaderMap, rel: &str) -> Option<Timeline> {
    let rel = format!("rel=\"{rel}\"");
    let links = headers.get_all("link").iter().filter_map(|value| value.to_str().ok());
    let mut links = links.flat_map(|links| links.split(','));
    let link = links.find(|link| link.split(';').skip(1).any(|part| part.trim() == rel))?;
    let (_, query) = link.split(';').next()?.trim().strip_prefix('<')?.strip_suffix('>')?.split_once('?')?;
    Some(Timeline { link: Some(query.to_owned()), ..Timeline::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_by_their_relation() {
        let mut headers = HeaderMap::new();
        headers.append("link", r#"</v1/timelines/d?max_id=7&limit=2>; rel="next""#.parse().unwrap());
        headers
            .append("link", r#"<https://host/v1/timelines/d?min_id=9>; rel="prev", <x>; rel="other""#.parse().unwrap());
        let query = |rel| link(&headers, rel).map(|link| link.query("/p".into()));
        assert_eq!(query("next").as_deref(), Some("/p?max_id=7&limit=2"));
        assert_eq!(query("prev").as_deref(), Some("/p?min_id=9"));
        assert_eq!((query("other"), query("restart")), (None, None));
    }

    #[test]
    fn only_what_is_named_is_asked_for() {
        assert_eq!(Timeline::newest().query("/p".into()), "/p");
        let text = Timeline::newest().since_id(SyncKey::new(3)).max_id(SyncKey::new(9)).limit(2).query("/p".into());
        assert_eq!(text, "/p?since_id=3&max_id=9&limit=2");
    }
}
