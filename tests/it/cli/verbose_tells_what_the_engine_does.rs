use super::{Ran, Store, put};

/// What stands on stderr of the lines that hold `event`.
fn told(ran: &Ran, event: &str) -> Option<String> {
    ran.err.lines().find(|line| line.contains(event)).map(str::to_owned)
}

#[test]
fn opening_sealing_compacting_and_closing_are_told_with_v() {
    let store = Store::of(&(put("d", "a", "1") + &put("d", "b", "2")));
    let ran = store.run(&["compact", "-v"]).ok();
    let opened = told(&ran, ": opened ").expect("opening is told");
    assert!(opened.contains("replayed_commits=2") && opened.contains("elapsed_ms="), "{opened}");
    for event in [": sealed ", ": compacted ", ": closed "] {
        assert!(told(&ran, event).is_some_and(|line| line.contains(" INFO ")), "{event}: {ran:?}");
    }
    assert!(told(&ran, "DEBUG").is_none(), "{ran:?}");
    assert!(told(&store.run(&["stat", "-vv"]).ok(), "DEBUG").is_some());
    assert_eq!(store.run(&["stat"]).ok().err, "");
}
