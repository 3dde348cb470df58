//! The servers under load: processes of their own, ended with this one.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// A server, killed when dropped, with the directory of its data.
pub struct Server {
    pub address: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Server {
    /// `tidelog serve` on a store of its own, with room for as many waiters as a load has.
    pub fn tidelog(binary: &Path) -> Outcome<Server> {
        let dir = tempfile::Builder::new().prefix("tidelog-load").tempdir_in("/var/tmp")?;
        let mut child = Command::new(binary)
            .args(["--memory", "256M", "--data"])
            .arg(dir.path().join("store"))
            .args(["serve", "--listen", "127.0.0.1:0", "--waiters-per-client", "20000"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://").ok_or("the server did not start")?.to_owned();
        Ok(Server { address, child, _dir: dir })
    }

    /// `redis-server` with `appendfsync always`; none if it is not installed.
    pub fn redis() -> Outcome<Option<Server>> {
        let dir = tempfile::Builder::new().prefix("tidelog-load").tempdir_in("/var/tmp")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
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
                let server = Server { address: format!("127.0.0.1:{port}"), child, _dir: dir };
                server.reachable()?;
                Ok(Some(server))
            }
        }
    }

    /// Another server of appends, which takes `--host`, `--port` and `--data-dir` as `durable-streams-server` does.
    pub fn streams(binary: &Path) -> Outcome<Server> {
        let dir = tempfile::Builder::new().prefix("tidelog-load").tempdir_in("/var/tmp")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let child = Command::new(binary)
            .args(["--host", "127.0.0.1", "--port", &port, "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let server = Server { address: format!("127.0.0.1:{port}"), child, _dir: dir };
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

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
