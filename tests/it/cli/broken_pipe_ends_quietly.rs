use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::{Store, put};

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let line = put("d", "e", &format!("\"{}\"", "x".repeat(1000)));
    let store = Store::of(&line.repeat(3000));
    for args in
        [&["changes", "d", "--all", "--view", "every", "--json"][..], &["changes", "d", "--all", "--view", "every"]]
    {
        let mut child =
            store.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdout = BufReader::with_capacity(100, child.stdout.take().expect("it is piped"));
        stdout.read_line(&mut String::new()).expect("there is a line");
        drop(stdout);
        let mut errors = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut errors).expect("it can be read");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{errors}");
        assert_eq!(errors, "");
    }
    assert_eq!(store.json(&["verify"])[0]["verify"]["findings"], 0);
}

#[test]
fn an_error_that_nobody_reads_is_still_told_by_the_exit_code() {
    let store = Store::of(&put("d", "a", "1"));
    for args in [&["changes", "no such dataset"][..], &["changes", "no such dataset", "--json"]] {
        let (read, write) = std::io::pipe().expect("a pipe");
        drop(read);
        let ended = store.command(args).stdout(Stdio::null()).stderr(write).status().expect("the binary starts");
        assert_eq!(ended.code(), Some(7), "{args:?}");
    }
}
