//! Bad input is a typed error that says what to do; nothing is lost, nothing panics.

use tidelog::{Batch, Cursor, Engine, Error, Limits, Options, Retention, View};

use crate::support::{put, small, store, temp, value};

#[track_caller]
fn invalid<T: std::fmt::Debug>(result: Result<T, Error>) {
    match result {
        Err(Error::Invalid { what }) => assert!(what.len() > 10, "'{what}' does not say what is wrong"),
        other => panic!("expected an invalid call, got {other:?}"),
    }
}

fn single(dataset: Vec<u8>, entity: Vec<u8>, payload: Vec<u8>) -> Batch {
    let mut batch = Batch::new();
    batch.create(dataset, entity, payload);
    batch
}

#[test]
fn names_have_a_least_and_a_greatest_length() {
    let (_dir, engine) = store(small());
    for (dataset, entity) in [(0, 1), (513, 1), (1, 0), (1, 1025), (1 << 20, 1), (1, 1 << 20)] {
        invalid(engine.append(single(vec![b'd'; dataset], vec![b'e'; entity], vec![])));
    }
    assert_eq!(engine.visible().get(), 0, "something was written");
    for (dataset, entity) in [(1, 1), (512, 1024), (1, 1024)] {
        let (dataset, entity) = (vec![0xff; dataset], vec![0; entity]);
        engine.append(single(dataset.clone(), entity.clone(), vec![1])).expect("within the limits");
        engine.seal().expect("a seal");
        assert!(engine.get(&dataset, &entity).expect("a get").is_some());
    }
    let page = engine.datasets("", None, 10).expect("datasets");
    assert_eq!(page.names.len(), 2);
}

#[test]
fn origins_and_ids_have_them_too() {
    let (_dir, engine) = store(small());
    for length in [0, 256, 1 << 20] {
        let mut batch = single(b"d".to_vec(), b"e".to_vec(), vec![]);
        batch.origin(vec![b'o'; length]);
        invalid(engine.append(batch));
        let mut batch = single(b"d".to_vec(), b"e".to_vec(), vec![]);
        batch.idempotency_id(vec![b'i'; length]);
        invalid(engine.append(batch));
    }
    let mut batch = single(b"d".to_vec(), b"e".to_vec(), vec![]);
    batch.origin(vec![0xff; 255]).idempotency_id(vec![0xff; 255]);
    engine.append(batch).expect("within the limits");
}

#[test]
fn an_empty_batch_is_refused() {
    let (_dir, engine) = store(small());
    invalid(engine.append(Batch::new()));
    invalid(engine.submit(Batch::new(), tidelog::Durability::Synced).and_then(tidelog::Receipt::wait));
    let mut batch = Batch::new();
    batch.idempotency_id("id").origin("phone");
    invalid(engine.append(batch));
}

#[test]
fn a_payload_has_a_greatest_length() {
    let (_dir, engine) = store(small().max_payload(1000));
    engine.append(single(b"d".to_vec(), b"e".to_vec(), vec![7; 1000])).expect("within the limit");
    invalid(engine.append(single(b"d".to_vec(), b"e".to_vec(), vec![7; 1001])));
    let mut batch = single(b"d".to_vec(), b"small".to_vec(), vec![]);
    batch.create("d", "large", vec![7; 1001]);
    invalid(engine.append(batch));
    assert_eq!(engine.get("d", "small").expect("a get"), None, "half a batch was written");
}

#[test]
fn a_commit_has_a_greatest_size() {
    let (_dir, engine) = store(small());
    let mut batch = Batch::new();
    for n in 0..20 {
        batch.create("d", format!("e{n}"), vec![7; 100_000]);
    }
    invalid(engine.append(batch));
    assert!(matches!(engine.stat("d"), Err(Error::DatasetNotFound { .. })));
    put(&engine, "d", "e", "the store goes on");
}

