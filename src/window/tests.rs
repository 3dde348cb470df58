//! The rules one by one; `play` checks that together they are exact, over the store in `store`.

mod play;
mod store;

use super::*;

const LATEST: Rules = Rules { view: View::Latest, keep: Keep::Live };
const EVERY: Rules = Rules { view: View::Every, keep: Keep::Live };
const CAPPED: Rules = Rules { view: View::Every, keep: Keep::Window };

const fn floors(floor: u64, history_floor: u64) -> Floors {
    Floors { floor, history_floor, window_floor: 0 }
}

const fn window(start: u64, position: u64, bound: u64, first_bound: u64) -> Window {
    Window { start, position, bound, first_bound }
}

const fn delete(key: u64) -> Facts {
    Facts { key, is_delete: true, successor: None }
}

fn judge(window: Window, rules: Rules, entry: &Facts, born: u64, reborn: bool) -> Verdict {
    window.judge(rules, 0, entry, || Ok::<_, ()>(Born { born, reborn })).unwrap()
}

#[test]
fn a_finished_window_begins_the_next_one() {
    assert_eq!(Window::after(0).resume(LATEST, 50, floors(40, 40)), Ok(window(0, 0, 50, 50)));
    assert_eq!(Window::after(40).resume(LATEST, 50, floors(40, 45)), Ok(window(40, 40, 50, 50)));
    assert_eq!(window(3, 40, 40, 20).resume(LATEST, 50, floors(0, 0)), Ok(window(40, 40, 50, 50)));
    assert_eq!(Window::after(50).resume(LATEST, 50, floors(50, 50)), Ok(Window::after(50)));
    assert_eq!(Window::after(0).resume(LATEST, 0, floors(0, 0)), Ok(Window::after(0)));
    assert_eq!(Window::after(51).resume(LATEST, 50, floors(0, 0)), Err(StaleReason::Future));
}

#[test]
fn a_window_under_way_keeps_its_bound_until_history_passes_it() {
    let middle = window(0, 10, 30, 20);
    assert_eq!(middle.resume(LATEST, 90, floors(20, 30)), Ok(middle));
    assert_eq!(middle.resume(LATEST, 90, floors(20, 31)), Ok(window(0, 10, 90, 20)));
    assert_eq!(middle.resume(LATEST, 90, floors(21, 31)), Err(StaleReason::Trimmed));
    assert_eq!(window(1, 10, 30, 20).resume(LATEST, 90, floors(10, 31)), Ok(window(1, 10, 90, 20)));
    assert_eq!(window(1, 10, 30, 20).resume(LATEST, 90, floors(11, 31)), Err(StaleReason::Trimmed));
}

#[test]
fn every_entry_is_promised_above_the_history_floor_only() {
    assert_eq!(Window::after(40).resume(EVERY, 50, floors(30, 40)), Ok(window(40, 40, 50, 50)));
    assert_eq!(Window::after(39).resume(EVERY, 50, floors(30, 40)), Err(StaleReason::HistoryTrimmed));
    assert_eq!(Window::after(0).resume(EVERY, 50, floors(0, 0)), Ok(window(0, 0, 50, 50)));
    assert_eq!(Window::after(0).resume(EVERY, 50, floors(40, 40)), Err(StaleReason::HistoryTrimmed));
    assert_eq!(window(0, 10, 30, 30).resume(EVERY, 50, floors(0, 11)), Err(StaleReason::HistoryTrimmed));
}

#[test]
fn a_capped_log_is_stale_from_below_its_floor_and_from_0() {
    assert_eq!(Window::after(40).resume(CAPPED, 50, floors(40, 40)), Ok(window(40, 40, 50, 50)));
    assert_eq!(Window::after(39).resume(CAPPED, 50, floors(40, 40)), Err(StaleReason::Trimmed));
    assert_eq!(Window::after(0).resume(CAPPED, 50, floors(0, 0)), Ok(window(0, 0, 50, 50)));
    assert_eq!(Window::after(0).resume(CAPPED, 50, floors(1, 1)), Err(StaleReason::Trimmed));
    assert_eq!(window(0, 10, 50, 50).resume(CAPPED, 50, floors(11, 11)), Err(StaleReason::Trimmed));
    // It was a live dataset before: history is gone up to 45.
    assert_eq!(Window::after(44).resume(CAPPED, 50, floors(40, 45)), Err(StaleReason::HistoryTrimmed));
    // It has become a live dataset again, after live entries were lost.
    let lossy = Rules { view: View::Latest, ..CAPPED };
    let lost = |floor| Floors { window_floor: 40, ..floors(floor, floor) };
    assert_eq!(Window::after(0).resume(lossy, 50, lost(40)), Err(StaleReason::Trimmed));
    assert_eq!(Window::after(40).resume(lossy, 50, lost(40)), Ok(window(40, 40, 50, 50)));
    // Deletes above that are gone too: all the same for whoever has nothing, whatever lives there.
    assert_eq!(Window::after(40).resume(lossy, 50, lost(45)), Err(StaleReason::Trimmed));
    assert_eq!(lost(45).oldest(lossy, 50), window(0, 40, 50, 50));
    assert_eq!(window(0, 42, 50, 50).resume(lossy, 60, lost(50)), Ok(window(0, 42, 50, 50)));
    assert_eq!(window(0, 42, 50, 50).resume(lossy, 60, lost(51)), Err(StaleReason::Trimmed));
    assert_eq!(window(0, 42, 50, 50).headroom(lossy, lost(45)), 1);
    // It was trimmed as a window once more, beyond where the read is.
    let again = Floors { window_floor: 43, ..lost(45) };
    assert_eq!(window(0, 42, 50, 50).resume(lossy, 60, again), Err(StaleReason::Trimmed));
}

