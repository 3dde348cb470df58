//! One configuration: flags, environment and a file, with the same names in each.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::units::size;
use crate::{Error, Result, SyncKeys};

/// What can be set, each as a flag (`--page-bytes`), in the environment (`TIDELOG_PAGE_BYTES`) or in the file
/// (`page-bytes = "4M"`); the first of them that says something counts.
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
    #[serde(deserialize_with = "sized")]
    pub memory: Option<usize>,
    /// Whether output and log are JSON; as a flag it stands before the command.
    #[arg(skip)]
    pub json: Option<bool>,
    /// How much is logged; as a flag it stands before the command.
    #[arg(skip)]
    pub verbose: Option<u8>,
    /// Where to listen, an address or a host with a port [default: 127.0.0.1:7171]
    ///
    /// Of a host's addresses the first one is taken, of version 4 if there is one.
    #[arg(long, env = "TIDELOG_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// The file of access tokens; without one only a loopback address can be listened on
    ///
    /// A line is `SHA256 SCOPE [PREFIX]`: the token's hash in hex, read, write or admin, and the prefix of the datasets.
    /// `tidelog token` makes one. The file is read again when it changes.
    #[arg(long, env = "TIDELOG_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// The TLS certificate chain (PEM)
    #[arg(long, env = "TIDELOG_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the TLS certificate (PEM)
    #[arg(long, env = "TIDELOG_TLS_KEY", value_name = "FILE")]
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
    #[arg(long, env = "TIDELOG_CONSUMER_BYTES", value_name = "BYTES", value_parser = size)]
    #[serde(deserialize_with = "sized")]
    pub consumer_bytes: Option<usize>,
    /// The largest body of a request, in bytes [default: 16 MiB]
    #[arg(long, env = "TIDELOG_BODY_BYTES", value_name = "BYTES", value_parser = size)]
    #[serde(deserialize_with = "sized")]
    pub body_bytes: Option<usize>,
    /// How much memory bodies, and what they are made into, may take together, in bytes [default: 64 MiB]
    #[arg(long, env = "TIDELOG_BODY_MEMORY", value_name = "BYTES", value_parser = size)]
    #[serde(deserialize_with = "sized")]
    pub body_memory: Option<usize>,
    /// How much memory those may take together who wait for changes of many datasets, in bytes [default: 256 MiB]
    #[arg(long, env = "TIDELOG_WAIT_MEMORY", value_name = "BYTES", value_parser = size)]
    #[serde(deserialize_with = "sized")]
    pub wait_memory: Option<usize>,
    /// The largest page of an answer, in bytes [default: 4 MiB]
    #[arg(long, env = "TIDELOG_PAGE_BYTES", value_name = "BYTES", value_parser = size)]
    #[serde(deserialize_with = "sized")]
    pub page_bytes: Option<usize>,
    /// How much memory pages on their way to clients may take together, in bytes [default: 64 MiB]
    #[arg(long, env = "TIDELOG_PAGE_MEMORY", value_name = "BYTES", value_parser = size)]
    #[serde(deserialize_with = "sized")]
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
    /// These settings, and what the file says where they say nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the file cannot be read or says what cannot be.
    pub fn with_file(self) -> Result<Settings> {
        let Some(path) = self.config else { return Ok(self) };
        let file = read(&path)?;
        Ok(Settings {
            config: None,
            data: self.data.or(file.data),
            memory: self.memory.or(file.memory),
            json: self.json.or(file.json),
            verbose: self.verbose.or(file.verbose),
            listen: self.listen.or(file.listen),
            tokens: self.tokens.or(file.tokens),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            cors_origin: self.cors_origin.or(file.cors_origin),
            keys: self.keys.or(file.keys),
            grace: self.grace.or(file.grace),
            consumer_bytes: self.consumer_bytes.or(file.consumer_bytes),
            body_bytes: self.body_bytes.or(file.body_bytes),
            body_memory: self.body_memory.or(file.body_memory),
            wait_memory: self.wait_memory.or(file.wait_memory),
            page_bytes: self.page_bytes.or(file.page_bytes),
            page_memory: self.page_memory.or(file.page_memory),
            max_wait: self.max_wait.or(file.max_wait),
            heartbeat: self.heartbeat.or(file.heartbeat),
            patience: self.patience.or(file.patience),
            connections: self.connections.or(file.connections),
            waiters_per_client: self.waiters_per_client.or(file.waiters_per_client),
            full_syncs: self.full_syncs.or(file.full_syncs),
        })
    }

    /// What a server runs by: the settings, with what the file says below them and the defaults below that.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the file cannot be read or says what cannot be, or a setting is out of its bounds.
    pub fn resolve(self) -> Result<Config> {
        let all = self.with_file()?;
        let tls = match (all.tls_cert, all.tls_key) {
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
            listen: address(all.listen.as_deref().unwrap_or("127.0.0.1:7171"))?,
            tokens: all.tokens,
            tls,
            cors_origins: all.cors_origin.unwrap_or_default(),
            keys: all.keys.unwrap_or(Keys::Counter),
            grace: seconds("grace", all.grace, 900.0)?,
            consumer_bytes: number("consumer-bytes", all.consumer_bytes, 1 << 30)?,
            body_bytes: number("body-bytes", all.body_bytes, 16 << 20)?,
            body_memory: number("body-memory", all.body_memory, 64 << 20)?,
            wait_memory: number("wait-memory", all.wait_memory, 256 << 20)?,
            page_bytes: number("page-bytes", all.page_bytes, 4 << 20)?,
            page_memory: number("page-memory", all.page_memory, 64 << 20)?,
            max_wait: seconds("max-wait", all.max_wait, 60.0)?,
            heartbeat: seconds("heartbeat", all.heartbeat, 15.0)?,
            patience: seconds("patience", all.patience, 30.0)?,
            connections: number("connections", all.connections, 20_000)?,
            waiters_per_client: number("waiters-per-client", all.waiters_per_client, 1000)?,
            full_syncs: number("full-syncs", all.full_syncs, 16)?,
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

/// The address that a text names.
fn address(text: &str) -> Result<SocketAddr> {
    let found = text
        .to_socket_addrs()
        .map_err(|error| invalid(format!("listen: {text}: {error}; write it as 127.0.0.1:7171 or localhost:7171")))?;
    // The first of those of version 4, or else the first.
    let address = found.min_by_key(SocketAddr::is_ipv6);
    address.ok_or_else(|| invalid(format!("listen: the host of {text} has no address")))
}

/// A size in a file: a number, or a text with a unit.
fn sized<'de, D: Deserializer<'de>>(file: D) -> std::result::Result<Option<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "write bytes, as 4194304, or a text with a unit, as \"4M\"")]
    enum Size {
        Bytes(usize),
        Text(String),
    }
    match Size::deserialize(file)? {
        Size::Bytes(bytes) => Ok(Some(bytes)),
        Size::Text(text) => size(&text).map(Some).map_err(D::Error::custom),
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
    fn the_file_takes_units_and_names_of_hosts() {
        let read = |text: &str| toml::from_str::<Settings>(text);
        let settings = read("page-bytes = \"4M\"\nmemory = 65536\nlisten = \"localhost:7171\"\n").unwrap();
        assert_eq!((settings.page_bytes, settings.memory), (Some(4 << 20), Some(65_536)));
        let listen = settings.resolve().unwrap().listen;
        assert!(listen.ip().is_loopback() && listen.port() == 7171, "{listen}");
        let error = read("listen = \"7171\"").unwrap().resolve().unwrap_err();
        assert!(error.to_string().contains("write it as 127.0.0.1:7171"), "{error}");
        for (wrong, says) in
            [("page-bytes = \"4X\"", "a number with K, M, G or T"), ("page-bytes = 1.5", "with a unit, as \"4M\"")]
        {
            assert!(read(wrong).unwrap_err().to_string().contains(says), "{wrong}: {}", read(wrong).unwrap_err());
        }
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
        assert_eq!((all.memory, all.listen.clone()), (Some(256 << 20), Some("127.0.0.1:7171".to_owned())));
        let shown = Settings { tokens: None, tls_cert: None, tls_key: None, ..all };
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
        let listen = Some("0.0.0.0:7171".to_owned());
        let error = Settings { listen, ..Settings::default() }.resolve().unwrap_err();
        assert!(error.to_string().contains("access tokens"), "{error}");
    }
}
