//! Tickets: what a browser, which cannot send a header there, opens a socket with.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;

use super::auth::{Access, hash};
use super::problem::{Problem, jitter};

/// How long a ticket is good.
pub const GOOD_FOR: Duration = Duration::from_secs(30);
/// Most tickets that may be out, all together and for one client.
const MAX_TICKETS: usize = 8192;
const MAX_TICKETS_PER_CLIENT: usize = 512;

/// The tickets that are out, by their hashes: how long they are good, and for what.
#[derive(Debug, Default)]
pub struct Tickets(Mutex<HashMap<[u8; 32], (Instant, Access)>>);

impl Tickets {
    /// A new ticket, good once for what this client may do.
    ///
    /// # Errors
    ///
    /// `busy`, `too_many_waiters`.
    pub fn give(&self, access: Access) -> Result<String, Problem> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|error| Problem::internal(format!("no random bytes: {error}")))?;
        let ticket = URL_SAFE_NO_PAD.encode(random);
        let mut out = self.0.lock();
        let now = Instant::now();
        out.retain(|_, (until, _)| *until > now);
        if out.values().filter(|(_, other)| other.client == access.client).count() >= MAX_TICKETS_PER_CLIENT {
            let detail = "this client holds too many tickets that it has not used; use them, or wait until they expire";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_waiters", detail)
                .retry_after(jitter(1, GOOD_FOR.as_secs())));
        }
        if out.len() >= MAX_TICKETS {
            return Err(Problem::busy("too many tickets are out"));
        }
        out.insert(hash(&ticket), (now + GOOD_FOR, access));
        Ok(ticket)
    }

    /// What the ticket is good for; it is good no more.
    ///
    /// # Errors
    ///
    /// `unauthorized` for one that is not out.
    pub fn take(&self, ticket: &str) -> Result<Access, Problem> {
        match self.0.lock().remove(&hash(ticket)) {
            Some((until, access)) if until > Instant::now() => Ok(access),
            _ => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "this ticket was used, has expired or was never given; ask for another one",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::HeaderMap;

    use super::*;
    use crate::server::auth::Tokens;
    use crate::server::gates::Client;

    fn access(last: u8) -> Access {
        let client = Client::Address(IpAddr::from([127, 0, 0, last]));
        Tokens::load(None).unwrap().access(&HeaderMap::new(), client).unwrap()
    }

    #[test]
    fn a_ticket_is_good_once() {
        let tickets = Tickets::default();
        let ticket = tickets.give(access(1)).unwrap();
        assert_eq!(tickets.take(&ticket).unwrap().client, access(1).client);
        assert_eq!(tickets.take(&ticket).unwrap_err().kind(), "unauthorized");
        assert_eq!(tickets.take("").unwrap_err().kind(), "unauthorized");
    }

    #[test]
    fn a_ticket_expires_and_makes_room() {
        let tickets = Tickets::default();
        let ticket = tickets.give(access(1)).unwrap();
        for (until, _) in tickets.0.lock().values_mut() {
            *until = Instant::now();
        }
        assert_eq!(tickets.take(&ticket).unwrap_err().kind(), "unauthorized");
        for _ in 0..MAX_TICKETS_PER_CLIENT {
            tickets.give(access(1)).unwrap();
        }
        assert_eq!(tickets.give(access(1)).unwrap_err().kind(), "too_many_waiters");
        tickets.give(access(2)).unwrap();
        for (until, _) in tickets.0.lock().values_mut() {
            *until = Instant::now();
        }
        tickets.give(access(1)).unwrap();
        assert_eq!(tickets.0.lock().len(), 1);
    }
}