#[test]
fn reads_of_what_does_not_exist_say_so() {
    let (_dir, engine) = store(small());
    let missing = |error: Error| {
        assert!(matches!(&error, Error::DatasetNotFound { dataset } if dataset == b"nobody"), "{error:?}")
    };
    missing(engine.changes("nobody", &Cursor::START, Limits::default()).unwrap_err());
    missing(engine.get("nobody", "e").unwrap_err());
    missing(engine.get_many("nobody", &[b"e"]).unwrap_err());
    missing(engine.history("nobody", "e", 1).unwrap_err());
    missing(engine.entities("nobody", None, 1).unwrap_err());
    missing(engine.recent("nobody", None, Limits::default()).unwrap_err());
    missing(engine.stat("nobody").unwrap_err());
    missing(engine.retention("nobody").unwrap_err());
    missing(engine.delete_dataset("nobody").unwrap_err());
    missing(engine.compact(Some(b"nobody")).unwrap_err());
    missing(engine.consumer_fetch("c", "nobody", Limits::default()).unwrap_err());
    put(&engine, "d", "e", "x");
    assert_eq!(engine.get("d", "nobody").expect("a get"), None);
    assert_eq!(engine.history("d", "nobody", 9).expect("history"), []);
    assert_eq!(engine.get_many("d", &[]).expect("get_many").0, []);
    let removed = engine.consumer_remove("nobody", "d");
    assert!(matches!(removed, Err(Error::NotFound { .. })), "{removed:?}");
}

#[test]
fn names_in_reads_are_checked_too() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "e", "x");
    invalid(engine.set_retention("", Retention::default()));
    invalid(engine.set_retention([b'd'; 513], Retention::default()));
    let too_long = [b'e'; 1025];
    for entity in [&b""[..], &too_long] {
        match engine.get("d", entity) {
            Ok(got) => assert_eq!(got, None),
            Err(error) => invalid::<()>(Err(error)),
        }
    }
    invalid(engine.consumer_ack("", "d", 1.into()));
    invalid(engine.consumer_ack(&"c".repeat(256), "d", 1.into()));
}

#[test]
fn foolish_options_are_refused() {
    let dir = temp();
    for options in [
        Options::default().memory(1 << 20),
        Options::default().max_payload(0),
        Options::default().max_payload(1 << 30),
        Options::default().chunk_bytes(0),
        Options::default().chunk_bytes(1 << 30),
    ] {
        invalid(Engine::open(dir.path().join("store"), options).map(|_| ()));
    }
    assert!(!dir.path().join("store").exists(), "a refused opening left something behind");
}

#[test]
fn a_store_is_created_only_where_it_may_be() {
    let dir = temp();
    let missing = Engine::open(dir.path().join("store"), small().create_if_missing(false)).map(|_| ());
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    assert!(!dir.path().join("store").exists());

    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).expect("a directory");
    std::fs::write(foreign.join("letter.txt"), "dear all").expect("a file");
    let refused = Engine::open(&foreign, small()).map(|_| ());
    assert!(refused.is_err(), "a directory with other files became a store");
    assert_eq!(std::fs::read_dir(&foreign).expect("a directory").count(), 1, "something was left behind");

    let file = foreign.join("letter.txt");
    let refused = Engine::open(&file, small()).map(|_| ());
    assert!(refused.is_err(), "a file became a store");
    assert_eq!(std::fs::read(&file).expect("the file"), b"dear all");
}

#[test]
fn limits_at_their_ends_do_not_panic() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "e", "x");
    for limits in [Limits::entries(usize::MAX).bytes(usize::MAX).scan(usize::MAX), Limits::entries(0).bytes(0).scan(0)]
    {
        for view in [View::Latest, View::Every] {
            let page = engine.changes("d", &Cursor::START, limits.view(view)).expect("a page");
            assert_eq!(page.entries.len(), 1);
        }
    }
    assert_eq!(engine.history("d", "e", usize::MAX).expect("history").len(), 1);
    assert_eq!(engine.entities("d", None, usize::MAX).expect("entities").len(), 1);
    assert_eq!(engine.datasets("", None, usize::MAX).expect("datasets").names.len(), 1);
    assert_eq!(engine.recent("d", Some(u64::MAX.into()), Limits::default()).expect("recent").len(), 1);
    assert_eq!(engine.recent("d", Some(0.into()), Limits::default()).expect("recent").len(), 0);
    assert_eq!(value(&engine, "d", "e").expect("it is there"), "x");
}
