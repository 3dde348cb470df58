//! An account of 200 chat sessions: a device that logs in later gets all of them in few answers, and any device goes on
//! from what it acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidelog::client::{Client, Error, GroupPage, GroupSync, Part, PartOf};
use tidelog::{Entries, Limits, Op};

use crate::support::{
    Dataset, Ledger, Network, Rng, Server, State, Writer, all_keys, assert_same, client, once, seed, wait_until,
};

const ACCOUNT: &str = "ann";
const SESSIONS: usize = 200;
/// Devices that write, each its share of the sessions.
const WRITERS: usize = 4;
/// Devices that sync while that goes on.
const READERS: usize = 3;

fn session(at: usize) -> String {
    format!("chat/ann/{at:03}")
}

/// What a device holds.
#[derive(Default)]
struct Device {
    held: State,
    ack: Option<String>,
    answers: usize,
    /// Messages that came, and deletes.
    messages: usize,
    deletes: usize,
}

impl Device {
    /// Asks once and applies the answer; whether there is more.
    fn sync(&mut self, client: &Client, name: &str, limits: Limits, wait: Duration) -> bool {
        let mut sync = GroupSync::of(name).limits(limits).wait(wait);
        if let Some(ack) = &self.ack {
            sync = sync.ack(ack);
        }
        let page = client.group_sync(ACCOUNT, &sync).unwrap_or_else(|e| panic!("{name}: {e}"));
        self.apply(page)
    }

    fn apply(&mut self, page: GroupPage) -> bool {
        self.answers += 1;
        for PartOf { dataset, part, .. } in page.datasets {
            match part {
                Part::Page(page) => self.take(dataset, page.entries),
                Part::Reset(page) => {
                    self.held.remove(&dataset);
                    self.take(dataset, page.entries);
                }
                Part::NotReached => {}
                // A session that nobody has written to yet.
                Part::Failed(problem) => assert_eq!(problem.kind, "dataset_not_found", "{problem}"),
            }
        }
        self.ack = Some(page.ack);
        page.more
    }

    fn take(&mut self, dataset: Bytes, entries: Entries) {
        let held = self.held.entry(dataset).or_default();
        for entry in entries {
            match entry.op {
                Op::Delete => {
                    self.deletes += 1;
                    held.remove(&entry.entity);
                }
                Op::Create | Op::Update => {
                    self.messages += 1;
                    held.insert(entry.entity, entry.payload.expect("a message"));
                }
            }
        }
    }

    /// The sessions that hold something.
    fn sessions(mut self) -> State {
        self.held.retain(|_, messages| !messages.is_empty());
        self.held
    }
}

fn make_account(client: &Client) {
    let sessions: Vec<String> = (0..SESSIONS).map(session).collect();
    client.put_group(ACCOUNT, &sessions).expect("a group");
    assert_eq!(
        client.group(ACCOUNT).expect("the group"),
        sessions.iter().map(|name| Bytes::from(name.clone())).collect::<Vec<_>>()
    );
}

/// Chats in its share of the sessions, in random order.
fn chat(url: &str, device: usize, ledger: &Ledger) {
    let mut rng = Rng::new(seed() * 3000 + device as u64);
    let name = format!("device-{device}");
    let mut writer = Writer::new(client(url, &name), ledger, &name);
    let mut mine: Vec<(usize, u64)> = (device..SESSIONS).step_by(WRITERS).map(|at| (at, 0)).collect();
    for _ in 0..mine.len() * 6 {
        let index = rng.index(mine.len());
        let (at, messages) = &mut mine[index];
        match *messages > 0 && rng.chance(10) {
            true => writer.delete(&session(*at), &format!("m{}", rng.below(*messages))),
            false => {
                *messages += 1;
                writer.put(
                    &session(*at),
                    format!("m{}", *messages - 1),
                    format!("{{\"from\":\"{name}\",\"text\":{}}}", rng.next() >> 12),
                )
            }
        };
        if rng.chance(70) {
            writer.commit();
        }
    }
    // Every session was opened, and nothing waits to be committed.
    for (at, _) in mine {
        writer.put(&session(at), "opened", "true");
    }
    writer.commit();
}

