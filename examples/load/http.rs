//! As much of an HTTP/1.1 client as a load needs: it keeps its connection, and reads no more than it must.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::Outcome;

/// One connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

/// The head of an answer.
pub struct Head {
    pub status: u16,
    pub etag: Option<String>,
    length: Option<usize>,
    chunked: bool,
}

impl Connection {
    /// Connects to `host`, an address with its port.
    pub async fn new(host: &str) -> Outcome<Connection> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::with_capacity(2048, stream), host: host.to_owned() })
    }

    /// Sends a request and reads the head of its answer.
    pub async fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Outcome<Head> {
        let length = body.len();
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n{headers}", self.host).into_bytes();
        if !body.is_empty() || method != "GET" {
            text.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(body);
        self.stream.get_mut().write_all(&text).await?;
        self.head().await
    }

    async fn head(&mut self) -> Outcome<Head> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).ok_or("the server hung up")?.parse()?;
        let mut head = Head { status, etag: None, length: None, chunked: false };
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(head) };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.parse()?),
                "transfer-encoding" => head.chunked = value == "chunked",
                "etag" => head.etag = Some(value.to_owned()),
                _ => {}
            }
        }
    }

    /// The next chunk of a stream; none at its end.
    pub async fn chunk(&mut self, into: &mut Vec<u8>) -> Outcome<bool> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let size = usize::from_str_radix(line.trim(), 16)?;
        let from = into.len();
        into.resize(from + size + 2, 0);
        self.stream.read_exact(&mut into[from..]).await?;
        into.truncate(from + size);
        Ok(size > 0)
    }

    /// A request with its whole answer.
    pub async fn call(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Outcome<(Head, Vec<u8>)> {
        let head = self.send(method, path, headers, body).await?;
        let mut answer = vec![0; head.length.unwrap_or(0)];
        if head.chunked {
            while self.chunk(&mut answer).await? {}
        } else {
            self.stream.read_exact(&mut answer).await?;
        }
        Ok((head, answer))
    }
}

/// The numbers behind each `"key":"` in an answer's entries, and that behind the page's.
pub fn keys(answer: &[u8]) -> (Vec<u64>, Option<u64>) {
    let text = String::from_utf8_lossy(answer);
    let (entries, page) = text.rsplit_once("\"page\":").unwrap_or((&text, ""));
    let find = |text: &str| -> Vec<u64> {
        text.split("\"key\":\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect()
    };
    (find(entries), find(page).pop())
}

/// The text behind `"name":"`.
pub fn field(answer: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let rest = text.rsplit_once(&format!("\"{name}\":\""))?.1.to_owned();
    rest.split('"').next().map(str::to_owned)
}
