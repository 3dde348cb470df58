//! What can be asked for.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use tidelog::units::size;
use tidelog::{Limits, Options};

use crate::failure::Failure;
use crate::values::{Setting, age, count, limit, setting_bytes, time};

/// Under which the options of every command stand.
const GLOBAL: &str = "Global options";

/// A changelog storage engine for sync servers: what changed in this dataset since my key?
#[derive(Debug, Parser)]
#[command(
    name = "tidelog",
    version,
    after_help = "Exit codes: 0 fine, 2 usage or bad input, 3 stale cursor, 4 conflict, 5 damaged store, 6 locked, \
                  7 not found, 1 other."
)]
pub struct Args {
    /// The store's directory [default: $TIDELOG_DATA, else ./data]
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    data: Option<PathBuf>,
    /// The memory budget, in bytes or as in 64M, 1G [default: $TIDELOG_MEMORY, else 256M]
    #[arg(
        long,
        global = true,
        env = "TIDELOG_MEMORY",
        hide_env = true,
        value_name = "BYTES",
        value_parser = size,
        help_heading = GLOBAL
    )]
    memory: Option<usize>,
    /// Print JSON, for programs (docs/json.md)
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// The names given (dataset, entity, prefix, after) are base64
    ///
    /// So names can be given that are not text, or that tables show escaped (as \xff). With --json a name that is not
    /// UTF-8 is printed in this form.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub base64: bool,
    /// Tell what the engine does; twice or more: in detail
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Commit JSON Lines; creates the store if there is none
    Import(Import),
    /// Print the live state of every dataset as lines for `import`
    Export,
    /// What changed in a dataset since a cursor
    Changes(Changes),
    /// An entity's newest entry
    Get(Entity),
    /// An entity's entries, oldest first
    History(History),
    /// The live entities of a dataset, in order of id
    Entities(Entities),
    /// The newest entries of a dataset, newest first
    Recent(Recent),
    /// The names of datasets
    Datasets {
        /// Only those that begin with this
        prefix: Option<OsString>,
    },
    /// What the store or a dataset holds
    Stat {
        /// Its name [default: the store as a whole]
        dataset: Option<OsString>,
    },
    /// Delete a dataset with all its entries
    Delete {
        /// Its name
        dataset: OsString,
    },
    /// Show or set how much of a dataset's past is kept
    #[command(subcommand)]
    Retention(Retention),
    /// Durable consumers: who has read how far
    #[command(subcommand)]
    Consumer(Consumer),
    /// Drop now what retention does not keep
    ///
    /// What is younger than the grace is kept for readers under way, and what a consumer has not acknowledged for it.
    Compact {
        /// Only this one
        dataset: Option<OsString>,
        /// How long entries are safe from retention [default: 15m]
        #[arg(long, value_name = "DURATION", value_parser = age)]
        grace: Option<Setting>,
    },
    /// Check the whole log and every row of the index by checksum and against each other, changing nothing
    Verify,
    /// Copy the store into a directory that does not exist, elsewhere
    ///
    /// It copies and does not check: `verify` does. On the same file system its larger files are links to the store's, so
    /// keep a copy of it on another disk.
    Backup {
        /// The directory to make
        dest: PathBuf,
    },
    /// Serve the store over HTTP (docs/http.md), until interrupted; creates it if there is none
    ///
    /// Every setting can also stand in the environment (--page-bytes: TIDELOG_PAGE_BYTES) or in the file that --config
    /// names (page-bytes = 1048576).
    #[cfg(feature = "server")]
    Serve(Box<crate::serve::Serve>),
    /// Make an access token for `serve`, and the line for its file of tokens
    #[cfg(feature = "server")]
    Token {
        /// What it allows: read, write (and read) or admin (everything)
        #[arg(long, value_name = "SCOPE", value_parser = ["read", "write", "admin"])]
        scope: String,
        /// The datasets it reaches: those whose names begin with this [default: all]
        #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
        prefix: String,
    },
    /// Make a store of a backup, in a directory (--data) that does not exist
    Restore {
        /// The backup's directory
        src: PathBuf,
    },
}

