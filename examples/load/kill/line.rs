//! A way to a server that dies and comes back.

use std::sync::Arc;
use std::time::Duration;

use crate::Outcome;
use crate::http::{Connection, Head};

/// Before it is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection that is made anew when it breaks.
pub struct Line {
    address: Arc<str>,
    connection: Option<Connection>,
    /// How many connections broke.
    pub broken: u64,
}

impl Line {
    pub fn to(address: &Arc<str>) -> Line {
        Line { address: address.clone(), connection: None, broken: 0 }
    }

    /// A request, sent again until it is answered with something else than "come back later".
    pub async fn call(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> (Head, Vec<u8>) {
        loop {
            let answer = match self.connection().await {
                Ok(connection) => connection.call(method, path, headers, body).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) if answer.0.status != 503 => return answer,
                Ok(_) => tokio::time::sleep(PAUSE).await,
                Err(_) => self.broke().await,
            }
        }
    }

    /// The connection; a new one if the last one broke.
    pub async fn connection(&mut self) -> Outcome<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::new(&self.address).await?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Gives the connection up as broken, if there was one, and waits a little.
    pub async fn broke(&mut self) {
        self.broken += u64::from(self.connection.is_some());
        self.leave().await;
    }

    /// Gives the connection up, and waits a little.
    pub async fn leave(&mut self) {
        self.connection = None;
        tokio::time::sleep(PAUSE).await;
    }
}
