//! Compare-style increment: a client without a key compares the tags of what it holds with the server's, fetches only what
//! differs, and drops what is gone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidelog::client::{Client, Refreshed};
use tidelog::{Entry, SyncKey};

use crate::support::{
    Dataset, Ledger, Network, Rng, Server, Writer, all_keys, assert_same, client, once, seed, wait_until,
};

const FILES: &str = "files/ann";
const WRITERS: usize = 4;
const READERS: usize = 4;
const COMMITS: u64 = 80;
const NAMES: u64 = 200;

/// What a client holds: each entity with its tag and payload, and nothing else.
#[derive(Default)]
struct Held(BTreeMap<Bytes, (SyncKey, Bytes)>);

/// What a comparison found.
#[derive(Debug, Default, PartialEq)]
struct Compared {
    fetched: usize,
    dropped: usize,
}

impl Held {
    /// Compares all of it, `limit` tags at a time.
    fn compare(&mut self, client: &Client, limit: usize) -> Compared {
        let mut tags = BTreeMap::new();
        let mut after: Option<Bytes> = None;
        loop {
            let page = client.tags(FILES, after.as_deref(), limit).expect("tags");
            assert!(page.tags.len() <= limit && page.tags.is_sorted_by(|a, b| a.entity < b.entity), "in order of id");
            assert!(page.tags.first().is_none_or(|first| Some(&first.entity) > after.as_ref()), "after the last page");
            after = page.tags.last().map(|tag| tag.entity.clone()).or(after);
            tags.extend(page.tags.into_iter().map(|tag| (tag.entity, tag.key)));
            if !page.more {
                break;
            }
        }
        let before = self.0.len();
        self.0.retain(|entity, _| tags.contains_key(entity));
        let mut compared = Compared { fetched: 0, dropped: before - self.0.len() };
        let differs = |(entity, tag): &(&Bytes, &SyncKey)| self.0.get(*entity).is_none_or(|(held, _)| held != *tag);
        let differing: Vec<Bytes> = tags.iter().filter(differs).map(|(entity, _)| entity.clone()).collect();
        for some in differing.chunks(50) {
            let (entries, _) = client.get_many(FILES, some).expect("entities");
            assert_eq!(entries.len(), some.len());
            for (entity, entry) in some.iter().zip(entries) {
                compared.fetched += 1;
                self.take(entity, entry);
            }
        }
        compared
    }

    fn take(&mut self, entity: &Bytes, entry: Option<Entry>) {
        match entry {
            Some(entry) => {
                assert_eq!(entry.entity, entity);
                self.0.insert(entity.clone(), (entry.key, entry.payload.expect("a payload")));
            }
            // Deleted since its tag was read.
            None => drop(self.0.remove(entity)),
        }
    }

    fn dataset(&self) -> Dataset {
        self.0.iter().map(|(entity, (_, payload))| (entity.clone(), payload.clone())).collect()
    }
}

#[test]
fn only_what_differs_is_fetched() {
    let mut server = Server::start();
    let (near, ledger) = (once(server.url()), Ledger::default());
    let mut writer = Writer::new(near.clone(), &ledger, "writer");
    for file in 0..120 {
        writer.put(FILES, format!("file {file}/\u{fc}"), file.to_string());
    }
    writer.commit();
    let mut held = Held::default();
    assert_eq!(held.compare(&near, 25), Compared { fetched: 120, dropped: 0 });
    assert_eq!(held.compare(&near, 1), Compared::default(), "nothing differs");

    writer
        .put(FILES, "file 3/\u{fc}", "\"changed\"")
        .put(FILES, "new", "\"new\"")
        .delete(FILES, "file 4/\u{fc}")
        .commit();
    writer.delete(FILES, "file 5/\u{fc}").commit();
    writer.put(FILES, "file 5/\u{fc}", "5").commit();
    server.kill();
    server.restart();
    let near = once(server.url());
    // One changed, one new, one that came back with the same content under another tag.
    assert_eq!(held.compare(&near, 50), Compared { fetched: 3, dropped: 1 });

    // One by one the same, by `If-None-Match`.
    let (tag, _) = held.0[&b"new"[..]];
    assert_eq!(near.refresh(FILES, "new", tag).expect("an answer"), Refreshed::Same);
    assert!(matches!(near.refresh(FILES, "new", SyncKey::new(1)), Ok(Refreshed::Changed(stored)) if stored.key == tag));
    assert_eq!(near.refresh(FILES, "file 4/\u{fc}", tag).expect("an answer"), Refreshed::Gone);
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
    assert_same("what the client holds", &held.dataset(), &exported[FILES.as_bytes()]);
}

#[test]
fn clients_agree_after_a_storm_and_a_kill() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    let (ledger, written) = (Ledger::default(), AtomicBool::new(false));
    Writer::new(once(server.url()), &ledger, "first").put(FILES, "first", "true").commit();
    network.lose_percent(3);
    let copies = std::thread::scope(|scope| {
        let (ledger, written, url) = (&ledger, &written, network.url());
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(url, writer, ledger))).collect();
        let readers: Vec<_> = (0..READERS).map(|reader| scope.spawn(move || compare(url, reader, written))).collect();
        wait_until("half of the commits", || ledger.len() as u64 > WRITERS as u64 * COMMITS);
        server.kill();
        server.restart();
        network.lead_to(&server);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        written.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect::<Vec<_>>()
    });
    println!("{} lost answers", network.lost_answers());
    assert!(network.lost_answers() > 0);
    assert_eq!(all_keys(&once(server.url()), FILES), ledger.keys(FILES), "each commit is there once");
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
    for held in copies {
        assert_same("what a client holds", &held, &exported[FILES.as_bytes()]);
    }
}

fn write(url: &str, writer: usize, ledger: &Ledger) {
    let mut rng = Rng::new(seed() * 10_000 + writer as u64);
    let name = format!("writer-{writer}");
    let mut writer = Writer::new(client(url, &name), ledger, &name);
    for at in 0..COMMITS {
        for _ in 0..rng.within(1, 4) {
            let file = format!("{:03}", rng.below(NAMES));
            match rng.chance(35) {
                true => writer.delete(FILES, &file),
                false if rng.chance(20) => {
                    let len = rng.index(2000);
                    writer.put(FILES, &file, rng.bytes(len))
                }
                false => writer.put(FILES, &file, format!("[\"{name}\",{at}]")),
            };
        }
        writer.commit();
    }
}

fn compare(url: &str, reader: usize, written: &AtomicBool) -> Dataset {
    let mut rng = Rng::new(seed() * 11_000 + reader as u64);
    let (client, limit) = (client(url, "reader"), rng.within(5, 100) as usize);
    let mut held = Held::default();
    loop {
        let last = written.load(Ordering::Acquire);
        held.compare(&client, limit);
        if last {
            assert_eq!(held.compare(&client, limit), Compared::default(), "nothing differs any more");
            return held.dataset();
        }
        std::thread::sleep(Duration::from_millis(rng.below(50)));
    }
}
