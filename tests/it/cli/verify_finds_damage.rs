use std::fs;
use std::path::{Path, PathBuf};

use super::{Store, put};

#[test]
fn a_good_store_has_no_findings() {
    let store = Store::of(&put("d", "a", "1"));
    let mut lines = store.json(&["verify"]);
    assert_eq!(lines.pop().expect("there is a summary")["verify"]["findings"], 0);
    assert!(lines.is_empty(), "{lines:?}");
}

/// Files below a directory, the largest first.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).map_or(0, |about| about.len())));
    files
}

#[test]
fn damage_is_named_and_the_exit_code_says_so() {
    let store = Store::of(&(0..2000).map(|i| put("d", &format!("{i}"), &format!("\"{i:0>64}\""))).collect::<String>());
    store.run(&["compact"]).ok();
    let is_data = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "sst" || ext == "blob");
    let file = files(&store.data().join("db")).into_iter().find(is_data).expect("something was sealed");
    let mut bytes = fs::read(&file).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&file, bytes).expect("it can be written");
    let ran = store.run(&["verify", "--json"]);
    let error = ran.error(5);
    assert_eq!(error["kind"], "damaged");
    let findings: Vec<_> = ran.values().into_iter().filter(|line| line.get("finding").is_some()).collect();
    assert!(findings.iter().all(|line| line["finding"]["what"].is_string()), "{ran:?}");
    assert!(!findings.is_empty() || error["file"].is_string(), "{ran:?}");
    let people = store.run(&["verify"]);
    assert!(people.code == Some(5) && people.err.starts_with("error: "), "{people:?}");
}