#[derive(Debug, ClapArgs)]
pub struct Import {
    /// A file of JSON Lines, or - for standard input
    pub file: PathBuf,
    /// How a new store gives out keys; an existing one keeps its way
    #[arg(long, value_enum, default_value_t = Keys::Counter)]
    pub keys: Keys,
    /// Believe this machine's clock, though it is more than 7 days ahead of the store's last commit
    #[arg(long)]
    pub confirm_clock: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Keys {
    /// 1, 2, 3, ...
    Counter,
    /// At least the time of the commit
    Timestamp,
}

#[derive(Debug, ClapArgs)]
pub struct Changes {
    /// The dataset's name
    pub dataset: OsString,
    /// A cursor, a key, or one of: start, oldest (what is still there), head (only what comes now) [default: start]
    #[arg(long, value_name = "CURSOR|KEY", conflicts_with = "since_time")]
    pub since: Option<String>,
    /// After everything committed before this time, in Unix milliseconds
    #[arg(long, value_name = "MS", value_parser = time)]
    pub since_time: Option<u64>,
    #[command(flatten)]
    pub page: PageOf,
    /// Go on to the end, page by page
    #[arg(long)]
    pub all: bool,
    /// Go on to the end and wait for more, until interrupted
    #[arg(long)]
    pub follow: bool,
}

/// How much a page holds.
#[derive(Debug, ClapArgs)]
pub struct PageOf {
    /// Entries in a page, at most [default: 1000]
    #[arg(long, value_name = "N", value_parser = limit)]
    limit: Option<NonZeroUsize>,
    /// Bytes of entities and payloads in a page, at most, also as in 64K [default: 4M]
    #[arg(long, value_name = "N", value_parser = size)]
    bytes: Option<usize>,
    /// What each client needs, or every recorded entry
    #[arg(long, value_enum, default_value_t = View::Latest)]
    view: View,
    /// Leave payloads out
    #[arg(long)]
    no_payload: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum View {
    Latest,
    Every,
}

impl PageOf {
    pub fn limits(&self) -> Limits {
        let mut limits = self.limit.map_or_else(Limits::default, |limit| Limits::entries(limit.get()));
        if let Some(bytes) = self.bytes {
            limits = limits.bytes(bytes);
        }
        limits = limits.view(match self.view {
            View::Latest => tidelog::View::Latest,
            View::Every => tidelog::View::Every,
        });
        if self.no_payload { limits.without_payloads() } else { limits }
    }
}

#[derive(Debug, ClapArgs)]
pub struct Entity {
    /// The dataset's name
    pub dataset: OsString,
    /// The entity's id
    pub entity: OsString,
}

#[derive(Debug, ClapArgs)]
pub struct History {
    #[command(flatten)]
    pub of: Entity,
    /// The newest N only
    #[arg(long, value_name = "N", default_value = "1000", value_parser = limit)]
    pub limit: NonZeroUsize,
}

#[derive(Debug, ClapArgs)]
pub struct Entities {
    /// The dataset's name
    pub dataset: OsString,
    /// Begin after this entity
    #[arg(long, value_name = "ENTITY")]
    pub after: Option<OsString>,
    /// At most N [default: all]
    #[arg(long, value_name = "N", value_parser = limit)]
    pub limit: Option<NonZeroUsize>,
}

#[derive(Debug, ClapArgs)]
pub struct Recent {
    /// The dataset's name
    pub dataset: OsString,
    /// Begin below this key [default: at the head]
    #[arg(long, value_name = "KEY")]
    pub before: Option<String>,
    /// At most N
    #[arg(long, value_name = "N", default_value = "20", value_parser = limit)]
    pub limit: NonZeroUsize,
}

#[derive(Debug, Subcommand)]
pub enum Retention {
    /// How much of its past the dataset keeps
    Show {
        /// The dataset's name
        dataset: OsString,
    },
    /// Change what is named, and leave the rest as it is; a dataset that does not exist is created, empty
    Set(RetentionSet),
}

#[derive(Debug, ClapArgs)]
pub struct RetentionSet {
    /// The dataset's name
    pub dataset: OsString,
    #[command(flatten)]
    pub caps: Caps,
}

/// The settings of a retention; a number or `none`.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = true)]
pub struct Caps {
    /// live: the newest entry of a live entity always stays; window: a plain capped log
    #[arg(long, value_enum)]
    pub keep: Option<Keep>,
    /// Superseded entries kept (with window: all entries)
    #[arg(long, value_name = "N|none", value_parser = count)]
    pub history_entries: Option<Setting>,
    /// Their bytes, also as in 64M
    #[arg(long, value_name = "N|none", value_parser = setting_bytes)]
    pub history_bytes: Option<Setting>,
    /// Their age: 30d, 12h, 15m, 10s, 500ms
    #[arg(long, value_name = "DURATION|none", value_parser = age)]
    pub history_age: Option<Setting>,
    /// Deletes kept
    #[arg(long, value_name = "N|none", value_parser = count)]
    pub tombstone_entries: Option<Setting>,
    /// Their bytes
    #[arg(long, value_name = "N|none", value_parser = setting_bytes)]
    pub tombstone_bytes: Option<Setting>,
    /// Their age
    #[arg(long, value_name = "DURATION|none", value_parser = age)]
    pub tombstone_age: Option<Setting>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Keep {
    Live,
    Window,
}

#[derive(Debug, Subcommand)]
pub enum Consumer {
    /// What comes after the consumer's acknowledged position
    Fetch {
        /// The consumer's name
        name: String,
        /// The dataset's name
        dataset: OsString,
        #[command(flatten)]
        page: PageOf,
    },
    /// All up to KEY is done
    Ack {
        /// The consumer's name
        name: String,
        /// The dataset's name
        dataset: OsString,
        /// The key of the last entry that is done
        key: String,
    },
    /// Every consumer and how far it is
    List,
    /// Forget a consumer, and keep nothing for it
    Remove {
        /// The consumer's name
        name: String,
        /// The dataset's name
        dataset: OsString,
    },
}

impl Args {
    /// The store's directory.
    pub fn data(&self) -> PathBuf {
        self.named_data().unwrap_or_else(|| PathBuf::from("./data"))
    }

