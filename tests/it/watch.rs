//! A watcher wakes when a head passes its key: register, then check.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tidelog::{Batch, Durability, Engine, Retention, SyncKey, Watch};

use crate::support::{PATIENCE, put, small, store};

fn on(engine: &Engine, dataset: &str, key: SyncKey) -> Watch {
    engine.watch(&[(dataset.as_bytes(), key)]).expect("a watcher")
}

#[test]
fn a_commit_wakes_a_waiting_thread() {
    let (_dir, engine) = store(small());
    let key = put(&engine, "d", "e", "x").last;
    std::thread::scope(|scope| {
        let mut watch = on(&engine, "d", key);
        let waiting = scope.spawn(move || watch.wait(PATIENCE));
        put(&engine, "d", "e", "y");
        assert!(waiting.join().expect("the thread"), "it was not woken");
    });
}

#[test]
fn what_happened_between_looking_and_registering_is_noticed() {
    let (_dir, engine) = store(small());
    let key = put(&engine, "d", "e", "x").last;
    put(&engine, "d", "e", "y");
    assert!(on(&engine, "d", key).wait(Duration::ZERO), "the head has passed the key already");
    let mut late = on(&engine, "d", SyncKey::ZERO);
    assert!(late.wait(PATIENCE));
    assert!(late.wait(PATIENCE), "and stays passed");
}

#[test]
fn without_a_commit_the_time_runs_out() {
    let (_dir, engine) = store(small());
    let key = put(&engine, "d", "e", "x").last;
    let begun = Instant::now();
    assert!(!on(&engine, "d", key).wait(Duration::from_millis(30)));
    assert!(begun.elapsed() >= Duration::from_millis(30));
    assert!(!on(&engine, "d", key).wait(Duration::ZERO));
}

#[test]
fn another_dataset_wakes_nobody() {
    let (_dir, engine) = store(small());
    let key = put(&engine, "d", "e", "x").last;
    let mut watch = on(&engine, "d", key);
    for _ in 0..100 {
        put(&engine, "other", "e", "x");
    }
    assert!(!watch.wait(Duration::from_millis(20)), "another dataset's head is not this one's");
    assert!(engine.visible() > key, "though more is visible");
}

#[test]
fn any_of_several_datasets_wakes() {
    let (_dir, engine) = store(small());
    let keys = ["a", "b", "c"].map(|dataset| put(&engine, dataset, "e", "x").last);
    let list: [(&[u8], SyncKey); 3] = [(b"a", keys[0]), (b"b", keys[1]), (b"c", keys[2])];
    let mut watch = engine.watch(&list).expect("a watcher");
    assert!(!watch.wait(Duration::ZERO));
    put(&engine, "b", "e", "y");
    assert!(watch.wait(PATIENCE));
}

#[test]
fn a_dataset_may_come_into_being_later() {
    let (_dir, engine) = store(small());
    std::thread::scope(|scope| {
        let mut watch = on(&engine, "not yet", SyncKey::ZERO);
        assert!(!watch.wait(Duration::ZERO));
        let waiting = scope.spawn(move || watch.wait(PATIENCE));
        put(&engine, "not yet", "e", "x");
        assert!(waiting.join().expect("the thread"));
    });
}

#[test]
fn a_buffered_commit_wakes_when_it_is_visible() {
    let (_dir, engine) = store(small());
    let mut watch = on(&engine, "d", SyncKey::ZERO);
    let mut batch = Batch::new();
    batch.put("d", "e", "x");
    let commit = engine.append_with(batch, Durability::Buffered).expect("a commit");
    assert!(watch.wait(PATIENCE));
    assert!(engine.visible() >= commit.last, "woken before it was visible");
    assert!(engine.get("d", "e").expect("a get").is_some(), "woken before it could be read");
}

/// A waker that counts and tells.
struct Told(AtomicUsize, parking_lot::Mutex<Sender<()>>);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        let _gone = self.1.lock().send(());
    }
}

