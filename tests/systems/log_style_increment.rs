//! Log-style increment: a client at key 100 and a log whose head is 1000 are brought together 50 entries at a time, and a
//! client whose key was compacted away begins again.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tidelog::client::{Client, Error, Memory, Replica};
use tidelog::{Cap, Cursor, Limits, Retention, SyncKey, View};

use crate::support::{
    Dataset, Ledger, Network, Rng, Server, Writer, all_keys, assert_same, client, copy, once, seed, wait_until,
};

const NOTES: &str = "notes";
const WRITERS: usize = 4;
const READERS: usize = 6;
const COMMITS: u64 = 120;

/// How far the storm is: before the kill, after it, and after the last write.
const BEFORE: u8 = 0;
const AFTER: u8 = 1;
const WRITTEN: u8 = 2;

/// What a client holds at key 100.
fn hundred(client: &Client) -> Memory {
    let mut replica = Replica::new(client.clone(), NOTES, Memory::new());
    assert_eq!(replica.catch_up().expect("a read").position, SyncKey::new(100));
    replica.into_local()
}

#[test]
fn from_key_100_to_1000_by_fifties() {
    let mut server = Server::start();
    let (near, ledger) = (once(server.url()), Ledger::default());
    let mut writer = Writer::new(near.clone(), &ledger, "writer");
    for note in 1..=100 {
        writer.put(NOTES, format!("note-{note}"), "\"first\"");
    }
    assert_eq!(writer.commit().last, SyncKey::new(100));
    let held = hundred(&near);
    change_to_1000(&mut writer);

    // The whole log: 18 pages of 50.
    let (mut cursor, mut keys) = (Cursor::after(SyncKey::new(100)), Vec::new());
    for page_of in 1..=18_u64 {
        let page = near.changes(NOTES, &cursor, Limits::entries(50).view(View::Every)).expect("a page");
        assert_eq!(
            (page.entries.len(), page.position, page.head),
            (50, SyncKey::new(100 + 50 * page_of), SyncKey::new(1000))
        );
        assert_eq!(page.more, page_of < 18);
        assert_eq!(page.pending.entries, 900 - 50 * page_of);
        keys.extend(page.entries.iter().map(|entry| entry.key.get()));
        cursor = page.next;
    }
    assert_eq!(keys, (101..=1000).collect::<Vec<_>>());

    // What a client needs of it: no more pages than that, and the same end.
    let bare = Memory::of(held.iter().map(|(_, entry)| entry.clone()), Cursor::after(SyncKey::new(100)));
    for held in [held, bare] {
        let mut replica = Replica::new(near.clone(), NOTES, held).limits(Limits::entries(50));
        let progress = replica.catch_up().expect("a read");
        assert!(progress.entries < 900 && progress.position == SyncKey::new(1000), "{progress:?}");
        assert_same("the copy", &copy(replica.local()), &ledger.dataset(NOTES));
    }
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
}

fn change_to_1000(writer: &mut Writer<'_>) {
    let mut rng = Rng::new(seed());
    for key in 101..=1000 {
        let note = format!("note-{}", rng.within(1, 300));
        match rng.chance(30) {
            true => writer.delete(NOTES, &note),
            false => writer.put(NOTES, &note, key.to_string()),
        };
        if rng.chance(20) || key == 1000 {
            assert_eq!(writer.commit().last, SyncKey::new(key));
        }
    }
}

/// Retention that keeps nothing of the past.
fn nothing() -> Retention {
    let none = Cap { entries: Some(0), ..Cap::default() };
    let mut retention = Retention::default();
    (retention.history, retention.tombstones) = (none, none);
    retention
}

#[test]
fn a_key_that_was_compacted_away() {
    let mut server = Server::start();
    let (near, ledger) = (once(server.url()), Ledger::default());
    let mut writer = Writer::new(near.clone(), &ledger, "writer");
    for note in 1..=100 {
        writer.put(NOTES, format!("note-{note}"), "\"first\"");
    }
    writer.commit();
    let held = hundred(&near);
    change_to_1000(&mut writer);
    let retention = near.set_retention(NOTES, &nothing()).expect("a retention").retention;
    assert_eq!(retention, nothing());
    server.kill();
    server.cli(&["compact", NOTES, "--grace", "0s"]);
    server.restart();

    let near = once(server.url());
    let floor = near.stat(NOTES).expect("figures").floor;
    assert!(floor > SyncKey::new(100), "deletes up to key {floor} are gone");
    let since = Cursor::after(SyncKey::new(100));
    match near.changes(NOTES, &since, Limits::entries(50)) {
        Err(Error::Stale(problem)) => {
            assert_eq!((problem.status, problem.kind.as_str()), (410, "stale_trimmed"));
            assert_eq!((problem.key, problem.floor), (Some(SyncKey::new(100)), Some(floor)));
            assert!(problem.retry_after.is_some_and(|after| after <= Duration::from_secs(10)));
        }
        other => panic!("key 100 is too old, and not {other:?}"),
    }
    match near.changes(NOTES, &since, Limits::entries(50).view(View::Every)) {
        Err(Error::Stale(problem)) => assert_eq!(problem.kind, "stale_history_trimmed"),
        other => panic!("the history of key 100 is gone, and not {other:?}"),
    }
    // From zero, in place of what it held.
    let mut replica = Replica::new(near, NOTES, held).limits(Limits::entries(50));
    let progress = replica.catch_up().expect("a new copy");
    assert!(progress.reset);
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
    assert_same("the new copy", &copy(replica.local()), &exported[NOTES.as_bytes()]);
}

