//! Opening a store: lock it, look at everything, and only then change anything.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use parking_lot::Mutex;

use super::commit::Commits;
use super::core::{Core, Lineages};
use super::counters::Counters;
use super::maintain::Jobs;
use super::names::NameCache;
use super::tails::TailSet;
use super::time::EngineClock;
use super::watch::Watchers;
use crate::codec::Malformed;
use crate::error::{Error, Result};
use crate::frame::{Body, FrameHeader, LogPos};
use crate::log::{Ledger, LedgerState, Log, LogOptions, Upto, segment_path};
use crate::options::{Compression, Options};
use crate::planted::{Bug, planted};
use crate::seal::{AliveCache, Sealing, seal};
use crate::store::{Applied, Index, Store, StoreOptions};
use crate::tail::Tail;
use crate::vfs::{LockGuard, Vfs, create_dirs};

/// The lock file's name.
const LOCK: &str = "LOCK";
/// The index store's directory.
pub(super) const DB: &str = "db";
/// Marks a directory as a backup, which is restored and not opened.
pub(super) const BACKUP: &str = "BACKUP";

/// The index store's shares of the memory budget. RocksDB's is a small one: glibc's allocator, which its caches and its
/// threads wear hard, holds about as much again as is in use. The caches get what is left: docs/architecture.md has the sum.
pub fn store_options(options: &Options) -> StoreOptions {
    let lz4 = options.compression == Compression::Lz4;
    StoreOptions { memory: options.memory / 4, cache_bytes: options.memory / 64 * 21, lz4 }
}

/// An open core, and what keeps others out.
pub fn open(dir: &Path, options: Options) -> Result<(Core, LockGuard)> {
    options.check()?;
    let dir = std::path::absolute(dir).map_err(|source| Error::io(format!("look at {}", dir.display()), source))?;
    let vfs = options.vfs.clone();
    let is_there = exists(&*vfs, &dir.join("ledger"))?;
    if !is_there && !options.create_if_missing && !holds_parts(&*vfs, &dir)? {
        return Err(Error::NotFound {
            what: format!("a store in {} (`import` or `restore` makes one)", dir.display()),
        });
    }
    if exists(&*vfs, &dir.join(BACKUP))? {
        return Err(Error::invalid(format!("{} is a backup: restore it into a new directory", dir.display())));
    }
    if !is_there {
        check_empty(&*vfs, &dir)?;
    }
    let lock = lock(&*vfs, &dir, options.create_if_missing)?;
    let store = if Ledger::exists(&*vfs, &dir)? { None } else { Some(create(&vfs, &dir, &options)?) };
    let core = recover(dir, options, store)?;
    Ok((core, lock))
}

/// Locks a store's directory.
pub fn lock(vfs: &dyn Vfs, dir: &Path, create: bool) -> Result<LockGuard> {
    if create {
        create_dirs(vfs, dir).map_err(|source| Error::io(format!("create {}", dir.display()), source))?;
    }
    let path = dir.join(LOCK);
    let guard = vfs.lock(&path).map_err(|source| Error::io(format!("lock {}", path.display()), source))?;
    let guard = guard.or_else(|| planted(Bug::LockIgnored).then(|| Box::new(()) as LockGuard));
    guard.ok_or_else(|| Error::Locked { dir: dir.to_path_buf() })
}

/// Whether there is a file or directory of this name.
pub(super) fn exists(vfs: &dyn Vfs, path: &Path) -> Result<bool> {
    vfs.exists(path).map_err(|source| Error::io(format!("look for {}", path.display()), source))
}

/// Whether a directory without a ledger holds a store's other parts.
fn holds_parts(vfs: &dyn Vfs, dir: &Path) -> Result<bool> {
    Ok(exists(vfs, &dir.join(DB))? || exists(vfs, &dir.join("log"))?)
}

