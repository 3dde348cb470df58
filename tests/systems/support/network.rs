use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::rng::Rng;
use super::server::Server;

/// A way to the server that keeps its address over the server's restarts, and loses requests and answers: whole ones,
/// and ends of them.
pub struct Network {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    server: Mutex<SocketAddr>,
    rng: Mutex<Rng>,
    /// How many of 100 requests and answers are lost.
    percent: AtomicU64,
    /// How many of the next answers are lost, whatever chance says.
    lose: AtomicU64,
    lost_requests: AtomicU64,
    lost_answers: AtomicU64,
}

impl Network {
    /// A way to this server that loses nothing as yet.
    pub fn to(server: &Server, seed: u64) -> Network {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let shared = Arc::new(Shared {
            server: Mutex::new(server.address()),
            rng: Mutex::new(Rng::new(seed)),
            percent: AtomicU64::new(0),
            lose: AtomicU64::new(0),
            lost_requests: AtomicU64::new(0),
            lost_answers: AtomicU64::new(0),
        });
        let accepting = shared.clone();
        // Ends with the process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = accepting.clone();
                std::thread::spawn(move || shared.connect(client));
            }
        });
        Network { url, shared }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it leads to the server's present address.
    pub fn lead_to(&self, server: &Server) {
        *self.shared.server.lock().unwrap() = server.address();
    }

    /// From now on it loses so many of 100 requests and answers.
    pub fn lose_percent(&self, percent: u64) {
        self.shared.percent.store(percent, Ordering::Relaxed);
    }

    /// Loses the next answer.
    pub fn lose_an_answer(&self) {
        self.shared.lose.fetch_add(1, Ordering::Relaxed);
    }

    pub fn lost_answers(&self) -> u64 {
        self.shared.lost_answers.load(Ordering::Relaxed)
    }

    pub fn lost_requests(&self) -> u64 {
        self.shared.lost_requests.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn connect(&self, client: TcpStream) {
        let address = *self.server.lock().unwrap();
        // Nobody is there while the server is restarted: the client is hung up on.
        let Ok(server) = TcpStream::connect(address) else { return };
        // Small packets are not held back: a request of a header and a body would wait for an acknowledgement.
        drop(client.set_nodelay(true).and_then(|()| server.set_nodelay(true)));
        // Set by bytes of a request, taken by the first bytes after it: the beginning of its answer.
        let asked = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.requests(&client, &server, &asked));
            self.answers(&server, &client, &asked);
        });
    }

    fn requests(&self, mut client: &TcpStream, mut server: &TcpStream, asked: &AtomicBool) {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read @ 1..) = client.read(&mut bytes) {
            let begins = !asked.load(Ordering::Acquire);
            let sent = match begins && self.is_lost() {
                true => {
                    self.lost_requests.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                false => {
                    asked.store(true, Ordering::Release);
                    server.write_all(&bytes[..read])
                }
            };
            if sent.is_err() {
                break;
            }
        }
        hang_up(client, server);
    }

    fn answers(&self, mut server: &TcpStream, mut client: &TcpStream, asked: &AtomicBool) {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read @ 1..) = server.read(&mut bytes) {
            let begins = asked.swap(false, Ordering::AcqRel);
            if begins && (self.is_next_lost() || self.is_lost()) {
                self.lost_answers.fetch_add(1, Ordering::Relaxed);
                // Some of it may arrive, but not the end of it.
                let arrives = self.rng.lock().unwrap().index(read);
                drop(client.write_all(&bytes[..arrives]));
                break;
            }
            if client.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        hang_up(client, server);
    }

    fn is_lost(&self) -> bool {
        let percent = self.percent.load(Ordering::Relaxed);
        percent > 0 && self.rng.lock().unwrap().chance(percent)
    }

    fn is_next_lost(&self) -> bool {
        self.lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lose| lose.checked_sub(1)).is_ok()
    }
}

fn hang_up(client: &TcpStream, server: &TcpStream) {
    // Already gone is as good.
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
}
