use super::{Store, put};

#[test]
fn json_comes_out_as_it_came_in() {
    for payload in
        ["{\"a\":  1.50,\"a\":1e999}", "123456789012345678901234567890", "\"\\ud800\"", "null", "\"\\u00e9\""]
    {
        let store = Store::of(&put("d", "e", &format!("  {payload} ")));
        let ran = store.run(&["get", "d", "e", "--json"]).ok();
        assert!(ran.out.contains(&format!("\"payload\":{payload},\"time\"")), "{payload}: {}", ran.out);
    }
}

#[test]
fn other_bytes_come_out_as_base64() {
    // Text, white space around it, two lines, nothing.
    for base64 in ["dGV4dA==", "IDEg", "WzEsCjJd", ""] {
        let line = format!(r#"{{"dataset":"d","op":"put","entity":"e","payload_base64":"{base64}"}}"#);
        let entry = Store::of(&line).json(&["get", "d", "e"]).remove(0);
        assert_eq!(entry["payload_base64"], base64);
        assert!(entry.get("payload").is_none(), "{entry}");
    }
}

#[test]
fn base64_of_one_line_of_json_comes_out_as_json() {
    let store = Store::of(r#"{"dataset":"d","op":"put","entity":"e","payload_base64":"eyJhIjogMX0="}"#);
    let entry = store.json(&["get", "d", "e"]).remove(0);
    assert_eq!(entry["payload"]["a"], 1);
    assert!(entry.get("payload_base64").is_none(), "{entry}");
}
