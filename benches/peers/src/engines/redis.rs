//! Redis Streams: a server of our own on a Unix socket, `appendfsync always`, and a client that pipelines. A batch is one
//! transaction: a stream entry for each change, and a hash for the newest keys.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Engine;
use crate::workload::{Change, Hash, Names};

/// Entries asked for at once by a full sync.
const SCAN_PAGE: usize = 1_000;

pub fn installed() -> bool {
    Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

pub struct Redis {
    server: Child,
    socket: PathBuf,
    free: Mutex<Vec<Connection>>,
    synced: Mutex<bool>,
    names: Arc<Names>,
    next: AtomicU64,
}

struct Connection {
    stream: BufReader<UnixStream>,
    out: Vec<u8>,
}

/// An answer.
enum Reply {
    Text(Vec<u8>),
    List(Vec<Reply>),
}

impl Redis {
    pub fn open(dir: &Path, names: Arc<Names>) -> Redis {
        std::fs::create_dir_all(dir).expect("a directory");
        let socket = dir.join("socket");
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"])
            .args(["--stream-node-max-bytes", "16384", "--stream-node-max-entries", "100"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(dir)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        for _ in 0..500 {
            if UnixStream::connect(&socket).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let (free, synced, next) = (Mutex::default(), Mutex::new(true), AtomicU64::new(1));
        Redis { server, socket, free, synced, names, next }
    }

    /// Lends a connection to `work`; each thread gets one of its own.
    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> T {
        let free = self.free.lock().expect("no one panicked").pop();
        let mut connection = free.unwrap_or_else(|| Connection {
            stream: BufReader::with_capacity(1 << 20, UnixStream::connect(&self.socket).expect("the server answers")),
            out: Vec::new(),
        });
        let done = work(&mut connection);
        self.free.lock().expect("no one panicked").push(connection);
        done
    }

    fn set_sync(&self, sync: bool) {
        let mut synced = self.synced.lock().expect("no one panicked");
        if *synced != sync {
            let when: &[u8] = if sync { b"always" } else { b"no" };
            self.with(|redis| redis.call(&[b"CONFIG", b"SET", b"appendfsync", when]));
            *synced = sync;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Its directory is removed next.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Connection {
    fn add(&mut self, parts: &[&[u8]]) {
        write!(self.out, "*{}\r\n", parts.len()).expect("memory takes it");
        for part in parts {
            write!(self.out, "${}\r\n", part.len()).expect("memory takes it");
            self.out.extend_from_slice(part);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn send(&mut self) {
        self.stream.get_mut().write_all(&self.out).expect("the server takes it");
        self.out.clear();
    }

    fn call(&mut self, parts: &[&[u8]]) -> Reply {
        self.add(parts);
        self.send();
        self.reply()
    }

    fn reply(&mut self) -> Reply {
        let mut line = Vec::with_capacity(32);
        self.stream.read_until(b'\n', &mut line).expect("the server answers");
        line.truncate(line.len().saturating_sub(2));
        let (kind, rest) = line.split_first().expect("an answer");
        let number = || std::str::from_utf8(rest).expect("digits").parse::<i64>().expect("a number");
        match kind {
            b'+' | b':' => Reply::Text(rest.to_vec()),
            b'$' => match usize::try_from(number()) {
                Ok(len) => {
                    let mut text = vec![0; len + 2];
                    self.stream.read_exact(&mut text).expect("the server answers");
                    text.truncate(len);
                    Reply::Text(text)
                }
                Err(_) => Reply::List(Vec::new()),
            },
            b'*' => Reply::List((0..number()).map(|_| self.reply()).collect()),
            _ => panic!("Redis says {}", String::from_utf8_lossy(&line)),
        }
    }
}

impl Reply {
    fn text(&self) -> &[u8] {
        match self {
            Reply::Text(text) => text,
            Reply::List(_) => panic!("Redis gave a list for a text"),
        }
    }

    fn list(&self) -> &[Reply] {
        match self {
            Reply::List(list) => list,
            Reply::Text(_) => panic!("Redis gave a text for a list"),
        }
    }
}

/// Feeds the entries of a stream's range to the hash, and returns their number and last key.
fn hash_range(reply: &Reply, hash: &mut Hash) -> (usize, u64) {
    let mut last = 0;
    for entry in reply.list() {
        let [id, fields] = entry.list() else { panic!("an entry has an id and fields") };
        let [_, entity, _, payload] = fields.list() else { panic!("an entry has two fields") };
        let id = std::str::from_utf8(id.text()).expect("an id").trim_end_matches("-0");
        last = id.parse().expect("a number");
        hash.entry(last, entity.text(), payload.text());
    }
    (reply.list().len(), last)
}

impl Engine for Redis {
    fn append(&self, batch: &[Change], sync: bool) {
        self.set_sync(sync);
        self.with(|redis| {
            let first = self.next.fetch_add(batch.len() as u64, Ordering::Relaxed);
            redis.add(&[b"MULTI"]);
            for (key, change) in (first..).zip(batch) {
                let entity = &self.names.entities[change.entity as usize];
                // Streams want ascending ids; of several threads, the server gives them.
                let id = if batch.len() == 1 { "*".to_owned() } else { format!("{key}-0") };
                let (log, newest) = (format!("s{}", change.dataset), format!("n{}", change.dataset));
                redis.add(&[b"XADD", log.as_bytes(), id.as_bytes(), b"e", entity, b"p", &change.payload]);
                redis.add(&[b"HSET", newest.as_bytes(), entity, id.as_bytes()]);
            }
            redis.add(&[b"EXEC"]);
            redis.send();
            for _ in 0..2 * batch.len() + 1 {
                redis.reply();
            }
            assert_eq!(redis.reply().list().len(), 2 * batch.len(), "Redis commits all of a batch");
        });
    }

    fn settle(&self) {}

    fn page(&self, dataset: u32, after: u64, limit: usize, hash: &mut Hash) {
        let (log, from, count) = (format!("s{dataset}"), format!("({after}-0"), limit.to_string());
        let reply = self
            .with(|redis| redis.call(&[b"XRANGE", log.as_bytes(), from.as_bytes(), b"+", b"COUNT", count.as_bytes()]));
        hash_range(&reply, hash);
    }

    fn scan(&self, dataset: u32, hash: &mut Hash) {
        let (log, count) = (format!("s{dataset}"), SCAN_PAGE.to_string());
        let mut after = 0;
        loop {
            let from = format!("({after}-0");
            let reply = self.with(|redis| {
                redis.call(&[b"XRANGE", log.as_bytes(), from.as_bytes(), b"+", b"COUNT", count.as_bytes()])
            });
            match hash_range(&reply, hash) {
                (0, _) => return,
                (_, last) => after = last,
            }
        }
    }

    fn get(&self, dataset: u32, entity: u32, hash: &mut Hash) {
        let (log, newest) = (format!("s{dataset}"), format!("n{dataset}"));
        let entity = &self.names.entities[entity as usize];
        let reply = self.with(|redis| match redis.call(&[b"HGET", newest.as_bytes(), entity]) {
            Reply::Text(id) => redis.call(&[b"XRANGE", log.as_bytes(), &id, &id]),
            none => none,
        });
        hash_range(&reply, hash);
    }
}
