//! One error type: each variant is something a caller does differently.

use std::fmt;
use std::path::PathBuf;

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller will do about it.
///
/// The message names what is wrong (file, offset, dataset, key) and the mend. `Debug` has it too, behind [`Error::kind`]: an
/// error that is returned from `main` is read by people.
#[non_exhaustive]
pub enum Error {
    /// The call itself is wrong: an empty or oversized name, an empty batch, a limit exceeded. Mend the call.
    Invalid {
        /// What is wrong and what is allowed.
        what: String,
    },
    /// The dataset does not exist (or no longer).
    DatasetNotFound {
        /// The dataset asked for.
        dataset: Vec<u8>,
    },
    /// The entity, consumer or store asked for does not exist.
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The cursor can no longer be served. Start again from [`Cursor::START`](crate::Cursor::START), or from
    /// [`Cursor::oldest`](crate::Cursor::oldest) if that is gone too.
    Stale(Stale),
    /// An expectation of the batch did not hold; nothing was written. Read the entity, merge, and try again.
    Conflict {
        /// The dataset of the change whose expectation failed.
        dataset: Vec<u8>,
        /// The entity of that change.
        entity: Vec<u8>,
        /// The key of the entity's newest entry, if it has one and it is not a delete.
        current: Option<u64>,
    },
    /// The idempotency id was used before with other content; nothing was written. Use a new id.
    IdempotencyMismatch {
        /// The id.
        id: Vec<u8>,
        /// The first key of the commit that used it.
        first: u64,
    },
    /// The batch was neither acknowledged nor certainly refused: its write or sync failed. Reopen the store and ask
    /// again; an idempotency id settles it.
    OutcomeUnknown {
        /// The failure behind it.
        cause: String,
    },
    /// An earlier write or sync failed and the store takes no more writes. Reads go on. Reopen the store.
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The disk is full; nothing was written. Free space and try again: no restart is needed.
    NoSpace {
        /// What could not be allocated.
        what: String,
    },
    /// A limit on what may be under way at once (queued commits, watchers) is reached. Try again later.
    Busy {
        /// Which limit.
        what: String,
    },
    /// Background sealing keeps failing and the tails are full; nothing was written. The cause says what to mend.
    SealFailed {
        /// The last failure.
        cause: String,
    },
    /// Bytes on disk are not what was written. Restore a backup, or ask for help with the file and offset named.
    Damaged {
        /// The file concerned.
        file: PathBuf,
        /// Where in it, if known.
        offset: Option<u64>,
        /// What is wrong there.
        what: String,
    },
    /// The store was written by a newer version of this crate; nothing was changed. Upgrade.
    FormatTooNew {
        /// The file that says so.
        file: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// Another process (or another handle) has this directory open; nothing was changed.
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A durable consumer fell too far behind and its lease was broken; changes it has not seen are gone. Start the
    /// consumer again from a full read.
    Evicted {
        /// The consumer.
        consumer: String,
        /// The dataset that it reads.
        dataset: Vec<u8>,
        /// The key below which history is gone.
        floor: u64,
    },
    /// The engine was closed.
    Closed,
    /// The operating system refused something that is neither of the above.
    Io {
        /// What was being done, with the file.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The index store (RocksDB) refused something. The message is its own.
    Store {
        /// What was being done.
        what: String,
        /// The store's message.
        cause: String,
    },
}

/// Why a cursor can no longer be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// The reason.
    pub reason: StaleReason,
    /// The dataset, where one was named.
    pub dataset: Vec<u8>,
    /// The position that the cursor names.
    pub position: u64,
    /// The key at or below which a cursor's position is too old, where that is the reason; else 0.
    pub floor: u64,
}

/// The reason of a [`Stale`] cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StaleReason {
    /// Deletes that the client has not seen may be gone.
    Trimmed,
    /// [`View::Every`](crate::View::Every) was asked for from below the history floor.
    HistoryTrimmed,
    /// The cursor belongs to a history of this store that was rolled back (a restore, a crash), or to another store.
    OtherLineage,
    /// The dataset was deleted and created again since, or the cursor is of another store's of the same name.
    Recreated,
    /// The cursor names a key that this store has not published.
    Future,
    /// The bytes or the text are not a cursor, or not one made by this version.
    Malformed,
}

impl StaleReason {
    /// A stable name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            StaleReason::Trimmed => "trimmed",
            StaleReason::HistoryTrimmed => "history_trimmed",
            StaleReason::OtherLineage => "other_lineage",
            StaleReason::Recreated => "recreated",
            StaleReason::Future => "future",
            StaleReason::Malformed => "malformed",
        }
    }
}

