//! Ten thousand watchers that wait as futures.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use ::tidelog::{Batch, Engine, LockGuard, Options, OsVfs, SyncKey, Vfs, VfsFile, Watch};

use crate::measure::{Ctx, Goal, Row, Series, quantile, remove, status_bytes};

const DATASETS: u64 = 1_000;
const WATCHERS: u64 = 10_000;

/// The system's files, with the moment at which the last sync returned.
#[derive(Clone)]
struct Timed {
    synced_ns: Arc<AtomicU64>,
    begun: Instant,
}

struct TimedFile(Arc<dyn VfsFile>, Timed);

impl Vfs for Timed {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        OsVfs.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        OsVfs.list(dir)
    }
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(TimedFile(OsVfs.open(path, write)?, self.clone())))
    }
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(TimedFile(OsVfs.create_new(path)?, self.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsVfs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OsVfs.remove(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        OsVfs.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsVfs.sync_dir(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        OsVfs.exists(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        OsVfs.lock(path)
    }
}

impl VfsFile for TimedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()?;
        self.1.synced_ns.store(self.1.begun.elapsed().as_nanos() as u64, Ordering::SeqCst);
        Ok(())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Tells a task's number to the thread that polls.
struct Task {
    number: usize,
    woken: Mutex<Sender<usize>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // The receiver is gone only when all is over.
        let _ = self.woken.lock().expect("no one panicked").send(self.number);
    }
}

pub fn watch(ctx: &Ctx) -> Row {
    let timed = Timed { synced_ns: Arc::default(), begun: Instant::now() };
    let dir = ctx.fresh("watch");
    let options = Options::default().vfs(Arc::new(timed.clone()));
    let engine = Engine::open(&dir, options).expect("Tidelog opens");
    for dataset in 0..DATASETS {
        commit(&engine, dataset);
    }
    let commits = ctx.size(2_000, 200);
    let alone = commit_us(&engine, commits);
    let (latencies, per_wake) = wakes(&engine, &timed, commits);
    let others: Vec<Watch> = (0..WATCHERS).map(|n| watcher(&engine, 1 + n % (DATASETS - 1))).collect();
    let beside = commit_us(&engine, commits);
    drop(others);
    let idle = idle_bytes(&engine, ctx.size(200_000, 50_000));
    drop(engine);
    remove(&dir);
    let mut latencies = latencies;
    let (median, p99) = (quantile(&mut latencies, 0.5), quantile(&mut latencies, 0.99));
    let series = vec![Series::one("wake p50, us", median), Series::one("wake p99, us", p99)];
    let mut row = Row::new("10,000 watchers on 1,000 datasets", "", series);
    row.goals.push(Goal::at_most("wake p99 after the sync, ms", p99 / 1e3, 1.0));
    row.goals.push(Goal::at_most("a commit beside 10,000 watchers of other datasets / without", beside / alone, 1.1));
    row.goals.push(Goal::at_most("bytes of an idle watcher", idle, 1024.0));
    row.note(format!(
        "{commits} commits, each of one dataset with its 10 watchers ({per_wake:.1} woken for each): from the return of \
         the sync to the moment when a thread polls the future; a commit takes {alone:.0} us without watchers (median)"
    ));
    row
}

fn commit(engine: &Engine, dataset: u64) -> SyncKey {
    let mut batch = Batch::new();
    batch.put(format!("dataset-{dataset:06}"), "entity", "payload");
    engine.append(batch).expect("a commit").last
}

fn watcher(engine: &Engine, dataset: u64) -> Watch {
    let name = format!("dataset-{dataset:06}");
    engine.watch(&[(name.as_bytes(), engine.visible())]).expect("a watcher")
}

/// The median of commits to one dataset.
fn commit_us(engine: &Engine, commits: u64) -> f64 {
    let mut took: Vec<f64> = (0..commits)
        .map(|_| {
            let begun = Instant::now();
            commit(engine, 0);
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    quantile(&mut took, 0.5)
}

/// Wakes the ten watchers of one dataset after the other; microseconds from the sync to each poll.
fn wakes(engine: &Engine, timed: &Timed, commits: u64) -> (Vec<f64>, f64) {
    let (woken, tasks) = channel::<usize>();
    let mut watchers = Vec::new();
    let arm = |number: usize, watch: Watch, woken: &Sender<usize>| {
        let task = Arc::new(Task { number, woken: Mutex::new(woken.clone()) });
        let mut watch = Box::new(watch);
        let waker = Waker::from(task);
        if poll(&mut watch, &waker).is_ready() {
            woken.send(number).expect("the receiver is there");
        }
        (watch, waker)
    };
    for n in 0..WATCHERS {
        watchers.push(arm(n as usize, watcher(engine, n % DATASETS), &woken));
    }
    let mut latencies = Vec::new();
    for round in 0..commits {
        let dataset = round * 37 % DATASETS;
        std::thread::scope(|scope| {
            scope.spawn(|| commit(engine, dataset));
            for _ in 0..WATCHERS / DATASETS {
                let number = tasks.recv().expect("a wake");
                let (watch, waker) = &mut watchers[number];
                assert!(poll(watch, waker).is_ready(), "a woken watcher is ready");
                assert_eq!(number as u64 % DATASETS, dataset, "only watchers of the dataset wake");
                let now = timed.begun.elapsed().as_nanos() as u64;
                latencies.push((now - timed.synced_ns.load(Ordering::SeqCst)) as f64 / 1e3);
            }
        });
        for n in (dataset..WATCHERS).step_by(DATASETS as usize) {
            watchers[n as usize] = arm(n as usize, watcher(engine, dataset), &woken);
        }
        assert!(tasks.try_recv().is_err(), "no one else wakes");
    }
    let per_wake = latencies.len() as f64 / commits as f64;
    (latencies, per_wake)
}

fn poll(watch: &mut Watch, waker: &Waker) -> Poll<()> {
    pin!(watch).poll(&mut Context::from_waker(waker))
}

/// What the process grows by for each idle watcher, its future included.
fn idle_bytes(engine: &Engine, count: u64) -> f64 {
    let before = status_bytes("VmRSS");
    let watchers: Vec<Watch> = (0..count).map(|n| watcher(engine, n % DATASETS)).collect();
    let grown = status_bytes("VmRSS").saturating_sub(before);
    drop(watchers);
    grown as f64 / count as f64
}
