//! A timeline: the newest posts first, older ones by links, and what was missed by `since_id` and `min_id`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidelog::client::{Client, Timeline};
use tidelog::{Entry, Keep, Retention, SyncKey};

use crate::support::{Dataset, Ledger, Network, Rng, Server, Writer, assert_same, client, once, seed, wait_until};

const HOME: &str = "timeline/home";
const WRITERS: usize = 4;
const READERS: usize = 4;
const POSTS: u64 = 80;

fn keys(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.key.get()).collect()
}

/// All of it, from the newest to the oldest, along the links.
fn scroll(client: &Client, limit: usize) -> Vec<Entry> {
    let (mut entries, mut next) = (Vec::new(), Some(Timeline::newest().limit(limit)));
    while let Some(timeline) = next {
        let page = client.timeline(HOME, &timeline).expect("a page");
        assert!(page.entries.len() <= limit);
        entries.extend(page.entries);
        next = page.older;
    }
    entries
}

fn post(writer: &mut Writer<'_>, post: u64) {
    writer.put(HOME, format!("post-{post}"), format!("{{\"text\":\"post {post}\"}}")).commit();
}

#[test]
fn in_both_directions_from_an_id() {
    let mut server = Server::start();
    let (near, ledger) = (once(server.url()), Ledger::default());
    let mut writer = Writer::new(near.clone(), &ledger, "writer");
    (1..=100).for_each(|at| post(&mut writer, at));
    let page = |timeline: Timeline| near.timeline(HOME, &timeline.limit(5)).expect("a page");
    let of = |timeline: Timeline| keys(&page(timeline).entries);
    let key = SyncKey::new;
    assert_eq!(of(Timeline::newest()), [100, 99, 98, 97, 96]);
    assert_eq!(of(Timeline::newest().max_id(key(96))), [95, 94, 93, 92, 91], "the newest below");
    assert_eq!(of(Timeline::newest().since_id(key(50))), [100, 99, 98, 97, 96], "the newest above");
    assert_eq!(of(Timeline::newest().min_id(key(50))), [55, 54, 53, 52, 51], "the ones next above");
    assert_eq!(of(Timeline::newest().since_id(key(97))), [100, 99, 98], "no more than those");
    assert_eq!(of(Timeline::newest().min_id(key(100))), [0_u64; 0]);
    assert_eq!(of(Timeline::newest().since_id(key(100))), [0_u64; 0]);
    assert_eq!(of(Timeline::newest().since_id(key(50)).max_id(key(53))), [52, 51], "between two");

    // Links lead on from a page without a hole, in both directions.
    let newest = page(Timeline::newest());
    let older = near.timeline(HOME, &newest.older.expect("older ones")).expect("a page");
    assert_eq!(keys(&older.entries), [95, 94, 93, 92, 91]);
    let newer = near.timeline(HOME, &older.newer.expect("newer ones")).expect("a page");
    assert_eq!(keys(&newer.entries), [100, 99, 98, 97, 96]);
    assert_eq!(keys(&scroll(&near, 7)), (1..=100).rev().collect::<Vec<_>>());
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
}

#[test]
fn readers_miss_nothing_in_a_storm_and_a_kill() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    let (ledger, written) = (Ledger::default(), AtomicBool::new(false));
    Writer::new(once(server.url()), &ledger, "first").put(HOME, "first", "true").commit();
    // A plain log, as a timeline is; nothing of it goes in this time.
    let retention = Retention { keep: Keep::Window, ..Retention::default() };
    once(server.url()).set_retention(HOME, &retention).expect("a retention");
    network.lose_percent(4);
    let copies = std::thread::scope(|scope| {
        let (ledger, written, url) = (&ledger, &written, network.url());
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(url, writer, ledger))).collect();
        let readers: Vec<_> = (0..READERS).map(|reader| scope.spawn(move || follow(url, reader, written))).collect();
        wait_until("half of the posts", || ledger.len() as u64 > WRITERS as u64 * POSTS / 2);
        server.kill();
        server.restart();
        network.lead_to(&server);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        written.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect::<Vec<_>>()
    });
    println!("{} lost answers", network.lost_answers());
    assert!(network.lost_answers() > 0);
    // One that scrolls all the way down.
    let scrolled = scroll(&once(server.url()), 33);
    let wanted = ledger.keys(HOME);
    assert_eq!(scrolled.iter().rev().map(|entry| entry.key).collect::<Vec<_>>(), wanted);
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
    for read in copies {
        assert_eq!(read.keys().copied().collect::<Vec<_>>(), wanted, "every post, once");
        assert_same("a reader's timeline", &posts(&read), &exported[HOME.as_bytes()]);
    }
    assert_same(
        "the scrolled timeline",
        &posts(&scrolled.into_iter().map(|entry| (entry.key, entry)).collect()),
        &exported[HOME.as_bytes()],
    );
}

fn posts(entries: &BTreeMap<SyncKey, Entry>) -> Dataset {
    entries
        .values()
        .map(|entry| (entry.entity.clone(), entry.payload.clone().expect("a post")))
        .collect::<BTreeMap<Bytes, Bytes>>()
}

fn write(url: &str, writer: usize, ledger: &Ledger) {
    let name = format!("writer-{writer}");
    let mut rng = Rng::new(seed() * 12_000 + writer as u64);
    let mut writer = Writer::new(client(url, &name), ledger, &name);
    for at in 0..POSTS {
        writer.put(HOME, format!("{name}-{at}"), format!("{{\"text\":{}}}", rng.below(1000)));
        if rng.chance(70) || at + 1 == POSTS {
            writer.commit();
        }
    }
}

/// Looks for what is new: by `min_id` upwards, or by `since_id` from the newest down to what it knows.
fn follow(url: &str, reader: usize, written: &AtomicBool) -> BTreeMap<SyncKey, Entry> {
    let mut rng = Rng::new(seed() * 13_000 + reader as u64);
    let client = client(url, "reader");
    let limit = rng.within(3, 40) as usize;
    let mut known: BTreeMap<SyncKey, Entry> = BTreeMap::new();
    loop {
        let last = written.load(Ordering::Acquire);
        let newest = known.last_key_value().map_or(SyncKey::ZERO, |(key, _)| *key);
        let new = if rng.chance(50) { upwards(&client, newest, limit) } else { downwards(&client, newest, limit) };
        for entry in new {
            assert!(known.insert(entry.key, entry).is_none(), "nothing comes twice");
        }
        if last {
            return known;
        }
        std::thread::sleep(Duration::from_millis(rng.below(40)));
    }
}

/// All above `newest`, the oldest of them first.
fn upwards(client: &Client, mut newest: SyncKey, limit: usize) -> Vec<Entry> {
    let mut new = Vec::new();
    loop {
        let page = client.timeline(HOME, &Timeline::newest().min_id(newest).limit(limit)).expect("a page");
        let Some(first) = page.entries.first() else { return new };
        newest = first.key;
        new.extend(page.entries);
    }
}

/// All above `newest` as of the first page, the newest of them first.
fn downwards(client: &Client, newest: SyncKey, limit: usize) -> Vec<Entry> {
    let (mut new, mut below): (Vec<Entry>, Option<SyncKey>) = (Vec::new(), None);
    loop {
        let mut timeline = Timeline::newest().since_id(newest).limit(limit);
        if let Some(below) = below {
            timeline = timeline.max_id(below);
        }
        let page = client.timeline(HOME, &timeline).expect("a page");
        let Some(oldest) = page.entries.last() else { return new };
        below = Some(oldest.key);
        new.extend(page.entries);
    }
}
