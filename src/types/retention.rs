use serde::{Deserialize, Serialize};

/// What survives the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Keep {
    /// The newest entry of every live entity is never dropped: reading from 0 gives the whole state.
    #[default]
    Live,
    /// A plain capped log (event streams, timelines): everything at or below the floor goes, newest or not.
    Window,
}

/// How much may be kept. Whichever of the three is exceeded trims; none means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Cap {
    /// Most entries.
    pub entries: Option<u64>,
    /// Most bytes, counting entity and payload uncompressed.
    pub bytes: Option<u64>,
    /// Greatest age, in milliseconds: of a superseded entry since it was superseded, of a tombstone (or, with
    /// [`Keep::Window`], of any entry) since its commit.
    pub age_ms: Option<u64>,
}

/// How much of a dataset's past is kept.
///
/// ```
/// use tidelog::{Keep, Retention};
///
/// let mut retention = Retention::default();
/// assert_eq!(retention.history.entries, Some(100_000));
/// retention.keep = Keep::Window;
/// retention.history.entries = Some(800);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retention {
    /// Whether the newest entry of a live entity survives.
    pub keep: Keep,
    /// Superseded entries (with [`Keep::Window`]: all entries).
    pub history: Cap,
    /// Tombstones: deletes that are the newest entry of their entity. Not used with [`Keep::Window`].
    pub tombstones: Cap,
}

impl Default for Retention {
    /// 100,000 superseded entries, tombstones for 30 days.
    fn default() -> Retention {
        Retention {
            keep: Keep::Live,
            history: Cap { entries: Some(100_000), bytes: None, age_ms: None },
            tombstones: Cap { entries: None, bytes: None, age_ms: Some(30 * 24 * 3600 * 1000) },
        }
    }
}

impl Retention {
    /// Nothing is ever dropped.
    pub const fn unlimited() -> Retention {
        let none = Cap { entries: None, bytes: None, age_ms: None };
        Retention { keep: Keep::Live, history: none, tombstones: none }
    }
}
