use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{Store, put};

#[test]
fn a_second_opener_is_told_at_once_and_changes_nothing() {
    let store = Store::of(&put("d", "a", "1"));
    let mut holder = store
        .command(&["changes", "d", "--follow", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    // Once it has printed something, it holds the store.
    let mut stdout = BufReader::new(holder.stdout.take().expect("it is piped"));
    stdout.read_line(&mut String::new()).expect("it can be read");
    for args in [&["stat"][..], &["changes", "d"], &["compact"], &["verify"], &["delete", "d"]] {
        let error = store.error(6, args);
        assert_eq!(error["kind"], "locked", "{args:?}");
        assert!(error["file"].is_string(), "{error}");
    }
    assert_eq!(store.import(&put("d", "b", "2")).error(6)["kind"], "locked");
    holder.kill().expect("it can be killed");
    holder.wait().expect("it ends");
    assert_eq!(store.entries(&["changes", "d"]).len(), 1);
}