#[test]
fn the_oldest_position_is_never_stale_and_the_one_below_is() {
    for rules in [LATEST, EVERY, CAPPED, Rules { view: View::Latest, ..CAPPED }] {
        let floors = Floors { window_floor: if rules.keep == Keep::Window { 20 } else { 0 }, ..floors(30, 40) };
        let oldest = floors.oldest(rules, 50);
        assert!(oldest.resume(rules, 50, floors).is_ok(), "{rules:?}");
        let below = oldest.position.checked_sub(1).map(|position| Window { position, ..oldest });
        assert!(below.is_none_or(|below| below.resume(rules, 50, floors).is_err()), "{rules:?}");
    }
}

#[test]
fn superseded_entries_are_skipped_in_the_latest_view_only() {
    let entry = |successor| Facts { key: 20, is_delete: false, successor };
    let read = window(10, 10, 30, 30);
    assert_eq!(judge(read, LATEST, &entry(Some(30)), 5, false), Verdict::Superseded);
    assert_eq!(judge(read, LATEST, &entry(Some(31)), 5, false), Verdict::Deliver { new: false });
    assert_eq!(judge(read, LATEST, &entry(None), 5, false), Verdict::Deliver { new: false });
    assert_eq!(judge(read, EVERY, &entry(Some(30)), 5, false), Verdict::Deliver { new: false });
    assert_eq!(judge(read, LATEST, &entry(None), 10, false), Verdict::Deliver { new: false });
    assert_eq!(judge(read, LATEST, &entry(None), 11, false), Verdict::Deliver { new: true });
}

#[test]
fn a_delete_is_left_out_only_if_the_client_has_never_seen_the_entity() {
    let read = window(10, 10, 30, 30);
    assert_eq!(judge(read, LATEST, &delete(20), 11, false), Verdict::Elided);
    assert_eq!(judge(read, LATEST, &delete(20), 10, false), Verdict::Deliver { new: false });
    assert_eq!(judge(read, LATEST, &delete(20), 11, true), Verdict::Deliver { new: true });
    assert_eq!(judge(window(10, 10, 31, 30), LATEST, &delete(20), 11, false), Verdict::Deliver { new: true });
    assert_eq!(judge(read, EVERY, &delete(20), 11, false), Verdict::Deliver { new: true });
    // What tells of an older life may be gone as far up as the floor.
    let known = |start: u64, floor| {
        let born = || Ok::<_, ()>(Born { born: 11, reborn: false });
        window(start, 15, 30, 30).judge(LATEST, floor, &delete(20), born).unwrap()
    };
    assert_eq!(known(10, 10), Verdict::Elided);
    assert_eq!(known(10, 11), Verdict::Deliver { new: true });
    assert_eq!(known(0, 11), Verdict::Elided);
    let capped = Rules { keep: Keep::Window, ..LATEST };
    assert_eq!(judge(read, capped, &delete(20), 11, false), Verdict::Deliver { new: true });
}

#[test]
fn a_read_from_nothing_never_asks_when_an_entity_was_born() {
    let unasked = || Err("asked");
    let (read, moved) = (window(0, 10, 30, 30), window(0, 10, 31, 30));
    let put = Facts { key: 20, is_delete: false, successor: None };
    assert_eq!(read.judge(LATEST, 0, &put, unasked), Ok(Verdict::Deliver { new: true }));
    assert_eq!(read.judge(LATEST, 0, &delete(20), unasked), Ok(Verdict::Elided));
    assert_eq!(moved.judge(LATEST, 0, &delete(20), unasked), Ok(Verdict::Deliver { new: true }));
    assert_eq!(read.judge(EVERY, 0, &delete(20), unasked), Ok(Verdict::Deliver { new: true }));
    // Nor does a superseded entry; and where it is asked, its failure is passed on.
    let superseded = Facts { successor: Some(25), ..put };
    assert_eq!(window(5, 10, 30, 30).judge(LATEST, 0, &superseded, unasked), Ok(Verdict::Superseded));
    assert_eq!(window(5, 10, 30, 30).judge(LATEST, 0, &put, unasked), Err("asked"));
}

