use std::io::Write;
use std::process::Stdio;

use super::{Ran, Store, put, run};

#[test]
fn an_endless_line_is_refused_and_the_rest_stays() {
    let store = Store::new();
    let mut child = store
        .command(&["import", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let writer = std::thread::spawn(move || {
        let block = [b'x'; 1 << 16];
        let mut written = stdin.write_all(put("d", "a", "1").as_bytes()).map(|()| 0);
        // Far more than fits into the memory that was allowed: it is not read to its end.
        while let Ok(bytes) = written
            && bytes < 1 << 30
        {
            written = stdin.write_all(&block).map(|()| bytes + block.len());
        }
        written.is_err()
    });
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    let error = ran.error(2);
    assert_eq!((&error["line"], &error["committed"]["commits"]), (&2.into(), &1.into()), "{error}");
    assert!(writer.join().expect("writing ends"), "all of it was read");
}

#[test]
fn a_commit_over_the_limit_says_so() {
    let store = Store::of(&put("d", "a", "1"));
    let big = put("d", "b", &format!("\"{}\"", "x".repeat(4 << 20)));
    let ran = run(store.command(&["import", "-", "--json"]), &big);
    assert_eq!(ran.error(2)["kind"], "invalid");
    assert_eq!(store.entries(&["changes", "d"]).len(), 1);
}
