//! The contract of what holds the rows: RocksDB and its double answer alike, whatever is asked.

use crate::store::families::Family;
use crate::store::kv::{Double, Kv, Reach, Walk};
use crate::store::open::{Mode, rows};
use crate::store::tuning::Shared;
use crate::testing::sim::{Random, SimDisk};

use super::*;

const FAMILIES: [Family; 2] = [Family::Entities, Family::Meta];

/// One of each, and where each lies.
struct Both {
    root: tempfile::TempDir,
    disk: SimDisk,
    kvs: [Kv; 2],
}

impl Both {
    fn open(root: tempfile::TempDir, disk: SimDisk, dir: &str, create: bool) -> Both {
        let mode = if create { Mode::Create } else { Mode::ReadWrite };
        let place = root.path().join(dir);
        let rocks = rows(&os(), &place, &OPTIONS, &Shared::new(&OPTIONS), mode).unwrap();
        let double = Double::open(Arc::new(disk.clone()), &Path::new("/").join(dir), create).unwrap();
        Both { root, disk, kvs: [rocks, Kv::Double(double)] }
    }

    fn write(&self, random: &mut Random) {
        let mut batches = self.kvs.each_ref().map(|kv| kv.batch(100));
        for _ in 0..random.below(12) {
            let (family, row, other) = (random.pick(&FAMILIES), row(random), row(random));
            let (what, len) = (random.below(10), random.below(50) as usize);
            let value = random.bytes(len);
            for batch in &mut batches {
                match what {
                    0..=5 => batch.put(family, &row, &value),
                    6..=8 => batch.delete(family, &row),
                    _ => batch.delete_range(family, row.clone().min(other.clone()), row.clone().max(other.clone())),
                }
            }
        }
        for (kv, batch) in self.kvs.iter().zip(batches) {
            kv.write(Path::new("db"), batch).unwrap();
        }
    }

    /// The process ends without a flush.
    fn reopen(self, dir: &str) -> Both {
        let Both { root, disk, kvs } = self;
        drop(kvs);
        Both::open(root, disk.crash(7), dir, false)
    }
}

/// Few, so that they meet.
fn row(random: &mut Random) -> Vec<u8> {
    let mut row = vec![0; 8];
    row.resize(9 + random.below(2) as usize, b'a' + random.below(2) as u8);
    row.extend_from_slice(&random.below(4).to_be_bytes());
    row
}

type Row = Option<(Vec<u8>, Vec<u8>)>;

fn here(walk: &Walk<'_>) -> Row {
    walk.item(Path::new("db")).unwrap().map(|(row, value)| (row.to_vec(), value.to_vec()))
}

fn walked(mut walk: Walk<'_>, random: &mut Random) -> Vec<Row> {
    let mut found = Vec::new();
    for _ in 0..8 {
        match random.below(6) {
            0 => walk.seek(&row(random)),
            1 => walk.seek_first(),
            2 => walk.seek_last(),
            // From nowhere there is nowhere to go.
            _ if here(&walk).is_none() => {}
            3 => walk.prev(),
            _ => walk.next(),
        }
        found.push(here(&walk));
    }
    found
}

/// The same questions to both.
fn compare(both: &Both, random: &mut Random) {
    let moments = both.kvs.each_ref().map(Kv::snapshot);
    // What is written now is not seen at those moments.
    both.write(random);
    for _ in 0..4 {
        let (family, from, to) = (random.pick(&FAMILIES), row(random), row(random));
        let what = random.below(2);
        let reach = || match what {
            0 => Reach::All,
            1 if from < to => Reach::Range(from.clone(), to.clone()),
            _ => Reach::All,
        };
        let answers = moments.each_ref().map(|moment| {
            let mut random = random.clone();
            let value = moment.get(Path::new("db"), family, &row(&mut random)).unwrap().map(|value| value.to_vec());
            (value, walked(moment.walk(family, reach()), &mut random))
        });
        assert_eq!(answers[0], answers[1], "{family:?} {what} from {from:?} to {to:?}");
        random.any();
    }
}

#[test]
fn rocksdb_and_its_double_answer_alike() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let mut both = Both::open(tempfile::tempdir().unwrap(), SimDisk::new(), "db", true);
        for kv in &both.kvs {
            kv.flush(&both.root.path().join("db")).unwrap();
        }
        both.disk.sync_dir(Path::new("/")).unwrap();
        for copy in 0..4 {
            for _ in 0..20 {
                both.write(&mut random);
                compare(&both, &mut random);
                if random.chance(20) {
                    both.kvs.iter().for_each(|kv| kv.flush(Path::new("db")).unwrap());
                }
            }
            both = both.reopen("db");
            compare(&both, &mut random);
            let name = format!("copy-{copy}");
            let dests = [both.root.path().join(&name), Path::new("/").join(&name)];
            both.kvs.iter().zip(&dests).for_each(|(kv, dest)| kv.checkpoint(Path::new("db"), dest).unwrap());
            let Both { root, disk, kvs } = both;
            drop(kvs);
            let copied = Both::open(root, disk, &name, false);
            compare(&copied, &mut random);
            let Both { root, disk, kvs } = copied;
            drop(kvs);
            both = Both::open(root, disk, "db", false);
        }
    }
}
