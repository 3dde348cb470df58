//! One configuration: flags, environment and a file, with the same names in each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::{Error, Result, SyncKeys};

/// What can be set, each as a flag (`--page-bytes`), in the environment (`TIDELOG_PAGE_BYTES`) or in the file
/// (`page-bytes = 4194304`); the first of them that says something counts.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// A TOML file with these settings
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// The store's directory; as a flag it stands before the command.
    #[arg(skip)]
    pub data: Option<PathBuf>,
    /// The memory budget, in bytes; as a flag it stands before the command.
    #[arg(skip)]
    pub memory: Option<usize>,
    /// Where to listen [default: 127.0.0.1:7171]
    #[arg(long, env = "TIDELOG_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// The file of access tokens; without one only a loopback address can be listened on
    ///
    /// A line is `SHA256 SCOPE [PREFIX]`: the token's hash in hex, read, write or admin, and the prefix of the datasets.
    /// `tidelog token` makes one. The file is read again when it changes.
    #[arg(long, env = "TIDELOG_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// The TLS certificate chain (PEM)
    #[arg(long, env = "TIDELOG_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the TLS certificate (PEM)
    #[arg(long, env = "TIDELOG_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// An origin whose pages may call this server from a browser; may be given several times
    #[arg(long, env = "TIDELOG_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origin: Option<Vec<String>>,
    /// How a new store gives out keys: counter or timestamp [default: counter]
    #[arg(long, env = "TIDELOG_KEYS", value_name = "KEYS")]
    pub keys: Option<Keys>,
    /// How long what was committed is safe from retention, for readers under way, in seconds [default: 900]
    #[arg(long, env = "TIDELOG_GRACE", value_name = "SECONDS")]
    pub grace: Option<f64>,
    /// How much history of a dataset is kept for its consumers beyond its own bounds, in bytes [default: 1 GiB]
    ///
    /// A consumer that is further behind is told that it is, and begins again.
    #[arg(long, env = "TIDELOG_CONSUMER_BYTES", value_name = "BYTES")]
    pub consumer_bytes: Option<usize>,
    /// The largest body of a request, in bytes [default: 16 MiB]
    #[arg(long, env = "TIDELOG_BODY_BYTES", value_name = "BYTES")]
    pub body_bytes: Option<usize>,
    /// How much memory bodies, and what they are made into, may take together, in bytes [default: 64 MiB]
    #[arg(long, env = "TIDELOG_BODY_MEMORY", value_name = "BYTES")]
    pub body_memory: Option<usize>,
    /// How much memory those may take together who wait for changes of many datasets, in bytes [default: 256 MiB]
    #[arg(long, env = "TIDELOG_WAIT_MEMORY", value_name = "BYTES")]
    pub wait_memory: Option<usize>,
    /// The largest page of an answer, in bytes [default: 4 MiB]
    #[arg(long, env = "TIDELOG_PAGE_BYTES", value_name = "BYTES")]
    pub page_bytes: Option<usize>,
    /// How much memory pages on their way to clients may take together, in bytes [default: 64 MiB]
    #[arg(long, env = "TIDELOG_PAGE_MEMORY", value_name = "BYTES")]
    pub page_memory: Option<usize>,
    /// The longest wait for a change, in seconds [default: 60]
    #[arg(long, env = "TIDELOG_MAX_WAIT", value_name = "SECONDS")]
    pub max_wait: Option<f64>,
    /// How often an idle stream is sent a sign of life, in seconds [default: 15]
    #[arg(long, env = "TIDELOG_HEARTBEAT", value_name = "SECONDS")]
    pub heartbeat: Option<f64>,
    /// How long a client may take to send a request's head, or to take in what it is sent, in seconds [default: 30]
    #[arg(long, env = "TIDELOG_PATIENCE", value_name = "SECONDS")]
    pub patience: Option<f64>,
    /// How many connections may be open [default: 20000]
    #[arg(long, env = "TIDELOG_CONNECTIONS", value_name = "N")]
    pub connections: Option<usize>,
    /// How many waits and streams one client may hold [default: 1000]
    #[arg(long, env = "TIDELOG_WAITERS_PER_CLIENT", value_name = "N")]
    pub waiters_per_client: Option<usize>,
    /// How many clients may read from the start at once [default: 16]
    #[arg(long, env = "TIDELOG_FULL_SYNCS", value_name = "N")]
    pub full_syncs: Option<usize>,
}

