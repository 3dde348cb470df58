use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{Answer, Sent};

/// `tidelog serve` on a store of its own.
pub struct Server {
    dir: TempDir,
    process: Option<Child>,
    address: SocketAddr,
}

impl Server {
    pub fn start() -> Server {
        Server::start_with(&[])
    }

    /// With more options of `serve`.
    pub fn start_with(options: &[&str]) -> Server {
        Server::on(TempDir::new().expect("a directory can be made"), options)
    }

    /// On a store that commands of the command line have prepared.
    pub fn prepared(commands: &[&[&str]], import: &str) -> Server {
        let dir = TempDir::new().expect("a directory can be made");
        let file = dir.path().join("import.jsonl");
        std::fs::write(&file, import).expect("a file can be written");
        run(&dir, &["import", file.to_str().expect("a path is text")]);
        for command in commands {
            run(&dir, command);
        }
        Server::on(dir, &[])
    }

    /// Restricted to tokens, each with what it may do.
    pub fn with_tokens(grants: &[(&str, &str)]) -> Server {
        Server::with_tokens_and(grants, &[])
    }

    /// The same with more options of `serve`.
    pub fn with_tokens_and(grants: &[(&str, &str)], options: &[&str]) -> Server {
        let dir = TempDir::new().expect("a directory can be made");
        let file = tokens(&dir);
        write_tokens(&file, grants);
        let tokens = ["--tokens", file.to_str().expect("a path is text")];
        Server::on(dir, &[&tokens, options].concat())
    }

    /// One that is told when it writes beyond a limit that is set to it later, and not ended by the signal that comes with
    /// that.
    pub fn told_of_limits() -> Server {
        let dir = TempDir::new().expect("a directory can be made");
        let tidelog = command(&dir);
        let mut command = Command::new("sh");
        command.args(["-c", r#"trap '' XFSZ; exec "$@""#, "sh"]).arg(tidelog.get_program()).args(tidelog.get_args());
        command.env_remove("TIDELOG_DATA");
        Server::run(dir, command, &[])
    }

    /// On a file system in memory of so many MiB; none where this process may not mount one.
    pub fn on_a_small_disk(mib: u32, options: &[&str]) -> Option<(Server, SmallDisk)> {
        let dir = TempDir::new().expect("a directory can be made");
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("a directory can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"])
            .arg(&data)
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            return None;
        }
        let disk = SmallDisk(data);
        Some((Server::on(dir, options), disk))
    }

    fn on(dir: TempDir, options: &[&str]) -> Server {
        let command = command(&dir);
        Server::run(dir, command, options)
    }

    fn run(dir: TempDir, mut command: Command, options: &[&str]) -> Server {
        let log = File::create(dir.path().join("server.log")).expect("a file can be made");
        let mut process = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let mut out = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("its output");
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let status = process.kill().and_then(|()| process.wait());
            panic!("instead of its address it said {line:?}, {status:?}");
        };
        Server { dir, process: Some(process), address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    pub fn request(&self, method: &str, target: &str) -> Sent {
        Sent::new(self.address, method, target)
    }

    pub fn get(&self, target: &str) -> Answer {
        self.request("GET", target).answer()
    }

    pub fn post(&self, target: &str, body: impl ToString) -> Answer {
        self.request("POST", target).json(body).answer()
    }

    /// Commits this text.
    #[track_caller]
    pub fn commit(&self, text: impl ToString) -> Value {
        self.post("/v1/commits", text).ok()
    }

    /// Writes another file of tokens, and waits until the server must have seen it.
    pub fn retoken(&self, grants: &[(&str, &str)]) {
        write_tokens(&tokens(&self.dir), grants);
        std::thread::sleep(std::time::Duration::from_secs(3));
    }

    /// Stops it as a service manager does; it must end well.
    pub fn stop(mut self) {
        let mut process = self.process.take().expect("it runs");
        kill_process(Pid::from_child(&process), Signal::TERM).expect("it can be told");
        let status = process.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }
}

/// A disk that fills up. It is unmounted when dropped, which may be before its server is.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Takes all room that is left.
    pub fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).expect("there is room for a name");
        let block = vec![1; 64 << 10];
        while ballast.write_all(&block).is_ok() {}
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("it can be removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn tokens(dir: &TempDir) -> PathBuf {
    dir.path().join("tokens")
}

fn write_tokens(file: &std::path::Path, grants: &[(&str, &str)]) {
    let line = |(token, grant): &(&str, &str)| {
        let hash: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hash} {grant}\n")
    };
    std::fs::write(file, grants.iter().map(line).collect::<String>()).expect("a file can be written");
}

fn command(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.env_remove("TIDELOG_DATA").arg("--data").arg(dir.path().join("data"));
    command
}

fn run(dir: &TempDir, args: &[&str]) {
    let output = command(dir).args(args).output().expect("the binary starts");
    assert!(output.status.success(), "{args:?}: {output:?}");
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill().and_then(|()| process.wait()));
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default();
            eprintln!("the server said:\n{log}");
        }
    }
}

/// What the process holds in memory, in bytes.
pub fn resident(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The most that it ever held.
pub fn peak(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with(field)).expect("it is told");
    line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}