#[test]
fn headroom_is_the_rise_of_the_floor_that_makes_stale() {
    let cases = [
        (Window::after(40), LATEST, floors(30, 35), 11),
        (Window::after(40), EVERY, floors(30, 35), 6),
        (Window::after(40), CAPPED, floors(35, 35), 6),
        (Window::after(40), LATEST, floors(40, 40), 1),
        (Window::after(40), LATEST, floors(41, 41), 0),
        (window(0, 10, 45, 20), LATEST, floors(5, 5), 16),
        (window(1, 10, 45, 20), LATEST, floors(5, 5), 6),
        (window(0, 20, 20, 20), LATEST, floors(5, 5), 16),
        (Window::after(0), EVERY, floors(0, 0), 1),
    ];
    for (at, rules, floors, headroom) in cases {
        assert_eq!(at.headroom(rules, floors), headroom, "{at:?} {rules:?} {floors:?}");
        let raised = |by: u64| match rules.view {
            View::Latest => Floors { floor: floors.floor + by, history_floor: floors.history_floor + by, ..floors },
            View::Every => Floors { history_floor: floors.history_floor + by, ..floors },
        };
        assert!(at.resume(rules, 50, raised(headroom)).is_err(), "{at:?} {rules:?} {floors:?}");
        if let Some(less) = headroom.checked_sub(1) {
            assert!(at.resume(rules, 50, raised(less)).is_ok(), "{at:?} {rules:?} {floors:?}");
        }
    }
    assert_eq!(Window::after(0).headroom(LATEST, floors(30, 30)), u64::MAX);
}

#[test]
fn only_the_middle_of_a_latest_window_is_tied_to_its_view() {
    let done = Window::after(30).exact(View::Latest, 1, 2);
    assert_eq!(done.view, None);
    assert_eq!(Window::of(&done, View::Every), Ok(Window::after(30)));
    let middle = window(0, 10, 30, 20);
    let latest = middle.exact(View::Latest, 1, 2);
    assert_eq!(Window::of(&latest, View::Latest), Ok(middle));
    assert_eq!(Window::of(&latest, View::Every), Err(TiedToLatest));
    let every = middle.exact(View::Every, 1, 2);
    assert_eq!(Window::of(&every, View::Every), Ok(middle));
    assert_eq!(Window::of(&every, View::Latest), Ok(Window::after(10)));
}

#[test]
fn a_cursor_is_accepted_as_far_as_its_history_is_shared() {
    let shared = Shared { lineage: 9, earlier: &[(7, 100), (8, 200)], incarnation: 5, visible: 300 };
    let at = |lineage, position, bound| Exact { lineage, ..window(0, position, bound, 0).exact(View::Latest, 0, 5) };
    assert_eq!(accept(&at(9, 300, 300), &shared), Ok(()));
    assert_eq!(accept(&at(9, 301, 301), &shared), Err(StaleReason::Future));
    assert_eq!(accept(&at(9, 10, 301), &shared), Err(StaleReason::Future));
    assert_eq!(accept(&at(8, 200, 200), &shared), Ok(()));
    assert_eq!(accept(&at(8, 201, 201), &shared), Err(StaleReason::OtherLineage));
    assert_eq!(accept(&at(8, 10, 201), &shared), Err(StaleReason::OtherLineage));
    assert_eq!(accept(&at(7, 100, 100), &shared), Ok(()));
    assert_eq!(accept(&at(7, 101, 101), &shared), Err(StaleReason::OtherLineage));
    assert_eq!(accept(&at(6, 1, 1), &shared), Err(StaleReason::OtherLineage));
    // The order: re-created before lineage before future.
    let other = Exact { incarnation: 4, ..at(6, 999, 999) };
    assert_eq!(accept(&other, &shared), Err(StaleReason::Recreated));
    assert_eq!(accept(&at(6, 999, 999), &shared), Err(StaleReason::OtherLineage));
}

#[test]
fn a_bare_key_is_accepted_where_it_can_have_been_handed_out() {
    let check = |key| accept_bare(key, 50, 300, &[(100, 200), (250, 1_000)]);
    for key in [0, 50, 100, 200, 250] {
        assert_eq!(check(key), Ok(()), "{key}");
    }
    for key in [1, 49] {
        assert_eq!(check(key), Err(StaleReason::Recreated), "{key}");
    }
    for key in [101, 199, 251, 999] {
        assert_eq!(check(key), Err(StaleReason::OtherLineage), "{key}");
    }
    assert_eq!(check(1_000), Err(StaleReason::Future));
    assert_eq!(accept_bare(300, 50, 300, &[]), Ok(()));
    assert_eq!(accept_bare(301, 50, 300, &[]), Err(StaleReason::Future));
}
