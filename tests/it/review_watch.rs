//! Whatever a waker does.

use std::pin::Pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use tidelog::{SyncKey, Watch};

use crate::support::{PATIENCE, put, small, store};

/// Drops the future that it wakes, as an executor does that is gone.
struct Dropping(Mutex<Option<Pin<Box<Watch>>>>);

impl Wake for Dropping {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().expect("no panic under the lock").take());
    }
}

#[test]
fn a_waker_may_drop_the_watcher() {
    let (_dir, engine) = store(small());
    let mut watch = Box::pin(engine.watch(&[(b"d", SyncKey::ZERO)]).expect("a watcher"));
    let dropping = Arc::new(Dropping(Mutex::default()));
    let waker = Waker::from(dropping.clone());
    assert!(watch.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    *dropping.0.lock().expect("no panic under the lock") = Some(watch);
    let (sender, receiver) = channel();
    let committing = std::thread::spawn(move || {
        put(&engine, "d", "e", "x");
        sender.send(engine.metrics().watchers)
    });
    assert_eq!(receiver.recv_timeout(PATIENCE / 4).expect("the commit goes through"), 0);
    // It closes the store, which must not happen while the process ends.
    committing.join().expect("no panic").expect("it is listened to");
}
