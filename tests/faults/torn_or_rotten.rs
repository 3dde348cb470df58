//! Goal 9: rot in a frame that a later one proves to have been synced is damage, named by file and offset. In the newest
//! commit it cannot be told from a torn write: that one commit is cut, and its bytes are kept aside.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tidelog::testing::sim::{Random, SimDisk};
use tidelog::{Batch, Engine, Error};

use crate::sim::{Run, guarded, machine, options, over_seeds};
use crate::support::Suite;

/// The frames of the log: file, offset, length. A header of 64 bytes begins with its tag, which is never zero, and says at
/// 4 how long the body is; a frame ends at a multiple of 8.
fn frames(disk: &SimDisk) -> Vec<(PathBuf, u64, u64)> {
    let mut frames = Vec::new();
    let segments = disk.durable().into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "log"));
    for (path, bytes) in segments {
        let mut at = 128;
        while let Some(header) = bytes.get(at..at + 64).filter(|header| header[0] != 0) {
            let body = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
            let len = (64 + u64::from(body)).next_multiple_of(8);
            frames.push((path.clone(), at as u64, len));
            at += len as usize;
        }
    }
    frames
}

fn rot(seed: u64) -> (u64, u64) {
    let mut random = Random::new(seed);
    let mut run = Run::new(seed, machine());
    run.open().expect("a new store");
    let commits = 2 + random.below(8);
    for commit in 0..commits {
        let mut batch = Batch::new();
        let len = random.pick(&[10, 300, 20_000]);
        batch.put("alpha", format!("entity-{commit}"), random.bytes(len));
        run.engine().append(batch).expect("a commit");
    }
    let frames = frames(&run.disk);
    assert_eq!(frames.len() as u64, commits);
    let closed = random.chance(20);
    if closed {
        run.engine().close().expect("a clean close");
    }
    let mut image = run.disk.durable();
    run.kill();
    let hit = random.below(commits) as usize;
    let (file, at, len) = &frames[hit];
    let place = (at + random.below(*len)) as usize;
    image.get_mut(file).expect("a segment")[place] ^= 1 << random.below(8);
    let disk = SimDisk::of(&image);
    let what =
        || format!("seed {seed}: byte {place} of {} in frame {hit} of {commits}, closed: {closed}", file.display());
    guarded(what, &[&disk], || match Engine::open(&run.dir, options(&disk, seed)) {
        Err(Error::Damaged { file: named, offset, .. }) => {
            assert!(closed || hit as u64 + 1 < commits, "the newest commit is not known to have been synced");
            assert_eq!((&named, offset), (file, Some(*at)), "the frame that is damaged");
            assert_eq!(disk.image(), image, "a refused store was changed");
        }
        Ok(engine) => {
            assert!(!closed && hit as u64 + 1 == commits, "rot below a synced position was taken for a torn write");
            for commit in 0..commits {
                let found = engine.get("alpha", format!("entity-{commit}"));
                // With its only commit, the dataset is gone too.
                let is_there = found.is_ok_and(|entry| entry.is_some());
                assert_eq!(is_there, commit + 1 < commits, "entity {commit}");
            }
            let kept = format!("torn-{}-{at:020}.bin", file.file_stem().expect("a name").display());
            let kept = disk.image().remove(&Path::new("/machine/store/log").join(kept)).expect("bytes kept aside");
            assert_eq!(kept, image[file][*at as usize..][..kept.len()], "what was cut");
        }
        Err(error) => panic!("{error:?}"),
    });
    (1, 1)
}

pub fn run(seeds: Range<u64>, suite: &mut Suite) {
    over_seeds(seeds, suite, rot);
}

#[test]
fn torn_is_told_from_rotten() {
    let mut suite = Suite::begin("torn or rotten", "9");
    run(0..2000, &mut suite);
    suite.finish();
}