#[test]
fn it_is_a_future_for_any_runtime() {
    let (_dir, engine) = store(small());
    let key = put(&engine, "d", "e", "x").last;
    let (sender, receiver) = channel();
    let told = Arc::new(Told(AtomicUsize::new(0), parking_lot::Mutex::new(sender)));
    let waker = Waker::from(told.clone());
    let mut context = Context::from_waker(&waker);
    let mut watch = on(&engine, "d", key);
    assert_eq!(Pin::new(&mut watch).poll(&mut context), Poll::Pending);
    put(&engine, "other", "e", "x");
    assert_eq!(Pin::new(&mut watch).poll(&mut context), Poll::Pending);
    put(&engine, "d", "e", "y");
    receiver.recv_timeout(PATIENCE).expect("the waker is told");
    assert_eq!(Pin::new(&mut watch).poll(&mut context), Poll::Ready(()));
    let mut passed = on(&engine, "d", key);
    assert_eq!(Pin::new(&mut passed).poll(&mut context), Poll::Ready(()), "passed before it was registered");
}

#[test]
fn a_receipt_is_a_future_too() {
    let (_dir, engine) = store(small());
    let (sender, receiver) = channel();
    let told = Arc::new(Told(AtomicUsize::new(0), parking_lot::Mutex::new(sender)));
    let waker = Waker::from(told);
    let mut context = Context::from_waker(&waker);
    let mut batch = Batch::new();
    batch.put("d", "e", "x");
    let mut receipt = engine.submit(batch, Durability::Synced).expect("a receipt");
    let commit = loop {
        match Pin::new(&mut receipt).poll(&mut context) {
            Poll::Ready(commit) => break commit.expect("a commit"),
            Poll::Pending => receiver.recv_timeout(PATIENCE).expect("the waker is told"),
        }
    };
    assert!(engine.visible() >= commit.last);
}

#[test]
fn watchers_are_counted_and_dropped_ones_forgotten() {
    let (_dir, engine) = store(small());
    let watchers: Vec<Watch> = (0..100).map(|n| on(&engine, &format!("d{n}"), SyncKey::ZERO)).collect();
    assert_eq!(engine.metrics().watchers, 100);
    drop(watchers);
    assert_eq!(engine.metrics().watchers, 0);
}

#[test]
fn deleting_a_dataset_wakes_who_watches_it() {
    let (_dir, engine) = store(small());
    let key = put(&engine, "d", "e", "x").last;
    put(&engine, "other", "e", "x");
    let (mut watch, mut other) = (on(&engine, "d", key), on(&engine, "other", engine.visible()));
    engine.delete_dataset("d").expect("a deletion");
    assert!(watch.wait(PATIENCE));
    assert!(!other.wait(Duration::ZERO));
    let mut gone = on(&engine, "d", SyncKey::ZERO);
    assert!(!gone.wait(Duration::ZERO), "there is nothing to read");
    put(&engine, "d", "e", "x");
    assert!(gone.wait(PATIENCE));
}

#[test]
fn a_dataset_deleted_before_it_was_watched_wakes_whoever_held_something_of_it() {
    let (_dir, engine) = store(small());
    put(&engine, "d", "e", "1");
    let head = put(&engine, "other", "e", "1").last;
    let wakes = |datasets: &[(&[u8], SyncKey)]| engine.watch_held(datasets).expect("a watcher").wait(Duration::ZERO);
    let (held, other) = ((&b"d"[..], SyncKey::new(1)), (&b"other"[..], head));
    assert!(!wakes(&[held, other]));
    engine.delete_dataset("d").expect("a deletion");
    assert!(wakes(&[held, other]));
    assert!(!wakes(&[(b"d", SyncKey::ZERO), other]), "who holds nothing of it waits for it to begin");
    assert!(!on(&engine, "d", head).wait(Duration::ZERO), "who holds nothing may wait from any key");
    engine.seal().expect("a seal");
    assert!(wakes(&[held, other]), "also once the deletion is sealed");
}

#[test]
fn a_dataset_made_anew_and_empty_wakes_whoever_held_the_one_before() {
    let (_dir, engine) = store(small());
    let held = put(&engine, "d", "e", "1").last;
    let wakes = |after| engine.watch_held(&[(b"d", after)]).expect("a watcher").wait(Duration::ZERO);
    engine.delete_dataset("d").expect("a deletion");
    engine.set_retention("d", Retention::unlimited()).expect("it is made anew");
    assert!(wakes(held));
    assert!(!wakes(engine.visible()), "who has read the new one waits for it");
    assert!(!wakes(SyncKey::ZERO), "and so does who holds nothing");
    engine.seal().expect("a seal");
    assert!(wakes(held), "also once it is sealed");
}