#[test]
fn a_device_that_logs_in_later_gets_everything_at_once() {
    let mut server = Server::start();
    let ledger = Ledger::default();
    make_account(&once(server.url()));
    chat_all(server.url(), &ledger);
    let wanted = ledger.state();
    let live: usize = wanted.values().map(Dataset::len).sum();

    let phone = client(server.url(), "phone");
    let mut device = Device::default();
    while device.sync(&phone, "phone", Limits::entries(500), Duration::ZERO) {}
    println!("{live} messages (and {} deletes) in {} answers", device.deletes, device.answers);
    assert_eq!(device.messages, live, "nothing comes twice");
    let few = (live + device.deletes).div_ceil(500) + 1;
    assert!(device.answers <= few, "{} answers and not {few}", device.answers);
    let more = device.sync(&phone, "phone", Limits::entries(500), Duration::ZERO);
    assert!(!more && device.messages == live, "and then there is nothing");

    // The position is the server's to remember: acknowledged, it outlives the server.
    server.kill();
    server.restart();
    let phone = client(server.url(), "phone");
    device.sync(&phone, "phone", Limits::entries(500), Duration::ZERO);
    assert_eq!(device.messages, live, "what was acknowledged does not come again");
    let exported = server.stop_and_export();
    assert_eq!(exported, wanted);
    same(device.sessions(), &exported);
}

#[test]
fn only_what_was_acknowledged_does_not_come_again() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    let ledger = Ledger::default();
    make_account(&once(server.url()));
    chat_all(server.url(), &ledger);
    let far = once(network.url());
    let (mut device, mut lost) = (Device::default(), 0);
    loop {
        let ack = device.ack.clone();
        let mut sync = GroupSync::of("tablet").limits(Limits::entries(400));
        if let Some(ack) = &ack {
            sync = sync.ack(ack);
        }
        network.lose_an_answer();
        assert!(matches!(far.group_sync(ACCOUNT, &sync), Err(Error::Unavailable { .. })));
        lost += 1;
        // Twice the same, since nothing else was acknowledged meanwhile.
        let (one, other) =
            (far.group_sync(ACCOUNT, &sync).expect("again"), far.group_sync(ACCOUNT, &sync).expect("again"));
        assert_eq!(contents(&one), contents(&other));
        if !device.apply(one) {
            break;
        }
    }
    assert_eq!(network.lost_answers(), lost);
    let exported = server.stop_and_export();
    assert_eq!(device.messages, exported.values().map(Dataset::len).sum::<usize>());
    same(device.sessions(), &exported);
}

#[test]
fn devices_agree_after_a_storm_and_a_kill() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    make_account(&once(server.url()));
    network.lose_percent(3);
    let (ledger, written) = (Ledger::default(), AtomicBool::new(false));
    let devices = std::thread::scope(|scope| {
        let (ledger, written, url) = (&ledger, &written, network.url());
        let writers: Vec<_> = (0..WRITERS).map(|device| scope.spawn(move || chat(url, device, ledger))).collect();
        let readers: Vec<_> = (0..READERS).map(|reader| scope.spawn(move || follow(url, reader, written))).collect();
        wait_until("half of the messages", || ledger.len() > SESSIONS * 3);
        server.kill();
        server.restart();
        network.lead_to(&server);
        for writer in writers {
            writer.join().expect("a writer");
        }
        written.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().expect("a device")).collect::<Vec<_>>()
    });
    println!("{} lost answers, {} repeated commits", network.lost_answers(), ledger.repeated());
    assert!(network.lost_answers() > 0);
    // One that logs in now.
    let mut later = Device::default();
    let near = once(server.url());
    while later.sync(&near, "later", Limits::default(), Duration::ZERO) {}
    for name in (0..SESSIONS).map(session) {
        assert_eq!(all_keys(&near, &name), ledger.keys(&name), "each commit is there once");
    }
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
    for device in devices.into_iter().chain([later]) {
        same(device.sessions(), &exported);
    }
}

/// Syncs until everything was written.
fn follow(url: &str, reader: usize, written: &AtomicBool) -> Device {
    let mut rng = Rng::new(seed() * 4000 + reader as u64);
    let (name, mut device) = (format!("reader-{reader}"), Device::default());
    let client = client(url, &name);
    let limits = Limits::entries(rng.within(20, 300) as usize);
    loop {
        let last = written.load(Ordering::Acquire);
        let wait = if last { Duration::ZERO } else { Duration::from_millis(rng.below(500)) };
        while device.sync(&client, &name, limits, wait) {}
        if last {
            return device;
        }
    }
}

fn chat_all(url: &str, ledger: &Ledger) {
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|device| scope.spawn(move || chat(url, device, ledger))).collect();
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    });
}

/// Datasets and entries of an answer.
fn contents(page: &GroupPage) -> Vec<(Bytes, Entries)> {
    let parts = page.datasets.iter().map(|part| match &part.part {
        Part::Page(page) | Part::Reset(page) => (part.dataset.clone(), page.entries.clone()),
        Part::NotReached | Part::Failed(_) => (part.dataset.clone(), Entries::default()),
    });
    parts.collect()
}

#[track_caller]
fn same(held: State, exported: &State) {
    assert_eq!(held.keys().collect::<Vec<_>>(), exported.keys().collect::<Vec<_>>(), "the sessions");
    for (name, messages) in exported {
        assert_same(&format!("session {name:?}"), &held[name], messages);
    }
}
