#![cfg(unix)]

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Ran, Store, interrupt, put};

/// An import from a pipe, once it listens to signals: that is before it makes the store.
fn begun(store: &Store, deadline: Instant) -> Child {
    let child = store
        .command(&["import", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    while !store.data().exists() {
        assert!(Instant::now() < deadline, "the import does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Its error, after it was found that what it says is there is there.
fn report(store: &Store, child: Child) -> Value {
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    let error = ran.error(1);
    assert_eq!((&error["kind"], error.get("line")), (&"interrupted".into(), None), "{error}");
    let committed = error["committed"]["entries"].as_u64().expect("it is a number");
    let there = if committed > 0 { store.entries(&["changes", "d", "--view", "every"]).len() as u64 } else { 0 };
    assert_eq!(there, committed);
    assert_eq!(store.json(&["stat"])[0]["stat"]["datasets"], u64::from(committed > 0));
    error
}

#[test]
fn an_interrupted_import_says_what_it_committed() {
    let store = Store::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut child = begun(&store, deadline);
    interrupt(&child);
    let mut stdin = child.stdin.take().expect("it is piped");
    // It stops at the latest with the next line, and goes away.
    while stdin.write_all(put("d", "a", "1").as_bytes()).is_ok() {
        assert!(Instant::now() < deadline, "the import does not stop");
    }
    report(&store, child);
}

#[test]
fn an_import_that_waits_for_a_line_ends_without_one() {
    let store = Store::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut child = begun(&store, deadline);
    let mut stdin = child.stdin.take().expect("it is piped");
    // A whole line, and half of one: that is none.
    let half = &put("d", "b", "2")[..20];
    stdin.write_all((put("d", "a", "1") + half).as_bytes()).expect("it is read");
    interrupt(&child);
    while child.try_wait().expect("it can be asked").is_none() {
        assert!(Instant::now() < deadline, "the import waits for more");
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = report(&store, child);
    assert!(error["committed"]["entries"].as_u64() <= Some(1), "{error}");
    drop(stdin);
}
