//! Damage in any file is found and named, or provably harmless; it is never returned as data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidelog::{Cursor, Engine, Error, Limits, Op, View, verify};

use crate::support::{Rng, delete, put, small, store, temp};

const FLIPS: u64 = 240;

/// What a reader of the dataset is given: the state, and every entry of its history.
type Told = (BTreeMap<Vec<u8>, Vec<u8>>, Vec<(u64, Vec<u8>, usize)>);

fn told(engine: &Engine) -> Result<Told, Error> {
    let (mut state, mut history) = (BTreeMap::new(), Vec::new());
    for view in [View::Latest, View::Every] {
        let mut cursor = Cursor::START;
        loop {
            let page = engine.changes("d", &cursor, Limits::entries(20).view(view))?;
            for entry in page.entries {
                match (view, entry.op) {
                    (View::Latest, Op::Delete) => drop(state.remove(entry.entity.as_ref())),
                    (View::Latest, _) => {
                        let got = engine.get("d", &entry.entity)?.and_then(|entry| entry.payload);
                        assert_eq!(got, entry.payload, "two reads of one entity differ");
                        state.insert(entry.entity.to_vec(), entry.payload.map_or(vec![], |payload| payload.to_vec()));
                    }
                    _ => history.push((entry.key.get(), entry.entity.to_vec(), entry.payload_len)),
                }
            }
            cursor = page.next;
            if !page.more {
                break;
            }
        }
    }
    Ok((state, history))
}

/// A closed store, sealed or not, and what it tells.
fn closed(sealed: bool) -> (tempfile::TempDir, PathBuf, Told) {
    let (dir, engine) = store(small());
    for n in 0..40 {
        put(&engine, "d", &format!("e{}", n % 9), &format!("the payload of {n}").repeat(4));
    }
    delete(&engine, "d", "e3");
    if sealed {
        engine.seal().expect("a seal");
    }
    let told = told(&engine).expect("a good store");
    engine.close().expect("a clean close");
    drop(engine);
    let path = dir.path().join("store");
    (dir, path, told)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let dest = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &dest);
        } else {
            std::fs::copy(&path, &dest).expect("a copy");
        }
    }
}

fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Damaged { .. } | Error::FormatTooNew { .. } | Error::Store { .. } | Error::Io { .. })
}

/// Opens a damaged copy, reads everything, and says whether the damage was noticed. Damage to the newest frame of the log
/// cannot be told from a write that a crash tore: that one commit, and no other, may be gone (`may_tear`).
fn noticed(path: &Path, want: &Told, may_tear: bool, what: &str) -> bool {
    let engine = match Engine::open(path, small().create_if_missing(false)) {
        Ok(engine) => engine,
        Err(error) => {
            assert!(is_damage(&error), "{what}: {error:?}");
            return true;
        }
    };
    match told(&engine) {
        Err(error) => {
            assert!(is_damage(&error), "{what}: {error:?}");
            true
        }
        Ok(got) => {
            let torn = may_tear && got.1 == want.1[..want.1.len() - 1];
            assert!(torn || got == *want, "{what}: wrong data was returned");
            torn
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let mut rng = Rng::new(12);
    for sealed in [true, false] {
        let (_dir, path, want) = closed(sealed);
        let scratch = temp();
        // Every file gets its share of the flips, however small it is.
        let all: Vec<PathBuf> =
            files(&path).into_iter().filter(|file| file.metadata().is_ok_and(|m| m.len() > 0)).collect();
        let mut caught = 0;
        for n in 0..FLIPS / 2 {
            let file = &all[n as usize % all.len()];
            let mut bytes = std::fs::read(file).expect("a file");
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
            let (at, bit) = (rng.index(used), rng.below(8));
            bytes[at] ^= 1 << bit;
            let dest = scratch.path().join(format!("flip-{n}"));
            copy(&path, &dest);
            let name = file.strip_prefix(&path).expect("a file of the store");
            std::fs::write(dest.join(name), bytes).expect("a file");
            let what = format!("bit {bit} of byte {at} of {}, sealed: {sealed}", name.display());
            let may_tear = !sealed && name.starts_with("log");
            caught += u64::from(noticed(&dest, &want, may_tear, &what));
            std::fs::remove_dir_all(&dest).expect("a scratch directory");
        }
        println!("{caught} of {} flips were noticed, the rest did no harm; sealed: {sealed}", FLIPS / 2);
        assert!(caught > FLIPS / 10, "only {caught} flips were noticed");
    }
}

#[test]
fn a_missing_or_emptied_file_is_noticed_or_harmless() {
    for sealed in [true, false] {
        let (_dir, path, want) = closed(sealed);
        let scratch = temp();
        for (n, file) in files(&path).iter().enumerate() {
            let name = file.strip_prefix(&path).expect("a file of the store");
            for emptied in [true, false] {
                let dest = scratch.path().join(format!("{n}-{emptied}"));
                copy(&path, &dest);
                let target = dest.join(name);
                if emptied { std::fs::write(&target, b"") } else { std::fs::remove_file(&target) }.expect("damage");
                let what = format!("{} emptied: {emptied}, sealed: {sealed}", name.display());
                noticed(&dest, &want, false, &what);
            }
        }
    }
}

#[test]
fn the_error_names_the_file() {
    let (_dir, path, _) = closed(false);
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
    let (_dir, path, _) = closed(true);
    std::fs::remove_dir_all(path.join("db")).expect("damage");
    let refused = Engine::open(&path, small()).map(|_| ());
    assert!(matches!(&refused, Err(error) if is_damage(error)), "{refused:?}");
    let report = verify(&path, &small(), &mut |_, _| {});
    assert!(report.is_err() || report.is_ok_and(|report| !report.findings.is_empty()));
}
