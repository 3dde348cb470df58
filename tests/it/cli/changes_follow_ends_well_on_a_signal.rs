#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::{Store, interrupt, put};

#[test]
fn a_follower_prints_waits_and_closes_the_store() {
    let store = Store::of(&(put("d", "a", "1") + &put("d", "b", "2")));
    let lineage = || store.json(&["stat"])[0]["stat"]["lineage"].clone();
    let before = lineage();
    let mut child = store
        .command(&["changes", "d", "--follow", "--limit", "1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut kinds = Vec::new();
    // Each page comes with its page line, without waiting for more output.
    while kinds.len() < 4 {
        let line = lines.next().expect("there is more").expect("it can be read");
        let value: Value = serde_json::from_str(&line).expect("it is JSON");
        kinds.push(if value.get("page").is_some() { "page" } else { "entry" });
    }
    assert_eq!(kinds, ["entry", "page", "entry", "page"]);
    assert!(child.try_wait().expect("it can be asked").is_none(), "it did not wait for more");
    interrupt(&child);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(lineage(), before, "the store was not closed cleanly");
}
