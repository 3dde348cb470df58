use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::Sent;

/// What `tidelog --json serve` logs with these flags, for one request.
fn log(flags: &[&str], target: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.arg("--data").arg(dir.path().join("data")).args(["--json", "serve", "--listen", "127.0.0.1:0"]).args(flags);
    log_of(command, target)
}

/// What this server, which tells JSON, logs for one request.
fn log_of(mut command: Command, target: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("log");
    let mut server = command
        .env_remove("TIDELOG_DATA")
        .stdout(Stdio::piped())
        .stderr(File::create(&file).expect("a file"))
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut line).expect("its output");
    let told: Value = serde_json::from_str(&line).expect("JSON");
    let address = told["serve"]["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("an address");
    Sent::new(address.parse().expect("an address"), "GET", target).answer();
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it can be told");
    assert!(server.wait().expect("it ends").success());
    std::fs::read_to_string(file).expect("its log")
}

#[test]
fn the_log_is_an_object_a_line_where_that_is_asked_for() {
    let told = log(&["-vv"], "/healthz?a=1");
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let answered = lines.iter().find(|line| line["fields"]["message"] == "answered").expect("the request is told");
    assert_eq!(answered["level"], "DEBUG", "{answered}");
    assert!(answered["timestamp"].is_string(), "{answered}");
    assert_eq!((&answered["fields"]["path"], &answered["fields"]["method"]), (&"/healthz".into(), &"GET".into()));
    // By itself it tells of what is wrong, and nothing is.
    assert_eq!(log(&[], "/healthz"), "");
}

#[test]
fn the_file_of_settings_names_store_log_and_address() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, data) = (dir.path().join("tidelog.toml"), dir.path().join("data"));
    let settings = format!("data = {data:?}\nlisten = \"localhost:0\"\nmemory = \"32M\"\njson = true\nverbose = 2\n");
    std::fs::write(&file, settings).expect("a file");
    let with = |args: &[&str], verbose: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
        command.env("TIDELOG_VERBOSE", verbose).args(args).args(["serve", "--config"]).arg(&file);
        log_of(command, "/healthz")
    };
    let told = with(&[], "");
    assert!(told.lines().all(|line| line.starts_with('{')) && told.contains(r#""answered""#), "{told}");
    assert!(data.is_dir());
    let told = with(&["-v"], "0");
    assert!(told.contains(r#""opened""#) && !told.contains(r#""answered""#), "the flag comes first: {told}");
    assert_eq!(with(&[], "0"), "", "the environment comes before the file");
}