/// How a new store gives out keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keys {
    /// 1, 2, 3, ..
    Counter,
    /// Milliseconds since 1970, shifted.
    Timestamp,
}

impl From<Keys> for SyncKeys {
    fn from(keys: Keys) -> SyncKeys {
        match keys {
            Keys::Counter => SyncKeys::Counter,
            Keys::Timestamp => SyncKeys::Timestamp,
        }
    }
}

/// What a server runs by: every setting with a value.
#[derive(Debug, Clone)]
pub struct Config {
    /// The store's directory, if the file names one.
    pub data: Option<PathBuf>,
    /// The memory budget, if the file names one.
    pub memory: Option<usize>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The file of tokens, if access is restricted.
    pub tokens: Option<PathBuf>,
    /// Certificate chain and key, for TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Origins whose pages may call.
    pub cors_origins: Vec<String>,
    /// How a new store gives out keys.
    pub keys: Keys,
    /// How long what was committed is safe from retention.
    pub grace: Duration,
    /// How much history of a dataset is kept for its consumers, in bytes.
    pub consumer_bytes: usize,
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// All bodies under way together, in bytes.
    pub body_memory: usize,
    /// All waits for many datasets together, in bytes.
    pub wait_memory: usize,
    /// The largest page, in bytes.
    pub page_bytes: usize,
    /// All pages under way together, in bytes.
    pub page_memory: usize,
    /// The longest wait for a change.
    pub max_wait: Duration,
    /// How often an idle stream shows that it lives.
    pub heartbeat: Duration,
    /// How long a client may be slow at a stretch.
    pub patience: Duration,
    /// Most open connections.
    pub connections: usize,
    /// Most waits and streams of a client.
    pub waiters_per_client: usize,
    /// Most reads from the start at once.
    pub full_syncs: usize,
}

