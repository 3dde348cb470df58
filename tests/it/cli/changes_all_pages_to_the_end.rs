use super::{Store, put, texts};

#[test]
fn all_pages_are_printed_with_one_page_line() {
    let lines: String = (0..25).map(|i| put("d", &format!("{i:02}"), "1")).collect();
    let store = Store::of(&lines);
    let mut lines = store.json(&["changes", "d", "--all", "--limit", "4"]);
    let page = lines.pop().expect("there is a page line")["page"].take();
    assert_eq!((&page["more"], &page["key"]), (&false.into(), &page["head"]));
    assert_eq!(texts(&lines, "entity"), (0..25).map(|i| format!("{i:02}")).collect::<Vec<_>>());
    let people = store.run(&["changes", "d", "--all", "--limit", "4"]).ok();
    assert_eq!(people.out.matches("ENTITY").count(), 1, "{}", people.out);
    assert_eq!(people.out.matches(" create ").count(), 25, "{}", people.out);
}
