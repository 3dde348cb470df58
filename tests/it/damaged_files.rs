//! What is damaged is named, and never taken for an empty store. Flips and missing pieces of all kinds are tried in
//! tests/faults.

use std::path::PathBuf;

use tidelog::{Engine, Error, verify};

use crate::support::{put, small, store};

/// A closed store, sealed or not.
fn closed(sealed: bool) -> (tempfile::TempDir, PathBuf) {
    let (dir, engine) = store(small());
    for n in 0..40 {
        put(&engine, "d", &format!("e{}", n % 9), &format!("the payload of {n}").repeat(4));
    }
    if sealed {
        engine.seal().expect("a seal");
    }
    engine.close().expect("a clean close");
    let path = dir.path().join("store");
    (dir, path)
}

#[test]
fn the_error_names_the_file() {
    let (_dir, path) = closed(false);
    std::fs::write(path.join("ledger"), vec![0xa5; 8192]).expect("a file");
    match Engine::open(&path, small()).map(|_| ()) {
        Err(Error::Damaged { file, what, .. }) => {
            assert!(file.ends_with("ledger"), "{}", file.display());
            assert!(!what.is_empty());
        }
        other => panic!("expected damage, got {other:?}"),
    }
    let kept = std::fs::read(path.join("ledger")).expect("a file");
    assert_eq!(kept, vec![0xa5; 8192], "a refused opening changed the file");
}

#[test]
fn a_store_whose_database_is_gone_is_not_an_empty_store() {
    let (_dir, path) = closed(true);
    std::fs::remove_dir_all(path.join("db")).expect("damage");
    let refused = Engine::open(&path, small()).map(|_| ());
    assert!(matches!(&refused, Err(Error::Damaged { .. })), "{refused:?}");
    let report = verify(&path, &small(), &mut |_, _| {});
    assert!(report.is_err() || report.is_ok_and(|report| !report.findings.is_empty()));
}
