use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::Deserialize;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::backoff::Backoff;
use super::builder::Builder;
use super::error::{Error, Result};
use super::problem::Problem;

/// A connection to a server, or rather a pool of them. Cheap to clone; all methods may be called from several threads.
///
/// Calls block until they are answered or fail for good: see [`Builder::retry_for`] and the [module](super) on what
/// happens when an answer is lost.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub agent: ureq::Agent,
    pub base: String,
    pub authorization: Option<HeaderValue>,
    pub origin: Option<Bytes>,
    pub origin_header: Option<HeaderValue>,
    pub timeout: Duration,
    pub retry_for: Duration,
    pub max_answer_bytes: u64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.0.base).finish_non_exhaustive()
    }
}

/// One request, as often as it takes.
pub(super) struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<Bytes>,
    wait: Duration,
    once: bool,
}

impl Call {
    pub fn new(method: Method, path: String) -> Call {
        Call { method, path, headers: HeaderMap::new(), body: None, wait: Duration::ZERO, once: false }
    }

    pub fn get(path: String) -> Call {
        Call::new(Method::GET, path)
    }

    pub fn post(path: String, body: &impl Serialize) -> Result<Call> {
        Call::new(Method::POST, path).json(body)
    }

    /// With this as its body.
    pub fn json(mut self, body: &impl Serialize) -> Result<Call> {
        let text = serde_json::to_vec(body).map_err(|e| Error::refused(format!("this cannot be sent: {e}")))?;
        self.body = Some(text.into());
        Ok(self.header(CONTENT_TYPE, HeaderValue::from_static("application/json")))
    }

    /// With these bytes as its body.
    pub fn bytes(mut self, body: Bytes) -> Call {
        self.body = Some(body);
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
    }

    pub fn header(mut self, name: impl Into<HeaderName>, value: HeaderValue) -> Call {
        self.headers.insert(name.into(), value);
        self
    }

    /// It is not tried again if it may have been done: a second time it would do more.
    pub fn once(mut self) -> Call {
        self.once = true;
        self
    }

    /// The answer may be held for so long.
    pub fn wait(mut self, wait: Duration) -> Call {
        self.wait = wait;
        self
    }
}

/// What came back: a good answer, or 304.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|e| Error::unexpected(format!("an answer cannot be read: {e}")))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn problem(&self) -> Problem {
        Problem::read(self.status, &self.body, self.retry_after())
    }

    fn retry_after(&self) -> Option<Duration> {
        let seconds: f64 = self.text(RETRY_AFTER.as_str())?.trim().parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// Why an attempt is made again.
struct Again {
    what: String,
    retry_after: Option<Duration>,
    /// Whether the failed attempt may have done what it should.
    perhaps_done: bool,
}

impl Client {
    /// A client of the server at this address (`http://host:port`), with everything else as by default.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the address is not one.
    pub fn new(base: &str) -> Result<Client> {
        Client::builder(base).build()
    }

    /// A client of the server at this address, to be told more.
    pub fn builder(base: &str) -> Builder {
        Builder::new(base)
    }

    /// Makes the call until it is answered or the time for trying is over.
    pub(super) fn call(&self, call: &Call) -> Result<Answer> {
        let mut backoff = Backoff::new(self.0.retry_for);
        loop {
            let again = match self.attempt(call)? {
                Ok(answer) => return Ok(answer),
                Err(again) => again,
            };
            let pause = if call.once && again.perhaps_done { None } else { backoff.pause(again.retry_after) };
            match pause {
                Some(pause) => std::thread::sleep(pause),
                None => return Err(Error::Unavailable { what: again.what, retry_after: again.retry_after }),
            }
        }
    }

    fn attempt(&self, call: &Call) -> Result<Result<Answer, Again>> {
        let answer = match self.send(call) {
            Ok(answer) => answer,
            Err(error) if is_passing(&error) => {
                let perhaps_done = !is_before_sending(&error);
                return Ok(Err(Again { what: error.to_string(), retry_after: None, perhaps_done }));
            }
            Err(error) => return Err(Error::unexpected(error.to_string())),
        };
        if answer.status < 400 {
            return Ok(Ok(answer));
        }
        let problem = answer.problem();
        let perhaps_done = match answer.status {
            // Said by Tidelog nothing was done; what stands before it may not know.
            429 | 503 | 507 => problem.kind.is_empty(),
            502 | 504 => true,
            // The store was stopped midway: once it runs again, the same id tells.
            500 if problem.kind == "outcome_unknown" => true,
            _ => return Err(problem.into()),
        };
        Ok(Err(Again { what: problem.detail, retry_after: problem.retry_after, perhaps_done }))
    }

    fn send(&self, call: &Call) -> Result<Answer, ureq::Error> {
        let inner = &*self.0;
        let mut request = Request::builder().method(&call.method).uri(format!("{}{}", inner.base, call.path));
        if let Some(headers) = request.headers_mut() {
            headers.extend(call.headers.clone());
            headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*"));
            if let Some(authorization) = &inner.authorization {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
        }
        let silence = inner.timeout + call.wait;
        let response = match &call.body {
            Some(body) => {
                let request = inner.agent.configure_request(request.body(&body[..])?);
                inner.agent.run(request.timeout_per_read(Some(silence)).build())
            }
            None => {
                let request = inner.agent.configure_request(request.body(())?);
                inner.agent.run(request.timeout_per_read(Some(silence)).build())
            }
        };
        let (parts, mut body) = response?.into_parts();
        let body = body.with_config().limit(inner.max_answer_bytes).read_to_vec()?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

/// Whether an attempt failed for a reason that may pass: the server was restarted, the network went away, the answer
/// was cut.
fn is_passing(error: &ureq::Error) -> bool {
    use ureq::Error as E;
    matches!(
        error,
        E::Io(_)
            | E::Timeout(_)
            | E::HostNotFound
            | E::ConnectionFailed
            | E::Protocol(_)
            | E::Decompress(..)
            | E::BodyStalled
    )
}

/// Whether nothing of the request can have come to the server.
fn is_before_sending(error: &ureq::Error) -> bool {
    use ureq::Error as E;
    match error {
        E::HostNotFound | E::ConnectionFailed | E::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => true,
        E::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}
