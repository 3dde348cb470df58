//! Every call of the client once, with names and payloads of any bytes, and what becomes of a copy when its dataset goes.

use std::time::Duration;

use bytes::Bytes;
#[cfg(feature = "client-tls")]
use tidelog::client::Client;
use tidelog::client::{Error, GroupSync, Memory, Part, Replica};
use tidelog::{Batch, Cursor, Durability, Expect, Limits, Op, SyncKey};

use crate::support::{Network, Server, assert_same, client, copy, once};

/// A name that is neither text nor plain in a path.
const NAME: &[u8] = b"\xff/..?#%\x01 ";
const NO_WAIT: Duration = Duration::ZERO;

fn kind<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    outcome.expect_err("it fails").problem().expect("the server says why").kind.clone()
}

#[test]
fn names_and_payloads_are_any_bytes() {
    let mut server = Server::start();
    let here = client(server.url(), "phone");
    let payloads = [&b""[..], b"\x00\xff", b"null", b"{\"a\": 1.0}", b" 1 ", b"1\n", b"Buy milk"];
    let mut batch = Batch::new();
    for (at, payload) in payloads.into_iter().enumerate() {
        batch.put(NAME, [NAME, &[at as u8]].concat(), payload);
    }
    batch.origin(NAME);
    let commit = here.commit_with(&batch, Durability::Synced).expect("a commit");
    let page = here.changes(NAME, &Cursor::START, Limits::default()).expect("a page");
    for (at, (entry, payload)) in page.entries.iter().zip(payloads).enumerate() {
        let entity = [NAME, &[at as u8]].concat();
        assert_eq!((entry.entity, entry.payload), (&entity[..], Some(payload)));
        assert_eq!((entry.origin, entry.op, entry.time_ms), (Some(NAME), Op::Create, commit.time_ms));
        let stored = here.get(NAME, &entity).expect("an answer").expect("the entity");
        assert_eq!((stored.key, &stored.payload[..]), (entry.key, payload));
    }
    assert_eq!(page.entries.len(), payloads.len());

    // By PUT too, whose body is the payload.
    for payload in payloads {
        let key = here.put(NAME, NAME, payload).expect("a commit").last;
        let stored = here.get(NAME, NAME).expect("an answer").expect("the entity");
        assert_eq!((stored.key, &stored.payload[..], stored.origin.as_deref()), (key, payload, Some(&b"phone"[..])));
    }
    let history = here.history(NAME, NAME, 3).expect("a history");
    let kept: Vec<_> = history.iter().map(|entry| entry.payload.as_deref().expect("a payload")).collect();
    assert_eq!(kept, payloads[4..]);
    let tags = here.tags(NAME, Some(&[NAME, &[5]].concat()), 10).expect("tags");
    assert_eq!(tags.tags.iter().map(|tag| &tag.entity[..]).collect::<Vec<_>>(), [[NAME, &[6]].concat()]);
    let (entries, next) = here.get_many(NAME, &[NAME, b"not there"]).expect("entities");
    assert_eq!((entries[0].as_ref(), entries[1].as_ref()), (history.last(), None));
    assert!(here.changes(NAME, &next, Limits::default()).expect("a page").entries.is_empty(), "that was all");

    here.put_group(NAME, &[NAME]).expect("a group");
    assert_eq!(here.group(NAME).expect("the group"), [Bytes::from_static(NAME)]);
    let synced = here.group_sync(NAME, &GroupSync::of("phone")).expect("an answer");
    assert_eq!(synced.datasets[0].dataset, NAME);
    assert_eq!(here.fetch("mill", NAME, Limits::default(), NO_WAIT).expect("a page").entries.len(), payloads.len() + 1);
    assert_eq!(here.ack("mill", NAME, commit.last).expect("a position"), commit.last);
    assert!(here.forget_consumer("mill", NAME).expect("an answer"));
    here.delete_if(NAME, NAME, Expect::Present).expect("a commit");
    assert_eq!(kind(here.delete(NAME, NAME)), "not_found");
    let mut replica = Replica::new(here, NAME, Memory::new());
    replica.catch_up().expect("a read");
    let exported = server.stop_and_export();
    assert_eq!(exported[NAME].len(), payloads.len());
    assert_same("the copy", &copy(replica.local()), &exported[NAME]);
}

