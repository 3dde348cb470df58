use super::{Store, put};

#[test]
fn nothing_stored_reaches_the_terminal_raw() {
    let long = format!("\"{}\"", "x".repeat(500));
    let line = r#"{"dataset":"d","op":"put","entity":"\u001b[2J\n\u202e","payload_base64":"G1sySv8="}"#;
    let store = Store::of(&format!("{line}\n{}", put("d", "long", &long)));
    for args in [&["changes", "d"][..], &["recent", "d"], &["entities", "d"], &["history", "d", "long"]] {
        let out = store.run(args).ok().out;
        assert!(!out.contains(['\u{1b}', '\u{202e}']), "{out:?}");
        assert!(out.lines().all(|line| line.chars().count() < 220), "{out}");
    }
    let out = store.run(&["changes", "d"]).ok().out;
    assert!(out.contains("\\u{1b}[2J\\n\\u{202e}") && out.contains("\\u{1b}[2J\\xff"), "{out}");
    assert!(out.contains('\u{2026}'), "a long payload is not shortened: {out}");
}

#[test]
fn a_table_has_headings_and_the_page_is_explained() {
    let store = Store::of(&put("d", "a", "1"));
    let out = store.run(&["changes", "d"]).ok().out;
    let mut lines = out.lines();
    assert!(lines.next().is_some_and(|line| line.contains("KEY  OP")), "{out}");
    assert!(out.contains("\nnext      c") && out.contains("\nmore      no\n"), "{out}");
    store.import(&put("other", "a", "1")).ok();
    let page = store.json(&["changes", "d"]).pop().expect("there is a page line")["page"].take();
    assert!(super::key(&page["key"]) > super::key(&page["head"]), "{page}");
    let read_to = format!(
        "\nread to   key {}; the dataset's newest is {}\n",
        super::key(&page["key"]),
        super::key(&page["head"])
    );
    let out = store.run(&["changes", "d"]).ok().out;
    assert!(out.contains(&read_to), "{out}");
    let key = store.entries(&["changes", "d"])[0]["key"].as_str().expect("a key is text").to_owned();
    assert!(store.run(&["changes", "d", "--since", &key]).ok().out.starts_with("no changes\n"));
}
