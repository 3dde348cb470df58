//! Random play: writers append, compaction moves both floors, clients page at their own pace. Whenever a read ends, the
//! client's state must equal the dataset's state at the returned key, and `new` must never under-report.
//!
//! `TIDELOG_CASES` is the number of rounds (2,000 by default), `TIDELOG_SEED` the seed.

use std::ops::Bound::{Excluded, Included};

use super::store::{Random, Row, Rule, State, Store};
use super::*;
use crate::cursor::{Cursor, Kind};

/// Key, entity, value (none for a delete), `new`.
type Delivered = (u64, u8, Option<u32>, bool);
/// What was delivered, where the read stands, and whether there is more.
type Paged = Result<(Vec<Delivered>, Window, bool), StaleReason>;

/// A dataset that was trimmed as a window keeps what lives again.
fn rules(store: &Store, view: View) -> Rules {
    Rules { view, keep: if store.floors.window_floor > 0 { Keep::Window } else { Keep::Live } }
}

/// Pages through the rules under test; a rule is left out by telling them something wrong.
fn page(store: &Store, at: Window, view: View, limit: usize) -> Paged {
    let rules = rules(store, view);
    let mut floors = store.floors;
    if !store.on(Rule::StaleFirstBound) {
        Window { first_bound: at.bound, ..at }.resume(rules, store.visible, floors)?;
        floors.floor = 0;
    }
    if !store.on(Rule::StalePosition) {
        floors.floor = 0;
    }
    if !store.on(Rule::MoveBound) {
        floors.history_floor = 0;
    }
    let mut window = at.resume(rules, store.visible, floors)?;
    let mut told = window;
    if !store.on(Rule::ElideBound) {
        told.first_bound = told.bound;
    }
    if !store.on(Rule::StartOfWindow) {
        told.start = 0;
    }
    let elided_upto = if store.on(Rule::ElideAboveFloor) { store.floors.floor } else { 0 };
    let mut entries = Vec::new();
    for (&key, row) in store.log.range((Excluded(window.position), Included(window.bound))) {
        if entries.len() == limit {
            return Ok((entries, window, true));
        }
        window.position = key;
        let mut successor = store.mark.get(&key).copied();
        if !store.on(Rule::SkipWithinBound) {
            successor = successor.and(Some(0));
        }
        let entry = Facts { key, is_delete: row.value.is_none(), successor };
        let born = || match told.start {
            0 => Err("asked for `born` in a read from nothing"),
            _ => Ok(Born { born: row.born, reborn: row.reborn && store.on(Rule::ElideReborn) }),
        };
        if let Verdict::Deliver { new } = told.judge(rules, elided_upto, &entry, born).unwrap() {
            entries.push((key, row.entity, row.value, new));
        }
    }
    window.position = window.bound;
    Ok((entries, window, false))
}

/// The executable model's `page`, line by line, and the rule that it lacks since it has no tails.
fn literal_page(
    store: &Store,
    (mut start, mut position, mut bound, mut first): (u64, u64, u64, u64),
    limit: usize,
) -> Paged {
    if position >= bound {
        (start, bound, first) = (position, store.visible, store.visible);
    }
    let mut due = position;
    if start == 0 {
        due = first.max(position);
    }
    if store.floors.floor > due {
        return Err(StaleReason::Trimmed);
    }
    if store.floors.history_floor > bound {
        bound = store.visible;
    }
    let mut entries = Vec::new();
    for (&key, &Row { entity, value, born, reborn }) in &store.log {
        if !(position < key && key <= bound) {
            continue;
        }
        if entries.len() == limit {
            return Ok((entries, window(start, position, bound, first), true));
        }
        position = key;
        if *store.mark.get(&key).unwrap_or(&(bound + 1)) <= bound {
            continue;
        }
        if value.is_none() {
            let unmoved = bound == first;
            let unseen = start == 0 || (born > start && !reborn && store.floors.floor <= start);
            if unmoved && unseen {
                continue;
            }
        }
        entries.push((key, entity, value, born > start));
    }
    Ok((entries, window(start, bound, bound, first), false))
}

/// Reads, applies, and holds the result against the past.
#[derive(Debug)]
struct Client {
    cursor: Cursor,
    state: State,
    at_start: State,
    views: &'static [View],
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    stale: u64,
    history_trimmed: u64,
    more: u64,
    done: u64,
    moved: u64,
    switched: u64,
    oldest: u64,
}

