//! What the systems share: the server as a process, a network that loses things, and a record of what was acknowledged.

mod ledger;
mod network;
#[path = "../../it/support/rng.rs"]
mod rng;
mod server;
mod state;

pub use ledger::{Ledger, Writer};
pub use network::Network;
pub use rng::Rng;
pub use server::Server;
pub use state::{Dataset, State, assert_same, copy};

use std::time::{Duration, Instant};

use tidelog::client::Client;
use tidelog::{Cursor, Limits, SyncKey, View};

/// How long anything may take before the test is taken to hang.
pub const HANG: Duration = Duration::from_secs(120);

/// The seed of this run, said aloud.
pub fn seed() -> u64 {
    let seed = std::env::var("TIDELOG_SEED").map_or(1, |text| text.parse().expect("TIDELOG_SEED is a number"));
    println!("seed {seed}");
    seed
}

/// A client that goes on trying through a restart of the server.
pub fn client(url: &str, name: &str) -> Client {
    Client::builder(url).origin(name.to_owned()).retry_for(HANG).build().expect("a client")
}

/// A client that does not try again.
pub fn once(url: &str) -> Client {
    Client::builder(url).retry_for(Duration::ZERO).build().expect("a client")
}

/// Waits for something that other threads bring about.
pub fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < HANG, "hangs: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The keys of every entry that a dataset ever had.
pub fn all_keys(client: &Client, dataset: &str) -> Vec<SyncKey> {
    let (mut keys, mut cursor) = (Vec::new(), Cursor::START);
    loop {
        let page = client.changes(dataset, &cursor, Limits::entries(500).view(View::Every)).expect("a page");
        keys.extend(page.entries.iter().map(|entry| entry.key));
        cursor = page.next;
        if !page.more {
            return keys;
        }
    }
}