#[test]
fn datasets_are_listed_kept_and_deleted() {
    let mut server = Server::start();
    let here = once(server.url());
    for name in [&b"a/1"[..], b"a/2", b"a/\xff", b"b"] {
        here.put(name, "e", "1").expect("a commit");
    }
    let list = |prefix: &[u8], after: Option<&[u8]>, limit| {
        let page = here.datasets(prefix, after, limit).expect("names");
        (page.names.iter().map(|name| name.to_vec()).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(list(b"", None, 10), (vec![b"a/1".to_vec(), b"a/2".to_vec(), b"a/\xff".to_vec(), b"b".to_vec()], false));
    assert_eq!(list(b"a/", Some(b"a/1"), 1), (vec![b"a/2".to_vec()], true));
    assert_eq!(list(b"a/\xff", None, 10), (vec![b"a/\xff".to_vec()], false));
    assert_eq!(list(b"", Some(b"a/\xff"), 10), (vec![b"b".to_vec()], false));
    let stat = here.stat("b").expect("figures");
    assert_eq!((stat.entries, stat.head, stat.floor), (1, SyncKey::new(4), SyncKey::ZERO));
    assert!(here.delete_dataset("b").expect("an answer"));
    assert!(!here.delete_dataset("b").expect("an answer"));
    assert_eq!(kind(here.stat("b")), "dataset_not_found");
    assert_eq!(kind(here.put("b", vec![b'x'; 1025], "1")), "invalid");
    assert_eq!(kind(here.put("\0groups", "e", "1")), "invalid");
    server.stop();
}

#[test]
fn consumers_are_listed_to_the_last_page() {
    let mut server = Server::start();
    let here = once(server.url());
    let mut expected = Vec::new();
    for dataset in [b"\xff", b"d"] {
        here.put(dataset, "e", "1").expect("a commit");
        for consumer in ["a", "b&c=d", "\u{e9}"] {
            here.fetch(consumer, dataset, Limits::default(), NO_WAIT).expect("a page");
            expected.push((consumer.to_owned(), dataset.to_vec()));
        }
    }
    expected.sort();
    for limit in [1, 2, 4, 6, 10] {
        let (mut listed, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = here.consumers(after.as_deref(), limit).expect("a page");
            assert!(page.consumers.len() <= limit && !page.consumers.is_empty(), "{page:?}");
            listed.extend(page.consumers.into_iter().map(|consumer| (consumer.name, consumer.dataset)));
            after = page.after;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, expected, "by {limit}");
    }
    assert_eq!(kind(here.consumers(Some("nowhere"), 1)), "invalid");
    server.stop();
}

#[test]
fn many_datasets_come_in_one_answer() {
    let mut server = Server::start();
    let here = once(server.url());
    for name in ["one", "two", "three"] {
        let mut batch = Batch::new();
        for at in 0..5 {
            batch.put(name, at.to_string(), "1");
        }
        here.commit(&batch).expect("a commit");
    }
    let mut cursors = [("one", Cursor::START), ("two", Cursor::START), ("three", Cursor::START)];
    let (mut first, mut entries, mut answers) = (0, 0, 0);
    loop {
        let answer = here.sync(&cursors, first, Limits::entries(4), NO_WAIT).expect("an answer");
        for (part, (name, cursor)) in answer.datasets.into_iter().zip(&mut cursors) {
            assert_eq!(part.dataset, name.as_bytes());
            match part.part {
                Part::Page(page) => {
                    entries += page.entries.len();
                    *cursor = page.next;
                }
                Part::NotReached => {}
                other => panic!("{other:?}"),
            }
        }
        (first, answers) = (answer.first, answers + 1);
        if !answer.more {
            break;
        }
    }
    assert_eq!((entries, answers), (15, 4), "four in each answer, of whatever dataset");

    // One that fails does not touch the others, and a wait ends with any of them.
    let ahead = ("one", Cursor::after(SyncKey::new(1 << 40)));
    let asked = [ahead, ("nowhere", Cursor::START), cursors[1]];
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| here.sync(&cursors[1..], 0, Limits::default(), Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(100));
        here.put("two", "more", "1").expect("a commit");
        let woken = waiting.join().expect("a thread").expect("an answer");
        assert!(matches!(&woken.datasets[0].part, Part::Page(page) if page.entries.len() == 1), "{woken:?}");
    });
    let answer = here.sync(&asked, 0, Limits::default(), NO_WAIT).expect("an answer");
    let kinds = answer.datasets.iter().map(|part| match &part.part {
        Part::Failed(problem) => problem.kind.clone(),
        Part::Page(page) => format!("{} entries", page.entries.len()),
        other => format!("{other:?}"),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["stale_future", "dataset_not_found", "1 entries"]);
    server.stop();
}

#[test]
fn a_copy_of_a_dataset_that_goes_and_comes_again() {
    let mut server = Server::start();
    let here = once(server.url());
    let mut replica = Replica::new(here.clone(), "notes", Memory::new());
    assert_eq!(replica.catch_up().expect("an empty copy").position, SyncKey::ZERO);
    here.put("notes", "a", "1").expect("a commit");
    here.put("notes", "b", "2").expect("a commit");
    let progress = replica.catch_up().expect("a read");
    assert_eq!((progress.entries, progress.reset, replica.local().len()), (2, false, 2));
    assert!(here.delete_dataset("notes").expect("an answer"));
    assert!(replica.catch_up().expect("an empty copy").reset && replica.local().is_empty());

    here.put("notes", "c", "3").expect("a commit");
    replica.catch_up().expect("a read");
    let held = replica.into_local();
    assert!(here.delete_dataset("notes").expect("an answer"));
    here.put("notes", "d", "4").expect("a commit");
    // It was deleted and made again while the device was away.
    let mut replica = Replica::new(here, "notes", held);
    let progress = replica.catch_up().expect("a new copy");
    assert_eq!((progress.entries, progress.reset), (1, true));
    assert!(replica.local().get("d").is_some() && replica.local().get("c").is_none());
    let exported = server.stop_and_export();
    assert_same("the copy", &copy(replica.local()), &exported[&b"notes"[..]]);
}

#[test]
fn what_has_no_id_is_not_done_again_when_its_answer_is_lost() {
    let server = Server::start();
    let network = Network::to(&server, 1);
    let (near, far) = (once(server.url()), client(network.url(), "far"));
    near.put("notes", "a", "1").expect("a commit");
    near.put("letters", "a", "1").expect("a commit");
    near.fetch("mill", "letters", Limits::default(), NO_WAIT).expect("a page");
    network.lose_an_answer();
    assert!(matches!(far.delete_dataset("notes"), Err(Error::Unavailable { .. })));
    assert!(!near.delete_dataset("notes").expect("an answer"), "it was done");
    network.lose_an_answer();
    assert!(matches!(far.forget_consumer("mill", "letters"), Err(Error::Unavailable { .. })));
    assert!(!near.forget_consumer("mill", "letters").expect("an answer"), "it was done");
    // What has one is, and once.
    network.lose_an_answer();
    let commit = far.put("notes", "b", "2").expect("a commit");
    assert_eq!(
        near.history("notes", "b", 9).expect("a history").iter().map(|e| e.key).collect::<Vec<_>>(),
        [commit.last]
    );
    assert_eq!(network.lost_answers(), 3);
}

#[test]
fn a_copy_of_what_is_left_of_a_window() {
    let mut server = Server::start();
    let here = once(server.url());
    (0..20).for_each(|n| _ = here.put("notes", format!("note-{n}"), "1").expect("a commit"));
    server.stop();
    // The oldest went while it was a window; it keeps all that lives since.
    server.cli(&["retention", "set", "notes", "--keep", "window", "--history-entries", "3"]);
    server.cli(&["compact", "--grace", "0s"]);
    server.cli(&["retention", "set", "notes", "--keep", "live"]);
    server.restart();
    let mut replica = Replica::new(once(server.url()), "notes", Memory::new());
    let progress = replica.catch_up().expect("a copy");
    assert_eq!((progress.entries, progress.reset), (3, true));
    let exported = server.stop_and_export();
    assert_same("the copy", &copy(replica.local()), &exported[&b"notes"[..]]);
}

#[cfg(feature = "client-tls")]
#[test]
fn over_tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let (cert, key) = (cert.to_str().expect("a path"), key.to_str().expect("a path"));
    let mut server = Server::start_with(&[], &["--tls-cert", cert, "--tls-key", key]);
    assert!(server.url().starts_with("https://"));
    let build = |roots: Option<&str>| {
        let builder = Client::builder(server.url()).retry_for(NO_WAIT);
        let builder = roots.into_iter().fold(builder, |builder, pem| builder.root_certificate(pem));
        builder.build().expect("a client")
    };
    assert!(build(None).put("notes", "a", "1").is_err(), "nobody vouches for it");
    let trusting = build(Some(&made.cert.pem()));
    let key = trusting.put("notes", "a", "1").expect("a commit").last;
    assert_eq!(trusting.get("notes", "a").expect("an answer").expect("the entity").key, key);
    assert_eq!(kind(Client::builder(server.url()).root_certificate("no certificate").build()), "invalid");
    server.stop();
}
