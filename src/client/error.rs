use std::fmt;
use std::time::Duration;

use super::problem::Problem;

/// The outcome of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a local copy could not be kept.
pub type LocalError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed, by what the caller does about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The position is too old, or of another history (410): forget what is held and read again from
    /// [`Cursor::START`](crate::Cursor::START), or from [`Cursor::oldest`](crate::Cursor::oldest) if that is refused too. A [`Replica`](super::Replica) does that by itself.
    Stale(Box<Problem>),
    /// Another writer was faster (409, 412): nothing was written; read again, decide again.
    Conflict(Box<Problem>),
    /// There is no such dataset, entity, consumer or group (404).
    NotFound(Box<Problem>),
    /// The token is missing, unknown, or does not reach so far (401, 403).
    Denied(Box<Problem>),
    /// The call is wrong and will fail again as it is (other 4xx).
    Refused(Box<Problem>),
    /// The server or the network failed for as long as the client tries. A write may have been done: repeat it with the
    /// same idempotency id.
    Unavailable {
        /// The last failure.
        what: String,
        /// When the server wants to be asked again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The server cannot serve this, and asking again does not help (500): somebody has to look at it.
    Failed(Box<Problem>),
    /// The answer is not one that this client understands.
    Unexpected {
        /// What it is.
        what: String,
    },
    /// The local copy could not be kept.
    Local(LocalError),
}

impl Error {
    /// What the server said, if it is the server that refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Error::Stale(problem)
            | Error::Conflict(problem)
            | Error::NotFound(problem)
            | Error::Denied(problem)
            | Error::Refused(problem)
            | Error::Failed(problem) => Some(problem),
            Error::Unavailable { .. } | Error::Unexpected { .. } | Error::Local(_) => None,
        }
    }

    pub(super) fn unexpected(what: impl Into<String>) -> Error {
        Error::Unexpected { what: what.into() }
    }

    /// A call that need not be made to know that it is wrong.
    pub(super) fn refused(detail: impl Into<String>) -> Error {
        Error::Refused(Box::new(Problem::invalid(detail)))
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Error {
        let problem = Box::new(problem);
        match problem.status {
            410 => Error::Stale(problem),
            409 | 412 => Error::Conflict(problem),
            // A proxy's, or a path that is not ours: nothing is known of what was asked for.
            404 if problem.kind.is_empty() => Error::unexpected(problem.detail),
            404 => Error::NotFound(problem),
            401 | 403 => Error::Denied(problem),
            400..500 => Error::Refused(problem),
            _ => Error::Failed(problem),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unavailable { what, .. } => write!(f, "the server cannot be reached: {what}"),
            Error::Unexpected { what } => write!(f, "not an answer of a Tidelog server: {what}"),
            Error::Local(error) => write!(f, "the local copy could not be kept: {error}"),
            Error::Stale(problem)
            | Error::Conflict(problem)
            | Error::NotFound(problem)
            | Error::Denied(problem)
            | Error::Refused(problem)
            | Error::Failed(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Local(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}
