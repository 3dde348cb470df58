//! Redis over its own protocol.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::pages::sum;
use crate::{Outcome, payload};

struct Client(BufReader<TcpStream>);

impl Client {
    async fn new(address: &str) -> Outcome<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::with_capacity(64 << 10, stream)))
    }

    /// Reads one reply, however deep, and throws it away.
    async fn reply(&mut self) -> Outcome {
        let mut left = 1_u64;
        let mut line = String::new();
        while left > 0 {
            left -= 1;
            line.clear();
            self.0.read_line(&mut line).await?;
            let number = || line[1..].trim().parse::<i64>();
            match line.as_bytes().first() {
                Some(b'*') => left += number()?.max(0) as u64,
                Some(b'$') => {
                    let mut value = vec![0; (number()? + 2).max(0) as usize];
                    self.0.read_exact(&mut value).await?;
                }
                Some(b'+' | b':') => {}
                _ => return Err(format!("Redis said {line}").into()),
            }
        }
        Ok(())
    }
}

fn command(into: &mut Vec<u8>, words: &[&str]) {
    into.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        into.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

/// XRANGE COUNT 50 from anywhere in a stream, in pages per second.
pub async fn pages(address: &str, connections: u64, entries: u64, time: Duration) -> Outcome<f64> {
    let mut first = Client::new(address).await?;
    for from in (0..entries).step_by(100) {
        let mut text = Vec::new();
        for n in from..from + 100 {
            command(&mut text, &["XADD", "d", &format!("{}-0", n + 1), "e", &format!("e{n}"), "p", &payload(n)]);
        }
        first.0.get_mut().write_all(&text).await?;
        for _ in 0..100 {
            first.reply().await?;
        }
    }
    let (until, mut clients) = (Instant::now() + time, JoinSet::new());
    let address: Arc<str> = address.into();
    for client in 0..connections {
        let address = address.clone();
        clients.spawn(async move {
            let mut redis = Client::new(&address).await?;
            let (mut pages, mut n) = (0_u64, client);
            while Instant::now() < until {
                n = (n * 6_364_136 + 1_442_695) % (entries - 50);
                let mut text = Vec::new();
                command(&mut text, &["XRANGE", "d", &format!("({}-0", n + 1), "+", "COUNT", "50"]);
                redis.0.get_mut().write_all(&text).await?;
                redis.reply().await?;
                pages += 1;
            }
            Outcome::Ok(pages)
        });
    }
    Ok(sum(&mut clients).await? as f64 / time.as_secs_f64())
}

/// XADD with some in flight on each connection, in commits per second.
pub async fn appends(address: &str, connections: u64, in_flight: u64, time: Duration) -> Outcome<f64> {
    let (until, mut clients) = (Instant::now() + time, JoinSet::new());
    let address: Arc<str> = address.into();
    for client in 0..connections {
        let address = address.clone();
        clients.spawn(async move {
            let mut redis = Client::new(&address).await?;
            let mut done = 0;
            while Instant::now() < until {
                let mut text = Vec::new();
                for n in 0..in_flight {
                    command(
                        &mut text,
                        &["XADD", &format!("d{}", client % 100), "*", "e", &format!("e{n}"), "p", &payload(n)],
                    );
                }
                redis.0.get_mut().write_all(&text).await?;
                for _ in 0..in_flight {
                    redis.reply().await?;
                }
                done += in_flight;
            }
            Outcome::Ok(done)
        });
    }
    Ok(sum(&mut clients).await? as f64 / time.as_secs_f64())
}