#[test]
fn clients_at_any_key_agree_after_a_storm_and_a_kill() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    network.lose_percent(4);
    let (ledger, phase, away) = (Ledger::default(), AtomicU8::new(BEFORE), AtomicUsize::new(0));
    let copies = std::thread::scope(|scope| {
        let (ledger, phase, away, url) = (&ledger, &phase, &away, network.url());
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(url, writer, ledger))).collect();
        let readers: Vec<_> = (0..READERS).map(|reader| scope.spawn(move || read(url, reader, phase, away))).collect();
        wait_until("those who stay away", || away.load(Ordering::Acquire) == READERS / 2);
        wait_until("half of the commits", || ledger.len() as u64 > WRITERS as u64 * COMMITS);
        let before = all_keys(&client(url, "auditor"), NOTES);
        server.kill();
        // All deletes so far are gone: whoever did not see them begins again.
        server.cli(&["retention", "set", NOTES, "--history-entries", "0", "--tombstone-entries", "0"]);
        server.cli(&["compact", "--grace", "0s"]);
        server.cli(&["retention", "set", NOTES, "--history-entries", "none", "--tombstone-entries", "none"]);
        server.restart();
        network.lead_to(&server);
        phase.store(AFTER, Ordering::Release);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        phase.store(WRITTEN, Ordering::Release);
        let keys = ledger.keys(NOTES);
        assert!(before.iter().all(|key| keys.binary_search(key).is_ok()), "what was shown before the kill is there");
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect::<Vec<_>>()
    });
    let resets: usize = copies.iter().map(|(_, resets)| resets).sum();
    println!("{} lost answers, {resets} new copies", network.lost_answers());
    assert!(network.lost_answers() > 0 && resets >= READERS / 2, "those who were away began again");
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
    for (held, _) in &copies {
        assert_same("a client's copy", held, &exported[NOTES.as_bytes()]);
    }
}

fn write(url: &str, writer: usize, ledger: &Ledger) {
    let mut rng = Rng::new(seed() * 8000 + writer as u64);
    let name = format!("writer-{writer}");
    let mut writer = Writer::new(client(url, &name), ledger, &name);
    for at in 0..COMMITS {
        for _ in 0..rng.within(1, 4) {
            let note = format!("note-{}", rng.below(150));
            match rng.chance(30) {
                true => writer.delete(NOTES, &note),
                false => writer.put(NOTES, &note, format!("\"{name} {at}\"")),
            };
        }
        writer.commit();
    }
}

/// Comes now and then, and reads to the end by pages of its own size; every other one, having been there once, stays away
/// until after the kill. Returns what it holds, and how often it began again.
fn read(url: &str, reader: usize, phase: &AtomicU8, away: &AtomicUsize) -> (Dataset, usize) {
    let mut rng = Rng::new(seed() * 9000 + reader as u64);
    let limits = Limits::entries(rng.pick(&[7, 50, 200]));
    let mut replica = Replica::new(client(url, "reader"), NOTES, Memory::new()).limits(limits);
    let mut resets = 0;
    loop {
        let last = phase.load(Ordering::Acquire) == WRITTEN;
        let progress = replica.catch_up().expect("a read");
        resets += usize::from(progress.reset && progress.position > SyncKey::ZERO);
        if last {
            return (copy(replica.local()), resets);
        }
        if reader.is_multiple_of(2) && phase.load(Ordering::Acquire) == BEFORE {
            if replica.local().is_empty() {
                continue;
            }
            away.fetch_add(1, Ordering::Release);
            wait_until("the kill", || phase.load(Ordering::Acquire) > BEFORE);
        }
        std::thread::sleep(Duration::from_millis(rng.below(100 * (1 + reader as u64))));
    }
}