    fn named_data(&self) -> Option<PathBuf> {
        let named = || std::env::var_os("TIDELOG_DATA").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        self.data.clone().or_else(named)
    }

    /// The memory budget, in bytes.
    pub fn memory(&self) -> usize {
        self.memory.unwrap_or(256 << 20)
    }

    /// Takes these where nothing else was said.
    #[cfg(feature = "server")]
    pub fn default_to(
        &mut self,
        data: Option<PathBuf>,
        memory: Option<usize>,
        json: Option<bool>,
        verbose: Option<u8>,
    ) {
        self.data = self.named_data().or(data);
        self.memory = self.memory.or(memory);
        self.json |= json.unwrap_or_default();
        self.verbose = if self.verbose == 0 { verbose.unwrap_or_default() } else { self.verbose };
    }

    /// That the store's directory is one, if it is there.
    pub fn check(&self) -> Result<(), Failure> {
        let dir = self.data();
        let wrong = match std::fs::metadata(&dir) {
            Ok(about) => !about.is_dir(),
            Err(error) => error.kind() == ErrorKind::NotADirectory,
        };
        match wrong {
            false => Ok(()),
            true => Err(Failure::invalid(format!(
                "{} is not a directory, and a store is one: name another with --data or TIDELOG_DATA",
                dir.display()
            ))),
        }
    }

    /// How the store is opened, unless a command needs something else: it must exist, and what is short of a long
    /// import does not begin to compact it on the side.
    pub fn options(&self) -> Options {
        Options::default().memory(self.memory()).create_if_missing(false).background_compaction(false)
    }
}
