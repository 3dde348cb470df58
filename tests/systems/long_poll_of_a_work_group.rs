//! A work group edits one project: every member long-polls, and an update by one reaches the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidelog::client::{Client, Error, Memory, Replica};
use tidelog::{Batch, Cursor, Limits};

use crate::support::{
    Dataset, HANG, Ledger, Network, Rng, Server, Writer, all_keys, assert_same, client, copy, once, seed, wait_until,
};

const PROJECT: &str = "team/roadmap";
const MEMBERS: usize = 6;
/// Commits of each member.
const COMMITS: u64 = 60;
/// Tasks that the members edit; all edit all of them.
const TASKS: u64 = 40;

#[test]
fn an_update_by_one_reaches_the_others() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    let ledger = Ledger::default();
    let members: Vec<Client> = (0..MEMBERS).map(|member| client(network.url(), &format!("member-{member}"))).collect();
    Writer::new(members[0].clone(), &ledger, "first").put(PROJECT, "plan", r#"{"by":0}"#).commit();

    // All but the first wait; what the first commits then ends every wait.
    std::thread::scope(|scope| {
        let waiting = members[1..].iter().map(|member| {
            let mut replica = Replica::new(member.clone(), PROJECT, Memory::new());
            assert_eq!(replica.catch_up().expect("a first read").entries, 1);
            scope.spawn(move || {
                let began = Instant::now();
                let progress = replica.follow(HANG).expect("a long-poll");
                assert!(began.elapsed() < HANG, "the update ended the wait");
                (progress.entries, copy(replica.local()))
            })
        });
        let waiting: Vec<_> = waiting.collect();
        // Most of them wait by then; one that comes later is answered at once.
        std::thread::sleep(Duration::from_millis(200));
        Writer::new(members[0].clone(), &ledger, "update").put(PROJECT, "plan", r#"{"by":"an update"}"#).commit();
        for waited in waiting {
            let (entries, held) = waited.join().expect("a member");
            assert_eq!(entries, 1);
            assert_same("a member's copy", &held, &ledger.dataset(PROJECT));
        }
    });
    server.stop();
}

#[test]
fn a_lost_answer_comes_again() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    let (near, far) = (once(server.url()), once(network.url()));
    let mut batch = Batch::new();
    batch.create(PROJECT, "a", "1").create(PROJECT, "b", "2").idempotency_id("upload-1");
    network.lose_an_answer();
    assert!(matches!(far.commit(&batch), Err(Error::Unavailable { .. })), "the answer was lost");
    let done = near.changes(PROJECT, &Cursor::START, Limits::default()).expect("a page");
    let done: Vec<_> = done.entries.into_iter().collect();
    assert_eq!(done.len(), 2, "but the commit was done");
    let again = far.commit(&batch).expect("the same commit");
    assert!(again.repeated);
    assert_eq!((again.first, again.last), (done[0].key, done[1].key));

    network.lose_an_answer();
    assert!(matches!(far.changes(PROJECT, &Cursor::START, Limits::entries(1)), Err(Error::Unavailable { .. })));
    let first = far.changes(PROJECT, &Cursor::START, Limits::entries(1)).expect("the same page");
    assert_eq!((first.entries.into_iter().collect::<Vec<_>>(), first.more), (done[..1].to_vec(), true));
    network.lose_an_answer();
    assert!(far.changes(PROJECT, &first.next, Limits::entries(1)).is_err());
    let second = far.changes(PROJECT, &first.next, Limits::entries(1)).expect("the same page");
    let entry = second.entries.first().expect("an entry");
    assert_eq!((entry.entity, second.more), (&done[1].entity[..], false));
    assert_eq!(network.lost_answers(), 3);
    server.stop();
}

#[test]
fn members_agree_after_a_storm_and_a_kill() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    network.lose_percent(5);
    let (ledger, written) = (Ledger::default(), AtomicBool::new(false));
    let held = std::thread::scope(|scope| {
        let (ledger, written, url) = (&ledger, &written, network.url());
        let writers: Vec<_> = (0..MEMBERS).map(|member| scope.spawn(move || edit(url, member, ledger))).collect();
        let readers: Vec<_> = (0..MEMBERS).map(|member| scope.spawn(move || follow(url, member, written))).collect();
        wait_until("half of the edits", || ledger.len() as u64 > MEMBERS as u64 * COMMITS / 2);
        server.kill();
        server.restart();
        network.lead_to(&server);
        for writer in writers {
            writer.join().expect("a writer");
        }
        written.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect::<Vec<_>>()
    });
    println!("{} lost answers, {} repeated commits", network.lost_answers(), ledger.repeated());
    assert!(network.lost_answers() > 0 && network.lost_requests() > 0);

    let log = once(server.url());
    assert_eq!(all_keys(&log, PROJECT), ledger.keys(PROJECT), "each commit is there once");
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
    for (member, held) in held.iter().enumerate() {
        assert_same(&format!("the copy of member {member}"), held, &exported[PROJECT.as_bytes()]);
    }
}

/// Edits tasks at random; one commit in four is of several.
fn edit(url: &str, member: usize, ledger: &Ledger) {
    let mut rng = Rng::new(seed() * 1000 + member as u64);
    let name = format!("writer-{member}");
    let mut writer = Writer::new(client(url, &name), ledger, &name);
    for at in 0..COMMITS {
        for _ in 0..if rng.chance(25) { rng.within(2, 5) } else { 1 } {
            let task = format!("task-{}", rng.below(TASKS));
            match rng.chance(20) {
                true => writer.delete(PROJECT, &task),
                false => writer.put(PROJECT, &task, format!("{{\"by\":{member},\"edit\":{at}}}")),
            };
        }
        writer.commit();
    }
}

/// Long-polls until everything was written; now and then the device is put away and taken up again with what it kept.
fn follow(url: &str, member: usize, written: &AtomicBool) -> Dataset {
    let mut rng = Rng::new(seed() * 2000 + member as u64);
    let limits = Limits::entries(rng.within(1, 50) as usize);
    let mut kept = Memory::new();
    let mut known = false;
    loop {
        let mut replica = Replica::new(client(url, "reader"), PROJECT, kept).limits(limits);
        for _ in 0..rng.within(1, 10) {
            let last = written.load(Ordering::Acquire);
            let progress = replica.follow(Duration::from_millis(if last { 0 } else { 500 })).expect("a long-poll");
            assert!(!(known && progress.reset), "what a client was shown is never taken back");
            known |= progress.entries > 0;
            if last {
                return copy(replica.local());
            }
        }
        kept = replica.into_local();
    }
}
