//! A server of one's own, and clients for it.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

/// How long anything may take before a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// `tidelog serve` as a child process, killed when dropped.
pub struct Server {
    child: Child,
    dir: TempDir,
    pub url: String,
    agent: ureq::Agent,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Value,
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    #[track_caller]
    pub fn problem(self, status: u16, kind: &str) -> Value {
        assert_eq!((self.status, self.body["kind"].as_str()), (status, Some(kind)), "{self:?}");
        assert_eq!(self.body["type"], format!("urn:tidelog:problem:{kind}"));
        self.body
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Server {
    /// A server with an empty store and these flags.
    pub fn start(flags: &[&str]) -> Server {
        let dir = TempDir::new().expect("a directory");
        let (child, url) = spawn(&dir, flags);
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Server { child, dir, url, agent: config.build().into() }
    }

    /// A file beside the store.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        self.tell_to_stop();
        self.wait()
    }

    /// Waits until it has stopped.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn tell_to_stop(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be told");
    }

    /// Starts it again, on the same store.
    pub fn start_again(&mut self, flags: &[&str]) {
        (self.child, self.url) = spawn(&self.dir, flags);
    }

    /// Runs a command on the store while nobody serves it.
    pub fn command(&self, args: &[&str]) {
        let ran = tidelog(&self.dir).args(args).output().expect("it runs");
        assert!(ran.status.success(), "{args:?}: {ran:?}");
    }

    /// The most memory that it ever took, in bytes, and what it takes now.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let of = |field: &str| {
            let line = status.lines().find(|line| line.starts_with(field)).expect("the field is there");
            line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") << 10
        };
        (of("VmHWM"), of("VmRSS"))
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = match body {
            Some(body) => self
                .agent
                .run(request.header("content-type", "application/json").body(body.to_string()).expect("a request")),
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let mut answered = answered.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = answered.body_mut().with_config().limit(1 << 30).read_to_string().expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status: answered.status().as_u16(), headers: answered.headers().clone(), body }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, &[], Some(body))
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.request("PUT", path, &[], Some(body))
    }

    pub fn delete_dataset(&self, dataset: &str) {
        self.request("DELETE", &format!("/v1/datasets/{dataset}"), &[], None).ok();
    }

    /// Puts one entity; the key of the change.
    pub fn write(&self, dataset: &str, entity: &str, payload: &str) -> String {
        let change = json!({"dataset": dataset, "op": "put", "entity": entity, "payload": payload});
        self.post("/v1/commits", &change).ok()["last"].as_str().expect("a key").to_owned()
    }

    pub fn remove(&self, dataset: &str, entity: &str) {
        self.post("/v1/commits", &json!({"dataset": dataset, "op": "delete", "entity": entity})).ok();
    }

    /// Waits until somebody waits for a change.
    pub fn until_waited_for(&self) {
        let begun = Instant::now();
        while self.get("/v1/store").ok()["metrics"]["watchers"] == 0 {
            assert!(begun.elapsed() < PATIENCE, "nobody waits");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A stream of events.
    pub fn events(&self, path: &str, headers: &[(&str, &str)]) -> Events {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = request.config().timeout_global(None).timeout_recv_body(Some(PATIENCE)).build().call();
        let answered = answered.expect("an answer");
        assert_eq!(answered.status().as_u16(), 200, "{path}");
        assert_eq!(answered.headers()["content-type"], "text/event-stream");
        Events(BufReader::new(Box::new(answered.into_body().into_reader())))
    }

    /// A socket.
    pub fn socket(&self, path: &str, headers: &[(&str, &str)]) -> Result<Socket, u16> {
        let host = self.url.strip_prefix("http://").expect("no TLS here");
        let stream = TcpStream::connect(host).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        let mut request = tungstenite::client::IntoClientRequest::into_client_request(format!("ws://{host}{path}"))
            .expect("a request");
        for (name, value) in headers {
            let name = tungstenite::http::HeaderName::try_from(*name).expect("a name");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        match tungstenite::client::client(request, stream) {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn tidelog(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.arg("--data").arg(dir.path().join("data")).args(["--memory", "32M"]);
    command
}

fn spawn(dir: &TempDir, flags: &[&str]) -> (Child, String) {
    let mut command = tidelog(dir);
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
    (child, url)
}

/// A stream of events as they come.
pub struct Events(BufReader<Box<dyn Read + Send>>);

/// One of them.
#[derive(Debug, Default, PartialEq)]
pub struct Event {
    pub event: String,
    pub id: String,
    pub data: Value,
}

impl Events {
    /// The next event or, with neither name nor data, comment; none at the end.
    pub fn any(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("the stream") == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("event", name)) => event.event = name.to_owned(),
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
                Some(_) => panic!("{line}"),
                None if line == "\n" => return Some(event),
                None => assert_eq!(line, ":\n"),
            }
        }
    }

    /// The next event that is no comment.
    #[track_caller]
    pub fn next(&mut self) -> Event {
        loop {
            let event = self.any().expect("the stream goes on");
            if event != Event::default() {
                return event;
            }
        }
    }
}

/// A socket as a client sees it.
pub struct Socket(pub WebSocket<TcpStream>);

/// What comes over it.
#[derive(Debug)]
pub enum Heard {
    Text(Value),
    Close(Option<CloseFrame>),
    /// The connection ended without a word.
    Gone,
}

impl Socket {
    pub fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).expect("it can be said");
    }

    pub fn hear(&mut self) -> Heard {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Heard::Text(serde_json::from_str(&text).expect("JSON")),
                Ok(Message::Close(frame)) => return Heard::Close(frame),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing comes")
                }
                Err(_) => return Heard::Gone,
            }
        }
    }

    #[track_caller]
    pub fn text(&mut self) -> Value {
        match self.hear() {
            Heard::Text(value) => value,
            other => panic!("{other:?}"),
        }
    }
}

/// One field of each entry, as text.
pub fn texts<'a>(entries: &'a Value, field: &str) -> Vec<&'a str> {
    let entries = entries.as_array().expect("entries");
    entries.iter().map(|entry| entry[field].as_str().expect("text")).collect()
}

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
