use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Store, put};

#[test]
fn a_second_opener_is_told_at_once() {
    let store = Store::of(&put("d", "a", "1"));
    let mut holder =
        store.command(&["import", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the binary starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    // It takes the lock some time after it starts.
    let error = loop {
        let ran = store.run(&["stat", "--json"]);
        if ran.code != Some(0) {
            break ran.error(6);
        }
        assert!(Instant::now() < deadline, "the import does not hold the store");
    };
    assert_eq!(error["kind"], "locked");
    assert!(error["file"].is_string(), "{error}");
    assert_eq!(store.error(6, &["verify"])["kind"], "locked");
    let mut stdin = holder.stdin.take().expect("it is piped");
    stdin.write_all(put("d", "b", "2").as_bytes()).expect("it listens");
    drop(stdin);
    assert!(holder.wait().expect("it ends").success());
    assert_eq!(store.entries(&["changes", "d"]).len(), 2);
}
