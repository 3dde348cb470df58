//! What is damaged is named, and never taken for an empty store. Flips and missing pieces of all kinds are tried in
//! tests/faults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidelog::{Engine, Error, verify};

use crate::support::{put, small, store};

/// A closed store, sealed or not.
fn closed(sealed: bool) -> (tempfile::TempDir, PathBuf) {
    closed_after(40, sealed)
}

fn closed_after(puts: usize, sealed: bool) -> (tempfile::TempDir, PathBuf) {
    let (dir, engine) = store(small());
    for n in 0..puts {
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

/// RocksDB's list of what there is in `db`.
fn manifest(db: &Path) -> PathBuf {
    let current = std::fs::read_to_string(db.join("CURRENT")).expect("a file");
    db.join(current.trim())
}

fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").path());
    files.map(|file| (file.clone(), std::fs::read(&file).expect("a file"))).collect()
}

#[test]
fn a_torn_end_of_the_database_is_told_by_verify_and_cut_by_opening() {
    let (_dir, path) = closed(true);
    let file = manifest(&path.join("db"));
    let mut bytes = std::fs::read(&file).expect("a file");
    let sound = bytes.len() as u64;
    bytes.extend([0xdf, 0x4e, 0xd5, 0xbd, 60, 0, 1, 9, 0, 3]);
    bytes.resize(bytes.len() + 57, 0);
    std::fs::write(&file, bytes).expect("damage");
    let report = verify(&path, &small(), &mut |_, _| {}).expect("a report");
    let told: Vec<_> = report.findings.iter().map(|finding| (finding.file.clone(), finding.offset)).collect();
    assert_eq!(told, [(Some(file.clone()), Some(sound))]);
    let engine = Engine::open(&path, small()).expect("it opens");
    assert_eq!(engine.stat("d").expect("it is there").head.get(), 40);
    engine.close().expect("a clean close");
    assert!(verify(&path, &small(), &mut |_, _| {}).expect("a report").findings.is_empty());
}

#[test]
fn a_database_without_a_ledger_is_not_a_new_store() {
    // Sealed once, so that the file that it began with is there; and sealed and merged.
    for puts in [3, 40] {
        let (_dir, path) = closed_after(puts, true);
        std::fs::remove_file(path.join("ledger")).expect("damage");
        std::fs::remove_dir_all(path.join("log")).expect("damage");
        refuses_every_end_of_its_manifest(&path);
    }
}

fn refuses_every_end_of_its_manifest(path: &Path) {
    let db = path.join("db");
    let file = manifest(&db);
    let sound = std::fs::read(&file).expect("a file");
    // Each record is a checksum, a length, a type and so many bytes: an end between two of them cannot be seen.
    let length = |at: usize| sound.get(at + 4..at + 6).map(|len| usize::from(u16::from_le_bytes([len[0], len[1]])));
    let ends =
        std::iter::successors(Some(0), |at| Some(at + 7 + length(*at)?)).filter(|at| (1..=sound.len()).contains(at));
    for at in (8..=sound.len()).step_by(50).chain(ends) {
        for filled in [true, false] {
            let mut bytes = sound[..at].to_vec();
            bytes.resize(if filled { sound.len() } else { at }, 0);
            std::fs::write(&file, bytes).expect("damage");
            let before = content(&db);
            let refused = Engine::open(path, small()).map(|_| ());
            assert!(matches!(&refused, Err(Error::Damaged { .. })), "an end at {at}, zeros: {filled}: {refused:?}");
            assert!(content(&db) == before, "an end at {at}, zeros: {filled}: a refused opening changed the database");
        }
    }
}
