use super::{Store, delete, put};

/// What an export must keep of a dataset: entities and payloads.
fn state(store: &Store, dataset: &str) -> Vec<String> {
    let mut state: Vec<String> = store
        .entries(&["changes", dataset, "--all", "--base64"])
        .into_iter()
        .map(|mut entry| {
            let entity = entry["entity"].take().to_string() + &entry["entity_base64"].take().to_string();
            entity + &entry["payload"].take().to_string() + &entry["payload_base64"].take().to_string()
        })
        .collect();
    state.sort();
    state
}

#[test]
fn export_into_import_gives_the_same_live_state() {
    let many: String = (0..350).map(|i| put("many", &format!("{i}"), &format!("{{\"n\":  {i}}}"))).collect();
    let odd = [
        r#"{"changes":[{"dataset_base64":"/w==","op":"create","entity_base64":"/v0=","payload_base64":"AAEC/w=="}],"origin":"phone"}"#,
        r#"{"dataset":"many","op":"put","entity":"empty","payload_base64":""}"#,
        r#"{"dataset":"many","op":"put","entity":"lines","payload_base64":"WzEsCjJd"}"#,
    ]
    .join("\n");
    let gone = [put("many", "gone", "1"), delete("many", "gone"), put("many", "7", "\"changed\"")].concat();
    let store = Store::of(&format!("{many}{odd}\n{gone}"));
    let exported = store.run(&["export"]).ok();
    assert_eq!(store.run(&["export"]).ok().out, exported.out, "the order is the same each time");
    assert!(exported.out.lines().count() >= 4, "commits hold at most 100 changes");
    assert!(!exported.out.contains("\"delete\"") && !exported.out.contains("\"update\""));
    let copy = Store::of(&exported.out);
    for dataset in ["bWFueQ==", "/w=="] {
        assert_eq!(state(&copy, dataset), state(&store, dataset), "{dataset}");
        assert!(!state(&copy, dataset).is_empty());
    }
    let odd = copy.entries(&["changes", "/w==", "--base64"]);
    assert_eq!(odd[0]["origin"], "phone");
}
