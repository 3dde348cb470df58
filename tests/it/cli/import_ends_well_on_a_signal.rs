#![cfg(unix)]

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Ran, Store, put};

#[test]
fn an_interrupted_import_says_what_it_committed() {
    let store = Store::new();
    let mut child = store
        .command(&["import", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    // It listens to signals before it makes the store.
    while !store.data().exists() {
        assert!(Instant::now() < deadline, "the import does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let mut stdin = child.stdin.take().expect("it is piped");
    // It stops at the latest with the next line, and goes away.
    while stdin.write_all(put("d", "a", "1").as_bytes()).is_ok() {
        assert!(Instant::now() < deadline, "the import does not stop");
    }
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    let error = ran.error(1);
    assert_eq!((&error["kind"], error.get("line")), (&"interrupted".into(), None), "{error}");
    let committed = error["committed"]["entries"].as_u64().expect("it is a number");
    let there = if committed > 0 { store.entries(&["changes", "d", "--view", "every"]).len() as u64 } else { 0 };
    assert_eq!(there, committed);
    assert_eq!(store.json(&["stat"])[0]["stat"]["datasets"], u64::from(committed > 0));
}
