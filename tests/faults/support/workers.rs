//! The same work in every thread that the machine has, with a guard against hanging.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Far beyond what one piece of work takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Does `work` for each of these seeds, in any order. A piece that takes minutes ends the process and is named:
/// waiting for it would say nothing.
pub fn share(seeds: &[u64], name: &(dyn Fn(u64) -> String + Sync), work: &(dyn Fn(u64) + Sync)) {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let under_way: Vec<Mutex<Option<(u64, Instant)>>> = (0..threads).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        let (next, done, under_way) = (&next, &done, &under_way);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(50));
                for (at, since) in under_way.iter().filter_map(|slot| *slot.lock()) {
                    if since.elapsed() > PATIENCE {
                        eprintln!("{} hangs", name(at));
                        std::process::exit(1);
                    }
                }
            }
        });
        let workers: Vec<_> = under_way
            .iter()
            .map(|slot| {
                scope.spawn(move || {
                    loop {
                        let Some(at) = seeds.get(next.fetch_add(1, Ordering::Relaxed)).copied() else { return };
                        *slot.lock() = Some((at, Instant::now()));
                        work(at);
                        *slot.lock() = None;
                    }
                })
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(|end| end.expect("a worker"));
    });
}

/// The first lines of many.
pub fn first_of(lines: &[String]) -> String {
    lines[..lines.len().min(30)].join("\n")
}
