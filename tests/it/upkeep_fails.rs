//! The thread that seals may fail or die: what was acknowledged stays, and nobody waits for ever.

use std::sync::Arc;
use std::sync::mpsc::channel;

use tidelog::{Batch, Engine, Error, Options, Result, verify};

use crate::support::{Hooks, PATIENCE, every_key, put, small, store, value};

fn options(hooks: &Hooks) -> Options {
    small().vfs(Arc::new(hooks.clone())).tail_bytes(1 << 20)
}

/// Payloads of which some fill a segment.
fn large(n: u64) -> String {
    format!("{n} ").repeat(4096)
}

/// What a call is answered, if it ever is.
fn answered<T: Send + 'static>(engine: &Engine, call: impl FnOnce(Engine) -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    let engine = engine.clone();
    std::thread::spawn(move || sender.send(call(engine)));
    receiver.recv_timeout(PATIENCE).expect("a call is answered")
}

/// Appends until that fails, for longer than tails take it.
fn append_until_it_fails(engine: &Engine) -> (u64, Result<()>) {
    answered(engine, |engine| {
        for n in 0..1000 {
            let mut batch = Batch::new();
            batch.put("d", format!("more-{n}"), large(n));
            if let Err(error) = engine.append(batch) {
                return (n, Err(error));
            }
        }
        (1000, Ok(()))
    })
}

/// Opens the store without anything that fails: this many entries are there, and nothing is wrong.
fn check(dir: &tempfile::TempDir, entries: usize) {
    let engine = Engine::open(dir.path().join("store"), small()).expect("it opens");
    assert_eq!(every_key(&engine, "d", tidelog::Cursor::START).len(), entries);
    engine.seal().expect("a seal");
    engine.close().expect("a clean close");
    let report = verify(dir.path().join("store"), &small(), &mut |_, _| {}).expect("verify");
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

/// A store of twenty entries.
fn filled(hooks: &Hooks) -> (tempfile::TempDir, Engine) {
    let (dir, engine) = store(options(hooks));
    for n in 0..20 {
        put(&engine, "d", &format!("e-{n}"), &large(n));
    }
    (dir, engine)
}

#[test]
fn a_log_that_cannot_let_go_of_segments_loses_nothing_and_keeps_no_one_waiting() {
    let hooks = Hooks::default();
    let (dir, engine) = filled(&hooks);
    // Two for the seal; the next one would take the sealed segments off the list.
    hooks.fail_ledger_after(2);
    answered(&engine, |engine| engine.seal()).expect("the tail is sealed, whatever becomes of the log");
    assert_eq!(engine.metrics().seals, 1);
    let (more, error) = append_until_it_fails(&engine);
    // It goes on until it needs a new segment, or a seal that would have to be noted.
    let typed = matches!(error, Err(Error::SealFailed { .. } | Error::Poisoned { .. } | Error::OutcomeUnknown { .. }));
    assert!(typed, "after {more}: {error:?}");
    assert_eq!(value(&engine, "d", "e-7").expect("reads go on"), large(7));
    let closed = engine.close();
    assert!(closed.is_err(), "the ledger cannot say that it was closed");
    drop(engine);
    check(&dir, 20 + more as usize);
}

#[test]
fn a_maintenance_thread_that_panics_leaves_no_one_waiting() {
    let hooks = Hooks::default();
    let (dir, engine) = filled(&hooks);
    hooks.panic_in_flush();
    for call in 0..3 {
        let sealed = answered(&engine, |engine| engine.seal());
        assert!(matches!(sealed, Err(Error::Closed | Error::Poisoned { .. })), "call {call}: {sealed:?}");
    }
    let (more, error) = append_until_it_fails(&engine);
    assert!(matches!(error, Err(Error::Poisoned { .. })), "after {more}: {error:?}");
    let compacted = answered(&engine, |engine| engine.compact(None));
    assert!(matches!(compacted, Err(Error::Closed | Error::Poisoned { .. })), "{compacted:?}");
    assert_eq!(value(&engine, "d", "e-7").expect("reads go on"), large(7));
    let closed = answered(&engine, |engine| engine.close());
    assert!(matches!(closed, Err(Error::Poisoned { .. })), "{closed:?}");
    drop(engine);
    check(&dir, 20 + more as usize);
}