/// A store is created where nothing is, but for what an interrupted creation leaves behind: that is of no value.
fn check_empty(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    if !exists(vfs, dir)? {
        return Ok(());
    }
    let names = vfs.list(dir).map_err(|source| Error::io(format!("list {}", dir.display()), source))?;
    let ours = [LOCK, DB, "db.new", "ledger.new"];
    match names.iter().find(|name| !ours.iter().any(|ours| name.as_os_str() == *ours)) {
        None => Ok(()),
        Some(name) if *name == *"log" => {
            Err(Error::damaged(dir.join("ledger"), None, "the file is missing, but there is a log"))
        }
        Some(name) => Err(Error::invalid(format!(
            "{} holds something else ('{}'): a store is created in an empty directory only",
            dir.display(),
            name.display()
        ))),
    }
}

/// Begins a new store in a directory that holds none: the index store, then the ledger, which makes it one. Opening
/// finds a ledger without segments and begins the log.
fn create(vfs: &Arc<dyn Vfs>, dir: &Path, options: &Options) -> Result<Store> {
    check_empty(&**vfs, dir)?;
    // An earlier attempt may have made the directory and failed to make its name durable. Who may not do that did not make
    // it either.
    let parent = dir.parent().unwrap_or(dir);
    match vfs.sync_dir(parent) {
        Err(source) if source.kind() != ErrorKind::PermissionDenied => {
            return Err(Error::io(format!("sync {}", parent.display()), source));
        }
        _ => {}
    }
    let db = dir.join(DB);
    let store = match exists(&**vfs, &db)? {
        true => {
            // A crash amid the rename may have left both names.
            let beside = dir.join("db.new");
            if exists(&**vfs, &beside)? {
                vfs.remove_dir_all(&beside)
                    .map_err(|source| Error::io(format!("remove {}", beside.display()), source))?;
            }
            Store::open_after(vfs, &db, &store_options(options), 0, |store| check_new(dir, store))?.0
        }
        false => Store::create(vfs, &db, &store_options(options))?,
    };
    let state = LedgerState::new(options.random_id()?, options.random_id()?, options.sync_keys);
    Ledger::create(&**vfs, dir, state)?;
    Ok(store)
}

/// Without a ledger there is nothing in the index store. Nothing tells how far it was, either.
fn check_new(dir: &Path, store: &Store) -> Result<()> {
    // A MANIFEST that ends early at a whole record seems to be of a new one.
    if store.applied()?.key > 0 || store.torn_end().is_some() || store.has_unnamed_files()? {
        return Err(Error::damaged(dir.join("ledger"), None, "the file is missing, but the index store is not empty"));
    }
    Ok(())
}

/// Opens ledger, index store and log, and takes what is not sealed into tails.
fn recover(dir: PathBuf, options: Options, created: Option<Store>) -> Result<Core> {
    let began = Instant::now();
    let vfs = options.vfs.clone();
    let ledger = Arc::new(Mutex::new(Ledger::open(&*vfs, &dir)?));
    let state = ledger.lock().state().clone();
    let clock_jump = options.clock_jump.as_millis() as u64;
    let now_ms = options.clock.wall_ms();
    let log_options = LogOptions { segment_bytes: options.segment_limit(), now_ms, random: options.random.clone() };
    let look = |store: &Store| {
        let upto = applied(store)?;
        Ok((upto, Log::look(vfs.clone(), &dir, log_options, ledger.clone(), upto)?))
    };
    let (store, (upto, log)) = match created {
        Some(store) => {
            let looked = look(&store)?;
            (store, looked)
        }
        None => Store::open_after(&vfs, &dir.join(DB), &store_options(&options), state.applied_upto.key, look)?,
    };
    let mut replay = Replay {
        dir: &dir,
        store: &store,
        ledger: &ledger,
        options: &options,
        tail: Tail::new(upto.key + 1, upto.pos),
        now_ms,
        replayed: Replayed::default(),
    };
    let (mut log, recovery) = log.open(&mut |header, body, end| replay.frame(header, body, end))?;
    let Replay { tail, replayed, .. } = replay;
    tail.set_end(log.end());
    let upto = applied(&store)?;
    // A seal may have ended before the ledger said so. What is let go of now must be there at the next opening too.
    if ledger.lock().state().applied_upto.key < upto.key {
        ledger.lock().update(|state| state.applied_upto = upto)?;
    }
    log.recycle(upto.pos)?;
    if let Some(cut) = &recovery.cut {
        tracing::warn!(file = %cut.file.display(), offset = cut.offset, bytes = cut.bytes, "cut a torn tail off the log");
    }
    let last_key = recovery.last_key.max(upto.key);
    replayed.tell(&dir, began, recovery.lineage_changed, last_key);
    let next_key = recovery.next_key.max(last_key + 1);
    let state = ledger.lock().state().clone();
    let lineage = Lineages {
        present: state.lineage,
        earlier: state.earlier.iter().map(|lineage| (lineage.id, lineage.last_key)).collect(),
        gaps: state.earlier.iter().map(|lineage| (lineage.last_key, lineage.next_key)).collect(),
    };
    let clock = EngineClock::new(options.clock.clone(), recovery.time_ms, clock_jump);
    Ok(Core {
        sync_keys: state.sync_keys,
        lineage,
        tails: TailSet::new(tail),
        commits: Commits::new(log, next_key, last_key, recovery.time_ms),
        names: NameCache::new(options.memory / 8, options.memory / 64),
        alive: AliveCache::new(options.memory / 32),
        watchers: Arc::new(Watchers::new(options.max_watchers)),
        clock,
        metrics: Counters::default(),
        jobs: Jobs::default(),
        poison: OnceLock::new(),
        closed: AtomicBool::new(false),
        visible: AtomicU64::new(last_key),
        deletions: AtomicU64::new(0),
        sealing: Mutex::new(None),
        dir,
        options,
        index: Index::new(store),
        ledger,
    })
}

