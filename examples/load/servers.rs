//! The servers under load: processes of their own, ended with this one.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// A server, killed when dropped, with the directory of its data.
pub struct Server {
    pub address: String,
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    /// `tidelog serve` on a store of its own, with room for as many waiters as a load has.
    pub fn tidelog(binary: &Path) -> Outcome<Server> {
        Server::tidelog_at(binary, "127.0.0.1:0")
    }

    /// The same at this address.
    pub fn tidelog_at(binary: &Path, address: &str) -> Outcome<Server> {
        let dir = tempfile::Builder::new().prefix("tidelog-load").tempdir_in("/var/tmp")?;
        let (child, address) = serve(binary, dir.path(), address)?;
        Ok(Server { address, child, dir })
    }

    /// kill -9, and another `tidelog serve` at the same address on the same store.
    pub fn kill_and_restart(&mut self, binary: &Path) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        (self.child, self.address) = serve(binary, self.dir.path(), &self.address)?;
        Ok(())
    }

    /// `redis-server` with `appendfsync always`; none if it is not installed.
    pub fn redis() -> Outcome<Option<Server>> {
        let dir = tempfile::Builder::new().prefix("tidelog-load").tempdir_in("/var/tmp")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let started = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
                "--save",
                "",
            ])
            .arg("--dir")
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn();
        match started {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
            Ok(child) => {
                let server = Server { address: format!("127.0.0.1:{port}"), child, dir };
                server.reachable()?;
                Ok(Some(server))
            }
        }
    }

    /// Another server of appends, which takes `--host`, `--port` and `--data-dir` as `durable-streams-server` does.
    pub fn streams(binary: &Path) -> Outcome<Server> {
        let dir = tempfile::Builder::new().prefix("tidelog-load").tempdir_in("/var/tmp")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let child = Command::new(binary)
            .args(["--host", "127.0.0.1", "--port", &port, "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let server = Server { address: format!("127.0.0.1:{port}"), child, dir };
        server.reachable()?;
        Ok(server)
    }

    fn reachable(&self) -> Outcome {
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(&self.address).is_err() {
            if Instant::now() > until {
                return Err(format!("nothing answers at {}", self.address).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The resident memory of the process, in bytes.
    pub fn resident(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
    }
}

/// Starts `tidelog serve` on the store in this directory; where it listens.
fn serve(binary: &Path, dir: &Path, address: &str) -> Outcome<(Child, String)> {
    let mut child = Command::new(binary)
        .args(["--memory", "256M", "--data"])
        .arg(dir.join("store"))
        .args(["serve", "--listen", address, "--waiters-per-client", "20000"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", binary.display()))?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let Some(address) = line.trim().strip_prefix("listening on http://") else {
        let _ = child.kill();
        return Err(format!("the server did not start: {}", child.wait()?).into());
    };
    Ok((child, address.to_owned()))
}

/// An address for a server that comes back to it. Its port is below those that Linux gives to clients: one that dials
/// while nobody listens would now and then be given the very port that it dials, and be connected to itself.
pub fn lasting_address() -> Outcome<String> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (20_000..30_000).skip(std::process::id() as usize % 5000).find(free).ok_or("no port is free")?;
    Ok(format!("127.0.0.1:{port}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
