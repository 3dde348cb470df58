//! The JavaScript client and the pages, tried by node and by a real browser. Where one of them is missing the test says
//! so and is skipped; under `CI=true` it fails.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// `tidelog serve` with its demo, killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

/// Whether this can be run here; if not and it must be, that is a failure.
fn here(program: &str, found: bool) -> bool {
    let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(found || !must, "{program} is not installed, and under CI=true nothing is skipped");
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn node(file: &str, environment: &[(&str, &str)]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web").join(file);
    let output = Command::new("node")
        .arg("--test")
        .arg(file)
        .envs(environment.iter().copied())
        .output()
        .expect("node can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("# skipped 0"), "something was skipped:\n{said}");
    assert!(!said.contains("# pass 0"), "no test was run:\n{said}");
}

#[test]
fn the_javascript_client_keeps_a_copy_in_step() {
    if here("node", installed("node")) {
        node("tidelog.test.mjs", &[]);
    }
}

#[test]
fn the_javascript_client_ends_equal_to_a_server_that_was_killed() {
    if here("node", installed("node")) {
        node("real.test.mjs", &[("TIDELOG_BIN", env!("CARGO_BIN_EXE_tidelog"))]);
    }
}

/// `tidelog serve` with these arguments, as a group of processes of its own, and its address.
fn serve(dir: &Path, arguments: &[&str]) -> (Server, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_tidelog"))
        .arg("--data")
        .arg(dir.join("data"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut out = BufReader::new(process.stdout.take().expect("it is piped"));
    let server = Server(process);
    let mut line = String::new();
    out.read_line(&mut line).expect("its output");
    let url = line.trim().strip_prefix("listening on ").expect("its address").to_owned();
    (server, url)
}

/// What `make run` starts, and a Ctrl-C, which goes to the whole group.
#[test]
fn the_demo_shows_its_page_and_ends_well_on_an_interrupt() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let (mut server, url) = serve(dir.path(), &["--demo"]);
    let page = ureq::get(&url).call().expect("a page").into_body().read_to_string().expect("a text");
    assert!(page.contains("<title>Tidelog</title>"), "{page}");
    // Somebody waits meanwhile, as the page does.
    let head = ureq::get(format!("{url}/v1/datasets/chats%2Fcrew/events")).call().expect("a stream");
    assert_eq!(head.status(), 200);

    let (group, told) = (Pid::from_child(&server.0), Instant::now());
    kill_process_group(group, Signal::INT).expect("it can be told");
    let status = loop {
        if let Some(status) = server.0.try_wait().expect("its status") {
            break status;
        }
        assert!(told.elapsed() < Duration::from_secs(5), "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(test_kill_process_group(group), Err(Errno::SRCH), "a process is left");
    let mut verify = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    let verify = verify.arg("--data").arg(dir.path().join("data")).arg("verify").output().expect("the binary starts");
    assert!(verify.status.success(), "{verify:?}");
}

/// Whether pages can be looked at here.
fn browser_is_here() -> bool {
    let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter().any(installed);
    here("node", installed("node")) && here("a Chromium browser", browser)
}

#[test]
fn the_pages_show_a_living_store_in_a_browser() {
    if browser_is_here() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let (_server, url) = serve(dir.path(), &["--demo"]);
        node("page.test.mjs", &[("TIDELOG_URL", &url)]);
    }
}

#[test]
fn the_pages_ask_for_a_token_where_one_is_needed() {
    if !browser_is_here() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory can be made");
    let made = Command::new(env!("CARGO_BIN_EXE_tidelog")).args(["--json", "token", "--scope", "admin"]).output();
    let made: serde_json::Value = serde_json::from_slice(&made.expect("the binary starts").stdout).expect("JSON");
    let made = |field: &str| made["token"][field].as_str().expect("a text").to_owned();
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, made("line") + "\n").expect("a file can be written");
    let (_server, url) = serve(dir.path(), &["--tokens", tokens.to_str().expect("a plain path")]);
    node("page.test.mjs", &[("TIDELOG_URL", &url), ("TIDELOG_TOKEN", &made("token"))]);
}