/// How far the index store has applied the log.
fn applied(store: &Store) -> Result<Upto> {
    let Applied { key, segment, offset, .. } = store.applied()?;
    Ok(Upto { key, pos: LogPos { segment, offset } })
}

/// Takes recovered frames into a tail, and seals it whenever it is full: memory stays bounded also if the store was
/// written with a larger budget.
struct Replay<'r> {
    dir: &'r Path,
    store: &'r Store,
    ledger: &'r Mutex<Ledger>,
    options: &'r Options,
    tail: Tail,
    now_ms: u64,
    replayed: Replayed,
}

/// How much of the log was read again.
#[derive(Default)]
struct Replayed {
    commits: u64,
    bytes: u64,
    seals: u64,
}

impl Replayed {
    fn tell(&self, dir: &Path, began: Instant, unclean: bool, last_key: u64) {
        if unclean {
            tracing::info!("the store was not closed cleanly, or comes from a backup: a new lineage begins");
        }
        let Replayed { commits, bytes, seals } = *self;
        let elapsed_ms = began.elapsed().as_millis() as u64;
        let dir = dir.display();
        tracing::info!(%dir, last_key, replayed_commits = commits, replayed_bytes = bytes, seals, elapsed_ms, "opened");
    }
}

impl Replay<'_> {
    fn frame(&mut self, header: &FrameHeader, body: bytes::Bytes, end: LogPos) -> Result<()> {
        let FrameHeader { base, time_ms, count, .. } = *header;
        self.replayed.commits += 1;
        self.replayed.bytes += body.len() as u64;
        let body = Body::parse(body)
            .and_then(|body| if body.count() == count { Ok(body) } else { Err(Malformed("it has another length")) })
            .map_err(|wrong| {
                let (file, at) = (segment_path(self.dir, end.segment), end.offset.saturating_sub(header.frame_len()));
                Error::damaged(file, at, format!("the commit at key {base} cannot be read: {}", wrong.0))
            })?;
        if !self.tail.has_room(Tail::cost(&body), self.options.tail_limit()) {
            self.seal()?;
        }
        self.tail.insert(base, time_ms, &body);
        self.tail.set_end(end);
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        let (key, pos) = {
            let inner = self.tail.read();
            (inner.last_key, inner.end)
        };
        let upto = Upto { key, pos };
        self.ledger.lock().update(|state| state.sealing_upto = upto)?;
        let sealing = Sealing::new(self.options, self.now_ms);
        // Empty: a log has seldom more than one tail to seal.
        let alive = AliveCache::new(0);
        let changes = seal(self.store, &self.tail.read(), &sealing, &alive)?;
        self.store.commit(changes)?;
        self.store.flush()?;
        self.ledger.lock().update(|state| state.applied_upto = upto)?;
        self.tail = Tail::new(key + 1, pos);
        self.replayed.seals += 1;
        Ok(())
    }
}
