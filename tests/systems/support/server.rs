use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::state::{State, exported};

/// `tidelog serve` on a store of its own, as a process that can be killed.
pub struct Server {
    dir: TempDir,
    /// Options of `serve` beside those that every start has.
    options: Vec<String>,
    running: Option<Running>,
}

struct Running {
    process: Child,
    url: String,
}

impl Server {
    pub fn start() -> Server {
        Server::start_with(&[], &[])
    }

    /// Started the first time with both lists of options, and with the second from then on.
    pub fn start_with(once: &[&str], options: &[&str]) -> Server {
        let dir = TempDir::new().expect("a directory can be made");
        let mut server =
            Server { dir, options: options.iter().map(|option| option.to_string()).collect(), running: None };
        server.run(once);
        server
    }

    /// Starts it again on the same store, on another port.
    pub fn restart(&mut self) {
        self.run(&[]);
    }

    fn run(&mut self, once: &[&str]) {
        assert!(self.running.is_none(), "it is running");
        let log = self.dir.path().join("server.log");
        let log = File::options().create(true).append(true).open(log).expect("a file can be made");
        let mut process = self
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .args(once)
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let mut out = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("its output");
        let Some(url) = line.trim().strip_prefix("listening on ").map(str::to_owned) else {
            let status = process.kill().and_then(|()| process.wait());
            panic!("instead of its address it said {line:?}, {status:?}:\n{}", self.log());
        };
        // Whatever else it says is read, so that it never waits for us.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        self.running = Some(Running { process, url });
    }

    /// What it said on standard error, in all its lives.
    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }

    pub fn url(&self) -> &str {
        &self.running.as_ref().expect("it is running").url
    }

    pub fn address(&self) -> SocketAddr {
        let (_, address) = self.url().split_once("://").expect("an address");
        address.parse().expect("an address")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let status = self.end(Signal::KILL);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}:\n{}", self.log());
    }

    /// Stops it as a service manager does; it must end well.
    pub fn stop(&mut self) {
        let status = self.end(Signal::TERM);
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    fn end(&mut self, signal: Signal) -> std::process::ExitStatus {
        let mut running = self.running.take().expect("it is running");
        kill_process(Pid::from_child(&running.process), signal).expect("it can be told");
        running.process.wait().expect("it ends")
    }

    /// What a command prints on this store while the server is not running; it must end well.
    pub fn cli(&self, args: &[&str]) -> String {
        assert!(self.running.is_none(), "a store has one opener");
        let output = self.command(args).output().expect("the binary starts");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("output is UTF-8")
    }

    /// Stops it, and gives what the store holds.
    pub fn stop_and_export(&mut self) -> State {
        self.stop();
        exported(&self.cli(&["export"]))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
        command.env_remove("TIDELOG_DATA").arg("--data").arg(self.dir.path().join("data")).args(args);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.process.kill().and_then(|()| running.process.wait()));
        }
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", self.log());
        }
    }
}
