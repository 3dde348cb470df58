use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ureq::http::{HeaderValue, Uri};

use super::error::{Error, Result};
use super::transport::{Client, Inner};

/// Longest that a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// A payload of 256 MiB in base64 fits.
const MAX_ANSWER_BYTES: u64 = 512 << 20;

/// How a client is made.
///
/// ```
/// use std::time::Duration;
/// use tidelog::client::Client;
///
/// let client = Client::builder("http://127.0.0.1:7171")
///     .token("secret")
///     .origin("phone")
///     .timeout(Duration::from_secs(10))
///     .retry_for(Duration::from_secs(60))
///     .build()?;
/// # Ok::<(), tidelog::client::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    base: String,
    token: Option<String>,
    origin: Option<Bytes>,
    timeout: Duration,
    retry_for: Duration,
    max_answer_bytes: u64,
    #[cfg(feature = "client-tls")]
    roots: Vec<Vec<u8>>,
}

impl Builder {
    pub(super) fn new(base: &str) -> Builder {
        Builder {
            base: base.trim_end_matches('/').to_owned(),
            token: None,
            origin: None,
            timeout: Duration::from_secs(30),
            retry_for: Duration::from_secs(30),
            max_answer_bytes: MAX_ANSWER_BYTES,
            #[cfg(feature = "client-tls")]
            roots: Vec::new(),
        }
    }

    /// The bearer token that every request carries.
    pub fn token(mut self, token: impl Into<String>) -> Builder {
        self.token = Some(token.into());
        self
    }

    /// The name of this client or device (1 to 255 bytes), kept in each entry that it writes. A batch that names its own
    /// keeps it.
    pub fn origin(mut self, origin: impl Into<Bytes>) -> Builder {
        self.origin = Some(origin.into());
        self
    }

    /// How long the server may be silent before an attempt counts as failed (default 30 s). A long-poll's wait is added
    /// to it.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.timeout = timeout;
        self
    }

    /// How long a call is tried again after its first failure (default 30 s; zero: never).
    pub fn retry_for(mut self, retry_for: Duration) -> Builder {
        self.retry_for = retry_for;
        self
    }

    /// Longest answer taken, in bytes (default 512 MiB). A page is as long as its [`Limits`](crate::Limits) say.
    pub fn max_answer_bytes(mut self, bytes: u64) -> Builder {
        self.max_answer_bytes = bytes;
        self
    }

    /// Trusts this certificate (PEM) to sign the server's, and no longer those that browsers trust. May be given several
    /// times.
    #[cfg(feature = "client-tls")]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Builder {
        self.roots.push(pem.into());
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the address is not one, the token or the origin cannot stand in a header, or a certificate
    /// is none.
    pub fn build(self) -> Result<Client> {
        self.check_base()?;
        let authorization = self.token.as_ref().map(|token| header("token", format!("Bearer {token}").as_bytes()));
        let authorization = authorization.transpose()?.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let origin_header = self.origin.as_ref().map(|origin| header("origin", origin)).transpose()?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(self.timeout.min(CONNECT)))
            .timeout_per_write(Some(self.timeout))
            .max_idle_connections_per_host(16)
            .user_agent(concat!("tidelog/", env!("CARGO_PKG_VERSION")));
        #[cfg(feature = "client-tls")]
        let config = match self.root_certificates()? {
            Some(tls) => config.tls_config(tls),
            None => config,
        };
        Ok(Client(Arc::new(Inner {
            agent: config.build().new_agent(),
            base: self.base,
            authorization,
            origin: self.origin,
            origin_header,
            timeout: self.timeout,
            retry_for: self.retry_for,
            max_answer_bytes: self.max_answer_bytes,
        })))
    }

    fn check_base(&self) -> Result<()> {
        let uri: Uri = self.base.parse().map_err(|e| Error::refused(format!("'{}' is no address: {e}", self.base)))?;
        match uri.scheme_str() {
            Some("http") => Ok(()),
            Some("https") if cfg!(feature = "client-tls") => Ok(()),
            Some("https") => Err(Error::refused("https needs the feature `client-tls`")),
            _ => Err(Error::refused(format!("'{}' does not begin with http:// or https://", self.base))),
        }
    }

    #[cfg(feature = "client-tls")]
    fn root_certificates(&self) -> Result<Option<ureq::tls::TlsConfig>> {
        use ureq::tls::{Certificate, RootCerts, TlsConfig};
        if self.roots.is_empty() {
            return Ok(None);
        }
        let read = |pem: &Vec<u8>| {
            Certificate::from_pem(pem).map_err(|e| Error::refused(format!("this is no certificate in PEM: {e}")))
        };
        let certificates = self.roots.iter().map(read).collect::<Result<Vec<_>>>()?;
        let roots = RootCerts::new_with_certs(&certificates);
        Ok(Some(TlsConfig::builder().root_certs(roots).build()))
    }
}

/// What a header carries.
pub(super) fn header(what: &str, bytes: &[u8]) -> Result<HeaderValue> {
    HeaderValue::from_bytes(bytes).map_err(|_| Error::refused(format!("the {what} cannot stand in a header")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_addresses_are_refused() {
        for base in ["", "127.0.0.1:7171", "ftp://host", "http://", "http://a b"] {
            assert!(matches!(Client::new(base), Err(Error::Refused(_))), "{base}");
        }
        assert!(Client::new("http://127.0.0.1:7171/behind/a/proxy/").is_ok());
        assert_eq!(Client::new("https://host").is_ok(), cfg!(feature = "client-tls"));
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_refused() {
        assert!(matches!(Client::builder("http://host").token("a\nb").build(), Err(Error::Refused(_))));
        assert!(matches!(Client::builder("http://host").origin("a\0b").build(), Err(Error::Refused(_))));
    }
}