impl Error {
    /// A stable name for programs; what `tidelog --json` prints as `kind`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Error::Invalid { .. } => "invalid",
            Error::DatasetNotFound { .. } => "dataset_not_found",
            Error::NotFound { .. } => "not_found",
            Error::Stale(stale) => match stale.reason {
                StaleReason::Trimmed => "stale_trimmed",
                StaleReason::HistoryTrimmed => "stale_history_trimmed",
                StaleReason::OtherLineage => "stale_other_lineage",
                StaleReason::Recreated => "stale_recreated",
                StaleReason::Future => "stale_future",
                StaleReason::Malformed => "stale_malformed",
            },
            Error::Conflict { .. } => "conflict",
            Error::IdempotencyMismatch { .. } => "idempotency_mismatch",
            Error::OutcomeUnknown { .. } => "outcome_unknown",
            Error::Poisoned { .. } => "poisoned",
            Error::NoSpace { .. } => "no_space",
            Error::Busy { .. } => "busy",
            Error::SealFailed { .. } => "seal_failed",
            Error::Damaged { .. } => "damaged",
            Error::FormatTooNew { .. } => "format_too_new",
            Error::Locked { .. } => "locked",
            Error::Evicted { .. } => "evicted",
            Error::Closed => "closed",
            Error::Io { .. } => "io",
            Error::Store { .. } => "store",
        }
    }

    /// The call is wrong, because of `what`.
    pub(crate) fn invalid(what: impl Into<String>) -> Error {
        Error::Invalid { what: what.into() }
    }

    /// An operating system error while doing `what`; a full disk becomes [`Error::NoSpace`].
    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Error {
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::NoSpace { what: what.into() },
            _ => Error::Io { what: what.into(), source },
        }
    }

    /// Bytes of `file` at `offset` are wrong.
    pub(crate) fn damaged(file: impl Into<PathBuf>, offset: impl Into<Option<u64>>, what: impl Into<String>) -> Error {
        Error::Damaged { file: file.into(), offset: offset.into(), what: what.into() }
    }
}

/// Bytes that are mostly text, for people: UTF-8 as it is, anything else escaped.
pub(crate) struct Name<'a>(pub &'a [u8]);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) if !text.chars().any(char::is_control) => f.write_str(text),
            _ => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.kind())
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dataset, position, floor) = (Name(&self.dataset), self.position, self.floor);
        match self.reason {
            StaleReason::Trimmed if position == 0 => write!(
                f,
                "dataset '{dataset}' no longer has its start: living entries up to key {floor} may be gone; begin at the \
                 oldest that is left"
            ),
            StaleReason::Trimmed => write!(
                f,
                "the cursor at key {position} is too old for dataset '{dataset}': deletes up to key {floor} may be \
                 gone; start again from 0"
            ),
            StaleReason::HistoryTrimmed => write!(
                f,
                "dataset '{dataset}' no longer has every entry after key {position}: its history begins after key \
                 {floor}; read the latest view instead, or start from there"
            ),
            StaleReason::OtherLineage => write!(
                f,
                "the cursor at key {position} comes from a history that this store does not share (another store, \
                 a restore or a crash in between); start again from 0"
            ),
            StaleReason::Recreated => write!(
                f,
                "dataset '{dataset}' was deleted and created again after the cursor was made; start again from 0"
            ),
            StaleReason::Future => {
                write!(f, "this store has not published key {position}; start again from 0")
            }
            StaleReason::Malformed => {
                write!(f, "this is not a cursor that Tidelog made (damaged or cut); start again from 0")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid { what } => f.write_str(what),
            Error::DatasetNotFound { dataset } => write!(f, "there is no dataset '{}'", Name(dataset)),
            Error::NotFound { what } => write!(f, "not found: {what}"),
            Error::Stale(stale) => stale.fmt(f),
            Error::Conflict { dataset, entity, current } => {
                write!(f, "conflict on entity '{}' of dataset '{}': ", Name(entity), Name(dataset))?;
                match current {
                    Some(key) => write!(f, "its newest entry is key {key}; "),
                    None => write!(f, "it does not exist; "),
                }?;
                f.write_str("nothing was written, read it again and retry")
            }
            Error::IdempotencyMismatch { id, first } => write!(
                f,
                "idempotency id '{}' was used for other content (commit at key {first}); nothing was written, use a \
                 new id",
                Name(id)
            ),
            Error::OutcomeUnknown { cause } => write!(
                f,
                "whether the commit is stored is unknown ({cause}); reopen the store and ask again, with the same \
                 idempotency id if it had one"
            ),
            Error::Poisoned { cause } => {
                write!(f, "the store takes no more writes since an earlier one failed ({cause}); reopen it")
            }
            Error::NoSpace { what } => {
                write!(f, "the disk is full ({what}); nothing was written, free space and retry")
            }
            Error::Busy { what } => write!(f, "too much at once: {what}; try again later"),
            Error::SealFailed { cause } => write!(
                f,
                "the tails are full because sealing fails ({cause}); nothing was written, mend the cause and retry"
            ),
            Error::Damaged { file, offset, what } => {
                write!(f, "damaged file {}", file.display())?;
                if let Some(offset) = offset {
                    write!(f, " at offset {offset}")?;
                }
                write!(f, ": {what}; restore a backup, or run `tidelog verify` for the whole picture")
            }
            Error::FormatTooNew { file, found, supported } => write!(
                f,
                "{} has format {found}, this build reads up to {supported}; nothing was changed, upgrade Tidelog",
                file.display()
            ),
            Error::Locked { dir } => write!(
                f,
                "{} is open already, in another process or by another handle of this one; nothing was changed: close that \
                 first: one at a time can have a store open, also for reading",
                dir.display()
            ),
            Error::Evicted { consumer, dataset, floor } => write!(
                f,
                "consumer '{consumer}' fell too far behind: changes of dataset '{}' up to key {floor} are gone; read it \
                 again from 0 and acknowledge from there",
                Name(dataset)
            ),
            Error::Closed => f.write_str("the engine was closed"),
            Error::Io { what, source } => write!(f, "{what}: {source}"),
            Error::Store { what, cause } => write!(f, "{what}: {cause}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<Stale> for Error {
    fn from(stale: Stale) -> Error {
        Error::Stale(stale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_ends_a_program_can_be_read() {
        let error = Error::DatasetNotFound { dataset: b"notes".to_vec() };
        assert_eq!(format!("{error:?}"), format!("dataset_not_found: {error}"));
        assert!(error.to_string().contains("'notes'"), "{error}");
    }
}
