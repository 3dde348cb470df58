//! How a command ends when it does not end well.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use tidelog::Error;
use tidelog::json::{self, Committed, ErrorBody};

use crate::text::{counted, shown};

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// The engine said so.
    Engine(Error),
    /// The entity does not exist in the dataset.
    NoEntity { dataset: Vec<u8>, entity: Vec<u8> },
    /// The engine said so of a consumer.
    Consumer(Box<OfConsumer>),
    /// An import stopped before its end.
    Import(Box<Stopped>),
    /// `verify` found something.
    Findings { dir: PathBuf, count: usize },
    /// Whatever read our output went away. That is its right.
    Pipe,
}

/// What a consumer's call was refused for.
#[derive(Debug)]
pub struct OfConsumer {
    /// Its name.
    pub name: String,
    /// The dataset that it reads.
    pub dataset: Vec<u8>,
    /// Why.
    pub error: Error,
    /// The same in other words, where the engine's do not fit.
    pub message: Option<String>,
}

/// Where an import stopped, and why.
#[derive(Debug)]
pub struct Stopped {
    /// The line that was refused; none if the source or a signal ended it.
    pub line: Option<u64>,
    /// Why; none for a signal.
    pub error: Option<Error>,
    /// What was committed.
    pub committed: Committed,
    /// How many of these commits stand behind the refused line: they were on their way when it failed.
    pub later: u64,
}

impl Failure {
    /// The call is wrong.
    pub fn invalid(what: impl Into<String>) -> Failure {
        Failure::Engine(Error::Invalid { what: what.into() })
    }

    fn exit_code(&self) -> u8 {
        match self {
            Failure::Engine(error) => json::exit_code(error),
            Failure::Consumer(of) => json::exit_code(&of.error),
            Failure::NoEntity { .. } => 7,
            Failure::Import(stopped) => stopped.error.as_ref().map_or(1, json::exit_code),
            Failure::Findings { .. } => 5,
            Failure::Pipe => 0,
        }
    }

    fn body(&self) -> ErrorBody {
        let message = self.to_string();
        match self {
            Failure::Engine(error) => json::error(error),
            Failure::NoEntity { dataset, entity } => {
                ErrorBody::new("not_found", message).dataset(dataset).entity(entity)
            }
            Failure::Consumer(of) => json::error(&of.error).message(message).dataset(&of.dataset).consumer(&of.name),
            Failure::Import(stopped) => match &stopped.error {
                Some(error) => json::error(error).message(message),
                None => ErrorBody::new("interrupted", message),
            }
            .import(stopped.line, stopped.committed),
            Failure::Findings { dir, .. } => ErrorBody::new("damaged", message).file(dir),
            Failure::Pipe => ErrorBody::new("io", message),
        }
    }

    /// Says on stderr what is wrong, and gives the exit code.
    pub fn report(&self, as_json: bool) -> ExitCode {
        let said = match self {
            Failure::Pipe => Ok(()),
            _ if as_json => writeln!(io::stderr(), "{}", serde_json::json!({ "error": self.body() })),
            _ => writeln!(io::stderr(), "error: {self}"),
        };
        // If nobody reads it, the exit code still says it.
        drop(said);
        ExitCode::from(self.exit_code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Engine(error) => error.fmt(f),
            Failure::Consumer(of) => match &of.message {
                Some(message) => f.write_str(message),
                None => of.error.fmt(f),
            },
            Failure::NoEntity { dataset, entity } => write!(
                f,
                "not found: entity '{}' in dataset '{}'",
                shown(entity, usize::MAX),
                shown(dataset, usize::MAX)
            ),
            Failure::Import(stopped) => stopped.fmt(f),
            Failure::Findings { dir, count } => write!(
                f,
                "the store in {} is damaged: {}; restore a backup",
                dir.display(),
                counted(*count as u64, "finding", "findings")
            ),
            Failure::Pipe => f.write_str("the reader of the output went away"),
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        match &self.error {
            Some(error) => error.fmt(f)?,
            None => f.write_str("interrupted")?,
        }
        f.write_str("; committed ")?;
        if self.line.is_some() && self.later == 0 {
            f.write_str("before it: ")?;
        } else {
            f.write_str("so far: ")?;
        }
        f.write_str(&crate::import::summary(&self.committed))?;
        if self.later > 0 {
            write!(f, "; {} of these commits stand behind that line", self.later)?;
        }
        Ok(())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Engine(error)
    }
}

/// Of our own output: everything else that can fail is the engine's, or named where it is done.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Pipe,
            _ => Failure::Engine(Error::Io { what: "cannot write the output".to_owned(), source: error }),
        }
    }
}