impl Client {
    fn new(views: &'static [View]) -> Client {
        Client { cursor: Cursor::START, state: State::new(), at_start: State::new(), views }
    }

    /// The window and view of the next read: the cursor travels as bytes and is looked at as an engine does.
    fn enter(&self, store: &Store, random: &mut Random, seen: &mut Seen) -> Result<(Window, View), String> {
        let cursor = Cursor::from_bytes(&self.cursor.to_bytes()).map_err(|error| error.to_string())?;
        let mut view = random.pick(self.views);
        let at = match cursor.0 {
            Kind::After(key) => {
                accept_bare(key, 1, store.visible, &[]).map_err(|reason| format!("{reason:?}"))?;
                Window::after(key)
            }
            Kind::Exact(exact) => {
                let shared = Shared { lineage: 1, earlier: &[], incarnation: 1, visible: store.visible };
                accept(&exact, &shared).map_err(|reason| format!("{reason:?}"))?;
                if exact.view == Some(View::Latest) {
                    view = View::Latest;
                }
                let switched = exact.view.is_some_and(|was| was != view);
                seen.switched += u64::from(switched);
                if switched && !store.on(Rule::ViewBeginsWindow) {
                    window(exact.start, exact.position, exact.bound, exact.first_bound)
                } else {
                    Window::of(&exact, view).map_err(|tied| format!("{tied:?}"))?
                }
            }
            Kind::Oldest if store.on(Rule::FromWindowFloor) => store.floors.oldest(rules(store, view), store.visible),
            Kind::Oldest => Window::after(store.floors.floor),
            other => return Err(format!("no read hands out {other:?}")),
        };
        Ok((at, view))
    }

    fn read(&mut self, store: &Store, random: &mut Random, seen: &mut Seen) -> Result<(), String> {
        let (at, view) = self.enter(store, random, seen)?;
        if at.is_done() {
            self.at_start = self.state.clone();
        }
        let (entries, now, more) = match page(store, at, view, random.pick(&[1, 2, 5, 50])) {
            Ok(paged) => paged,
            Err(StaleReason::HistoryTrimmed) => {
                seen.history_trimmed += 1;
                return Ok(()); // and the same cursor goes on with the latest view some time
            }
            Err(_) => {
                seen.stale += 1;
                *self = Client::new(self.views);
                if store.floors.window_floor > 0 {
                    seen.oldest += 1;
                    self.cursor = Cursor::oldest();
                }
                return Ok(());
            }
        };
        seen.moved += u64::from(!at.is_done() && now.bound != at.bound);
        if view == View::Every && entries.len() as u64 != now.position - at.position {
            return Err(format!("{} entries from {at:?} to {now:?}", entries.len()));
        }
        for (_, entity, value, new) in &entries {
            match value {
                Some(value) => {
                    if !new && !self.at_start.contains_key(entity) {
                        return Err(format!("`new` under-reported for {entity}"));
                    }
                    self.state.insert(*entity, *value);
                }
                None => drop(self.state.remove(entity)),
            }
        }
        self.cursor = Cursor(Kind::Exact(now.exact(view, 1, 1)));
        if more {
            seen.more += 1;
            if entries.is_empty() || now.position <= at.position {
                return Err("more, without an entry or an advance".to_owned());
            }
        } else {
            seen.done += 1;
        }
        let (held, want) = (store.left_of(&self.state), store.left_of(&store.past[now.position as usize]));
        if (!more || view == View::Every) && held != want {
            return Err(format!("at {now:?}: has {held:?}, should be {want:?}"));
        }
        Ok(())
    }
}

fn step(store: &mut Store, random: &mut Random, number: u32, windows: bool) -> bool {
    match random.below(100) {
        0..52 => {
            let entities = random.pick(&[2, 6]);
            let entity = random.below(entities) as u8;
            let value = if random.below(3) < 2 { Some(number) } else { None };
            store.append(entity, value);
        }
        52..55 => store.seal(),
        55..70 if store.sealed > 0 => {
            let from = store.floors.history_floor;
            let upto = from + random.below(store.sealed - from + 1);
            let purge = random.below(store.sealed + 1);
            store.compact(upto, purge, || random.percent(30));
        }
        70..73 if windows => {
            let upto = store.floors.window_floor + random.below(6);
            store.trim(upto);
        }
        _ => return false,
    }
    true
}

fn play(rounds: u64, seed: u64, views: &'static [View], without: Option<Rule>) -> (Option<String>, Seen) {
    play_with(rounds, seed, views, without, false)
}

