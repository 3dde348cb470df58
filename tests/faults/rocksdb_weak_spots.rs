//! Where RocksDB by itself opens a damaged store empty or older, and deletes the rest: each is refused by name, before
//! RocksDB opens anything for writing.

use std::path::PathBuf;

use crate::support::{Change, Damage, End, Noticed, Outcome, Sample, Suite, memory_dir, suffer};

/// How it must be noticed at the latest, and the damage.
fn spots(sample: &Sample) -> Vec<(String, Noticed, Damage)> {
    let mut spots = Vec::new();
    for (path, bytes) in sample.files.iter().filter(|(path, _)| path.starts_with("db")) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let mut add =
            |what: &str, latest, change| spots.push((format!("{name} {what}"), latest, vec![(path.clone(), change)]));
        let cut = |by: usize| Change::Content(bytes[..bytes.len() - by].to_vec());
        let flipped = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            Change::Content(bytes)
        };
        if name.starts_with("MANIFEST") {
            add("cut by 20 bytes", Noticed::Open, cut(20));
            add("gone", Noticed::Open, Change::Gone);
            add("empty", Noticed::Open, Change::Content(Vec::new()));
            add("flipped", Noticed::Open, flipped(bytes.len() / 2));
        } else if name == "CURRENT" {
            add("gone", Noticed::Open, Change::Gone);
            add("empty", Noticed::Open, Change::Content(Vec::new()));
        } else if name.ends_with(".sst") || name.ends_with(".blob") {
            add("gone", Noticed::Open, Change::Gone);
            add("cut by a byte", Noticed::Open, cut(1));
            add("empty", Noticed::Open, Change::Content(Vec::new()));
            // In a block or a record, not in what is beside them.
            add("flipped", Noticed::Read, flipped(if name.ends_with(".sst") { 8 } else { 70 }));
        }
    }
    spots
}

#[test]
fn what_rocksdb_would_open_as_an_older_store_is_refused_by_name() {
    let mut suite = Suite::begin("RocksDB's weak spots", "14");
    for sample in [Sample::make(End::Closed), Sample::make(End::Killed)] {
        let scratch = memory_dir();
        for (what, latest, damage) in spots(&sample) {
            let file: &PathBuf = &damage[0].0;
            let outcome = suffer(&sample, &damage, &scratch.path().join("copy"));
            let Outcome { noticed, file_named, .. } = outcome.unwrap_or_else(|why| panic!("{what}: {why}"));
            assert!(noticed <= latest, "{what}: {noticed:?}");
            // Of blob files RocksDB tells the number and their bytes only, and a missing end of the MANIFEST is told by
            // what the store lacks.
            let told = file.extension().is_some_and(|ending| ending == "blob") || what.contains("cut by 20");
            assert!(file_named || told, "{what}: {} is not named", file.display());
            suite.ran(1);
            suite.fired(1);
        }
    }
    suite.finish();
}
