use super::Store;

const LINE: &str = r#"{"dataset_base64":"/w==","op":"put","entity_base64":"AP4=","payload":1}"#;

#[test]
fn they_go_in_and_come_out_as_base64() {
    let store = Store::of(LINE);
    let entry = &store.entries(&["changes", "/w==", "--base64"])[0];
    assert_eq!((&entry["dataset_base64"], &entry["entity_base64"]), (&"/w==".into(), &"AP4=".into()));
    assert!(entry.get("dataset").or(entry.get("entity")).is_none(), "{entry}");
    assert_eq!(store.json(&["get", "/w==", "AP4=", "--base64"])[0]["payload"], 1);
    assert_eq!(store.entries(&["datasets"])[0]["dataset_base64"], "/w==");
    assert_eq!(store.entries(&["entities", "/w==", "--base64"])[0]["entity_base64"], "AP4=");
    assert_eq!(store.error(7, &["get", "/w==", "/v7+", "--base64"])["entity_base64"], "/v7+");
    assert_eq!(store.error(2, &["get", "/w=", "AP4=", "--base64"])["kind"], "invalid");
}

#[cfg(unix)]
#[test]
fn arguments_may_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let store = Store::of(LINE);
    let mut command = store.command(&["changes", "--json"]);
    command.arg(std::ffi::OsStr::from_bytes(b"\xff"));
    assert_eq!(super::run(command, "").ok().values()[0]["payload"], 1);
}

#[test]
fn people_see_them_escaped() {
    let store = Store::of(LINE);
    assert_eq!(store.run(&["datasets"]).ok().out, "\\xff\n");
    assert!(store.run(&["entities", "/w==", "--base64"]).ok().out.ends_with("  \\u{0}\\xfe\n"));
    // What they are told to go on with can be given.
    store.import(&LINE.replace("AP4=", "AP8="));
    let first = store.run(&["entities", "/w==", "--base64", "--limit", "1"]).ok().out;
    assert!(first.contains("--after AP4= --base64"), "{first}");
    let second = store.run(&["entities", "/w==", "--base64", "--after", "AP4="]).ok().out;
    assert!(second.ends_with("  \\u{0}\\xff\n"), "{second}");
}