fn play_with(
    rounds: u64,
    seed: u64,
    views: &'static [View],
    without: Option<Rule>,
    windows: bool,
) -> (Option<String>, Seen) {
    let mut seen = Seen::default();
    for round in 0..rounds {
        let mut random = Random::new(seed, round);
        let mut store = Store::new(without);
        let mut clients = [(); 3].map(|()| Client::new(views));
        for number in 0..random.pick(&[20, 60, 150]) {
            if step(&mut store, &mut random, number, windows) {
                continue;
            }
            let client = &mut clients[random.below(3) as usize];
            if let Err(wrong) = client.read(&store, &mut random, &mut seen) {
                return (Some(format!("TIDELOG_SEED={seed}, round {round}, step {number}: {wrong}")), seen);
            }
        }
    }
    (None, seen)
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

fn rounds() -> u64 {
    from_env("TIDELOG_CASES", 2_000)
}

fn seed() -> u64 {
    from_env("TIDELOG_SEED", 1)
}

#[test]
fn every_read_ends_in_an_exact_state() {
    let (wrong, seen) = play(rounds(), seed(), &[View::Latest], None);
    assert_eq!(wrong, None);
    assert!(seen.stale.min(seen.more).min(seen.done).min(seen.moved) > rounds() / 100, "{seen:?}");
}

#[test]
fn reads_that_change_their_view_end_in_an_exact_state_too() {
    let (wrong, seen) = play(rounds(), seed(), &[View::Latest, View::Every], None);
    assert_eq!(wrong, None);
    assert!(seen.history_trimmed.min(seen.switched).min(seen.moved) > rounds() / 100, "{seen:?}");
}

#[test]
fn reads_of_what_is_left_of_a_window_end_with_all_that_lives() {
    let (wrong, seen) = play_with(rounds(), seed(), &[View::Latest], None, true);
    assert_eq!(wrong, None);
    assert!(seen.stale.min(seen.more).min(seen.done).min(seen.moved).min(seen.oldest) > rounds() / 100, "{seen:?}");
    for rule in [Rule::FromWindowFloor, Rule::StalePosition, Rule::MoveBound] {
        let (wrong, _) = play_with(20_000, 1, &[View::Latest], Some(rule), true);
        assert!(wrong.is_some(), "nothing goes wrong without {rule:?}");
    }
}

#[test]
fn leaving_any_rule_out_goes_wrong() {
    for rule in [
        Rule::StaleFirstBound,
        Rule::StalePosition,
        Rule::MoveBound,
        Rule::ElideBound,
        Rule::ElideReborn,
        Rule::ElideAboveFloor,
        Rule::TombstoneLast,
        Rule::HistoryAtSuccessor,
        Rule::SkipWithinBound,
        Rule::StartOfWindow,
    ] {
        let (wrong, _) = play(20_000, 1, &[View::Latest], Some(rule));
        println!("{rule:?}: {wrong:?}");
        assert!(wrong.is_some(), "nothing goes wrong without {rule:?}");
    }
    let (wrong, _) = play(20_000, 1, &[View::Latest, View::Every], Some(Rule::ViewBeginsWindow));
    assert!(wrong.is_some(), "nothing goes wrong if a window goes on with another view");
}

#[test]
fn the_rules_agree_with_the_literal_model() {
    let (mut pages, mut stale) = (0, 0);
    for round in 0..rounds() {
        let mut random = Random::new(seed() ^ 0xface, round);
        let mut store = Store::new(None);
        for number in 0..random.pick(&[5, 40, 120]) {
            if step(&mut store, &mut random, number, false) {
                continue;
            }
            // Any window at all, whether or not a read can get there.
            let mut keys = [(); 3].map(|()| random.below(store.visible + 1));
            keys.sort_unstable();
            let [mut start, mut position, bound] = keys;
            if random.percent(30) {
                start = 0;
            }
            if random.percent(30) {
                position = bound;
            }
            let first = if random.percent(50) { bound } else { random.below(bound + 1) };
            let limit = random.pick(&[1, 2, 5, 50]);
            let ours = page(&store, window(start, position, bound, first), View::Latest, limit);
            let literal = literal_page(&store, (start, position, bound, first), limit);
            assert_eq!(ours, literal, "round {round}, step {number}, from {:?}", (start, position, bound, first));
            pages += u64::from(ours.is_ok());
            stale += u64::from(ours.is_err());
        }
    }
    assert!(pages > rounds() && stale > rounds() / 10, "{pages} pages, {stale} stale");
}
