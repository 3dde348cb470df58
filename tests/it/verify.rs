//! `verify` finds nothing wrong with a good store, finds what is planted, and changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidelog::{Engine, Error, Retention, verify};

use crate::support::{delete, entries_cap, put, small, store, temp};

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            found.insert(path, bytes);
        }
    }
    found
}

fn filled(engine: &Engine) {
    for n in 0..200 {
        put(engine, &format!("d{}", n % 3), &format!("e{}", n % 20), &"payload".repeat(10));
        if n % 7 == 0 {
            delete(engine, "d0", &format!("e{}", n % 20));
        }
    }
}

#[test]
fn a_good_store_is_clean_at_every_stage() {
    let retention = Retention { history: entries_cap(20), tombstones: entries_cap(1), ..Retention::unlimited() };
    let (dir, mut engine) = store(small().retention(retention));
    let path = dir.path().join("store");
    for stage in ["in the log", "sealed", "compacted", "with a dataset deleted"] {
        filled(&engine);
        match stage {
            "sealed" => engine.seal().expect("a seal"),
            "compacted" => drop(engine.compact(None).expect("a compaction")),
            "with a dataset deleted" => engine.delete_dataset("d1").expect("a deletion"),
            _ => {}
        }
        engine.close().expect("a clean close");
        drop(engine);
        let (mut told, mut calls) = ((0, 0), 0);
        let report =
            verify(&path, &small(), &mut |done, all| (told, calls) = ((done, all), calls + 1)).expect("verify");
        assert!(report.findings.is_empty(), "{stage}: {:#?}", report.findings);
        assert!(report.entries > 0 && report.datasets > 0 && report.bytes > 0, "{stage}: it looked at {report:?}");
        assert!(stage == "in the log" || report.chunks > 0, "{stage}: it looked at {report:?}");
        assert!(calls > 0 && told.0 <= told.1, "{stage}: progress {told:?} after {calls} calls");
        engine = Engine::open(&path, small().retention(retention)).expect("it opens again");
    }
}

#[test]
fn it_changes_nothing() {
    let (dir, engine) = store(small());
    filled(&engine);
    engine.seal().expect("a seal");
    filled(&engine);
    engine.close().expect("a clean close");
    drop(engine);
    let path = dir.path().join("store");
    let before = contents(&path);
    verify(&path, &small(), &mut |_, _| {}).expect("verify");
    assert!(contents(&path) == before, "verify wrote to the store");
}

#[test]
fn planted_damage_is_found_in_tables_and_in_the_log() {
    let (dir, engine) = store(small());
    filled(&engine);
    engine.seal().expect("a seal");
    filled(&engine);
    engine.close().expect("a clean close");
    drop(engine);
    let path = dir.path().join("store");
    let good = contents(&path);
    let large = |name: &str| {
        let files = good.iter().filter(|(file, _)| file.to_string_lossy().ends_with(name));
        files.max_by_key(|(_, bytes)| bytes.iter().filter(|byte| **byte != 0).count()).map(|(file, _)| file.clone())
    };
    for file in [large(".sst"), large(".log")].into_iter().map(|file| file.expect("a file of this kind")) {
        let scratch = temp();
        let copy = scratch.path().join("copy");
        for (name, bytes) in &good {
            let dest = copy.join(name.strip_prefix(&path).expect("a file of the store"));
            std::fs::create_dir_all(dest.parent().expect("a directory")).expect("a directory");
            std::fs::write(dest, bytes).expect("a file");
        }
        let dest = copy.join(file.strip_prefix(&path).expect("a file of the store"));
        let mut bytes = good[&file].clone();
        let used = bytes.iter().rposition(|byte| *byte != 0).expect("something in it");
        bytes[used / 3] ^= 0x40;
        std::fs::write(&dest, bytes).expect("a file");
        let what = file.display();
        match verify(&copy, &small(), &mut |_, _| {}) {
            Ok(report) => assert!(!report.findings.is_empty(), "nothing found in {what}"),
            Err(error) => assert!(matches!(error, Error::Damaged { .. } | Error::Store { .. }), "{what}: {error:?}"),
        }
    }
}

#[test]
fn where_there_is_no_store_it_says_so() {
    let dir = temp();
    let result = verify(dir.path().join("nothing"), &small(), &mut |_, _| {});
    assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
    assert!(!dir.path().join("nothing").exists());
}