impl Settings {
    /// The settings with what the file says below them and the defaults below that.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the file cannot be read or says what cannot be, or a setting is out of its bounds.
    pub fn resolve(self) -> Result<Config> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None => Settings::default(),
        };
        let tls = match (self.tls_cert.or(file.tls_cert), self.tls_key.or(file.tls_key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(invalid("tls-cert and tls-key belong together: give both, or neither")),
        };
        let seconds = |name: &str, value: Option<f64>, default: f64| match value.unwrap_or(default) {
            value if (0.001..=86_400.0).contains(&value) => Ok(Duration::from_secs_f64(value)),
            value => Err(invalid(format!("{name}: {value} is not within 0.001 to 86400 seconds"))),
        };
        let number = |name: &str, value: Option<usize>, default: usize| match value.unwrap_or(default) {
            0 => Err(invalid(format!("{name}: must be at least 1"))),
            value => Ok(value),
        };
        let config = Config {
            data: file.data,
            memory: file.memory,
            listen: self.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7171))),
            tokens: self.tokens.or(file.tokens),
            tls,
            cors_origins: self.cors_origin.or(file.cors_origin).unwrap_or_default(),
            keys: self.keys.or(file.keys).unwrap_or(Keys::Counter),
            grace: seconds("grace", self.grace.or(file.grace), 900.0)?,
            consumer_bytes: number("consumer-bytes", self.consumer_bytes.or(file.consumer_bytes), 1 << 30)?,
            body_bytes: number("body-bytes", self.body_bytes.or(file.body_bytes), 16 << 20)?,
            body_memory: number("body-memory", self.body_memory.or(file.body_memory), 64 << 20)?,
            wait_memory: number("wait-memory", self.wait_memory.or(file.wait_memory), 256 << 20)?,
            page_bytes: number("page-bytes", self.page_bytes.or(file.page_bytes), 4 << 20)?,
            page_memory: number("page-memory", self.page_memory.or(file.page_memory), 64 << 20)?,
            max_wait: seconds("max-wait", self.max_wait.or(file.max_wait), 60.0)?,
            heartbeat: seconds("heartbeat", self.heartbeat.or(file.heartbeat), 15.0)?,
            patience: seconds("patience", self.patience.or(file.patience), 30.0)?,
            connections: number("connections", self.connections.or(file.connections), 20_000)?,
            waiters_per_client: number(
                "waiters-per-client",
                self.waiters_per_client.or(file.waiters_per_client),
                1000,
            )?,
            full_syncs: number("full-syncs", self.full_syncs.or(file.full_syncs), 16)?,
        };
        if let Some(origin) = config.cors_origins.iter().find(|origin| !origin.contains("://")) {
            return Err(invalid(format!("cors-origin: '{origin}' is no origin; write it as https://app.example.org")));
        }
        if config.tokens.is_none() && !config.listen.ip().is_loopback() {
            return Err(invalid(format!(
                "{} can be reached by others: give a file of access tokens (--tokens FILE; `tidelog token` makes a line of it), or listen on 127.0.0.1",
                config.listen
            )));
        }
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Settings> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| invalid(format!("the configuration {} cannot be read: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| invalid(format!("the configuration {} is wrong: {error}", path.display())))
}

fn invalid(what: impl Into<String>) -> Error {
    Error::Invalid { what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_the_file_and_the_file_before_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tidelog.toml");
        std::fs::write(&file, "page-bytes = 1000\nmax-wait = 5\n").unwrap();
        let settings = Settings { config: Some(file), page_bytes: Some(2000), ..Settings::default() };
        let config = settings.resolve().unwrap();
        assert_eq!((config.page_bytes, config.max_wait), (2000, Duration::from_secs(5)));
        assert_eq!(config.heartbeat, Duration::from_secs(15));
    }

    #[test]
    fn what_the_file_does_not_know_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tidelog.toml");
        std::fs::write(&file, "page_bites = 1000\n").unwrap();
        let error = Settings { config: Some(file), ..Settings::default() }.resolve().unwrap_err();
        assert!(error.to_string().contains("page_bites"), "{error}");
    }

    #[test]
    fn the_example_has_every_setting_and_shows_the_defaults() {
        let example = include_str!("../../examples/serve/tidelog.toml");
        let setting = |line: &&str| line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '));
        let lines = example.lines().map(|line| line.strip_prefix("# ").filter(|rest| setting(rest)).unwrap_or(line));
        let all: Settings = toml::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap();
        let written = format!("{all:?}");
        assert_eq!(written.matches("None").count(), 1, "all but the file itself: {written}");
        assert_eq!((all.memory, all.listen), (Some(256 << 20), "127.0.0.1:7171".parse().ok()));
        let shown = Settings { data: None, memory: None, tokens: None, tls_cert: None, tls_key: None, ..all };
        let shown = Settings { cors_origin: None, ..shown }.resolve().unwrap();
        assert_eq!(format!("{shown:?}"), format!("{:?}", Settings::default().resolve().unwrap()));
    }

    #[test]
    fn a_setting_has_one_name_as_a_flag_in_the_environment_and_in_the_file() {
        let command = Settings::augment_args(clap::Command::new("serve"));
        let example = include_str!("../../examples/serve/tidelog.toml");
        for arg in command.get_arguments().filter(|arg| arg.get_id() != "config") {
            let name = arg.get_long().unwrap();
            let variable = format!("TIDELOG_{}", name.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(&*variable), "{name}");
            assert!(
                example.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} = "))),
                "{name}"
            );
        }
        assert!(command.get_arguments().count() > 15);
    }

    #[test]
    fn others_are_not_let_in_without_tokens() {
        let listen = Some(SocketAddr::from(([0, 0, 0, 0], 7171)));
        let error = Settings { listen, ..Settings::default() }.resolve().unwrap_err();
        assert!(error.to_string().contains("access tokens"), "{error}");
    }
}
