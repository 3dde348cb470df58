//! Opening, over the length of the log that is not sealed: after a clean close, and as a kill leaves it.

mod common;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{BATCH, Rng, batch, fill, store};
use criterion::{Criterion, criterion_group, criterion_main};
use tidelog::{Durability, Engine, Options};

/// Tails that take all of it, so that nothing is sealed meanwhile.
fn options() -> Options {
    Options::default().memory(1 << 30).background_compaction(false)
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("recover");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for unsealed in [0, 20_000, 60_000, 120_000] {
        let (dir, engine) = store(options());
        fill(&engine, 300_000);
        engine.seal().expect("a seal");
        engine.close().expect("a clean close");
        drop(engine);
        let path = dir.path().join("store");
        group.bench_function(format!("{unsealed} entries not sealed, closed"), |b| {
            b.iter_custom(|rounds| (0..rounds).map(|round| time(&path, unsealed, round, Stop::Closed)).sum());
        });
        group.bench_function(format!("{unsealed} entries not sealed, killed"), |b| {
            b.iter_custom(|rounds| (0..rounds).map(|round| time(&path, unsealed, round, Stop::Killed)).sum());
        });
    }
    group.finish();
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Closed,
    Killed,
}

/// How long it takes to open a store of which so much is not sealed.
fn time(path: &Path, unsealed: u64, round: u64, stop: Stop) -> Duration {
    let engine = Engine::open(path, options()).expect("it opens");
    engine.seal().expect("a seal");
    let mut rng = Rng(round);
    for batches_left in (0..unsealed / BATCH).rev() {
        let durability = if batches_left == 0 { Durability::Synced } else { Durability::Buffered };
        engine.append_with(batch(&mut rng), durability).expect("a commit");
    }
    // Nothing is under way: what the files hold now is what a kill would leave.
    let killed = path.with_file_name("killed");
    if stop == Stop::Killed {
        copy(path, &killed);
    }
    engine.close().expect("a clean close");
    drop(engine);
    let begun = Instant::now();
    let engine = Engine::open(if stop == Stop::Killed { &killed } else { path }, options()).expect("it opens");
    let taken = begun.elapsed();
    engine.close().expect("a clean close");
    drop(engine);
    if stop == Stop::Killed {
        std::fs::remove_dir_all(&killed).expect("the copy can be removed");
    }
    taken
}

/// Copies a store as it is at one moment: again, if files came or went meanwhile, as they do while RocksDB merges some.
fn copy(from: &Path, to: &Path) {
    loop {
        let before = names(from);
        if before.is_ok() && copy_files(from, to).is_ok() && names(from).ok() == before.ok() {
            return;
        }
        // It may not even have been begun.
        let _ = std::fs::remove_dir_all(to);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy_files(&from, &to)?,
            false => drop(std::fs::copy(&from, &to)?),
        }
    }
    Ok(())
}

/// All files below a directory.
fn names(dir: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => all.extend(names(&path)?),
            false => drop(all.insert(path)),
        }
    }
    Ok(all)
}

criterion_group!(benches, open);
criterion_main!(benches);
