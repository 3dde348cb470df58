//! The disk as a file system.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::faults::{Kind, Trouble, Verdict};
use super::{SimDisk, State};
use crate::vfs::{LockGuard, Vfs, VfsFile};

fn crashed<T>() -> io::Result<T> {
    Err(io::Error::other("the simulated machine is down"))
}

impl SimDisk {
    /// Counts an operation and decides over it. `Ok(true)`: it is to be done. `Ok(false)`: done in part or to no end,
    /// and what it then returns is the caller's to say. An error: it is not to be done.
    fn begin(
        &self,
        kind: Kind,
        call: &'static str,
        path: &Arc<str>,
        span: (u64, u64),
    ) -> io::Result<(MutexGuard<'_, State>, Verdict)> {
        let mut state = self.shared.lock();
        if state.boot != self.boot {
            return crashed();
        }
        let verdict = state.faults.judge(kind, call, path, span);
        state.disk.changes = state.faults.changes;
        match verdict {
            Verdict::Gone => crashed(),
            verdict => Ok((state, verdict)),
        }
    }

    /// The same for what is done whole or not at all: only a crash within it leaves it pending.
    fn whole<T>(
        &self,
        kind: Kind,
        call: &'static str,
        path: &Path,
        run: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let (mut state, verdict) = self.begin(kind, call, &path.to_string_lossy().into(), (0, 0))?;
        match verdict {
            Verdict::Fail(trouble) => Err(trouble.error()),
            Verdict::CrashWithin => {
                let done = run(&mut state);
                // What it made may let go of something here when it is dropped.
                drop(state);
                done.and_then(|_| crashed())
            }
            _ => run(&mut state),
        }
    }

    fn opened(&self, node: usize, path: &Path) -> Arc<dyn VfsFile> {
        Arc::new(SimFile { disk: self.clone(), node, path: path.to_string_lossy().into() })
    }
}

impl Vfs for SimDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.whole(Kind::Create, "create_dir_all", dir, |state| {
            if state.real {
                std::fs::create_dir_all(dir)?;
            }
            state.disk.create_dirs(dir)
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.whole(Kind::Look, "list", dir, |state| {
            if !state.real {
                return state.disk.list(dir);
            }
            let there: io::Result<Vec<_>> = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect();
            let mut names = state.disk.list(dir).unwrap_or_default();
            names.extend(there?);
            names.sort_unstable();
            names.dedup();
            Ok(names)
        })
    }

    fn open(&self, path: &Path, _: bool) -> io::Result<Arc<dyn VfsFile>> {
        self.whole(Kind::Look, "open", path, |state| {
            let node = state.disk.find(path)?;
            state.disk.file(node)?;
            Ok(self.opened(node, path))
        })
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        self.whole(Kind::Create, "create_new", path, |state| Ok(self.opened(state.disk.create(path)?, path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(Kind::Change, "rename", from, |state| match state.disk.rename(from, to) {
            Err(_) if state.real => std::fs::rename(from, to),
            done => done,
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole(Kind::Change, "remove", path, |state| state.disk.remove(path))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.whole(Kind::Change, "remove_dir_all", dir, |state| match state.disk.remove_dirs(dir) {
            Err(_) if state.real => std::fs::remove_dir_all(dir),
            done => done,
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let (mut state, verdict) = self.begin(Kind::Sync, "sync_dir", &dir.to_string_lossy().into(), (0, 0))?;
        match verdict {
            Verdict::Fail(trouble) => Err(trouble.error()),
            Verdict::CrashWithin => crashed(),
            Verdict::Lie => Ok(()),
            _ => state.disk.sync_dir(dir),
        }
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.whole(Kind::Look, "exists", path, |state| {
            Ok(state.disk.find(path).is_ok() || state.real && std::fs::exists(path)?)
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.whole(Kind::Create, "lock", path, |state| {
            let node = match state.disk.find(path) {
                Ok(node) => node,
                Err(_) => state.disk.create(path)?,
            };
            let free = state.disk.lock(node);
            Ok(free.then(|| Box::new(Held { disk: self.clone(), node }) as LockGuard))
        })
    }

    fn point(&self, what: &'static str) -> io::Result<()> {
        self.whole(Kind::Point, "point", Path::new(what), |_| Ok(()))
    }

    fn holds_index(&self) -> bool {
        !self.shared.lock().real
    }
}

struct Held {
    disk: SimDisk,
    node: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.shared.lock();
        if state.boot == self.disk.boot {
            state.disk.unlock(self.node);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    node: usize,
    path: Arc<str>,
}

impl SimFile {
    fn begin(&self, kind: Kind, call: &'static str, span: (u64, u64)) -> io::Result<(MutexGuard<'_, State>, Verdict)> {
        self.disk.begin(kind, call, &self.path, span)
    }

    fn resize(
        &self,
        kind: Kind,
        call: &'static str,
        len: u64,
        run: impl FnOnce(&mut State) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut state, verdict) = self.begin(kind, call, (0, len))?;
        match verdict {
            Verdict::Fail(trouble) => Err(trouble.error()),
            verdict => {
                state.disk.take_room(self.node, len)?;
                run(&mut state)?;
                if verdict == Verdict::CrashWithin { crashed() } else { Ok(()) }
            }
        }
    }

    fn sync(&self, call: &'static str) -> io::Result<()> {
        let (mut state, verdict) = self.begin(Kind::Sync, call, (0, 0))?;
        let file = state.disk.file_mut(self.node)?;
        match verdict {
            Verdict::Fail(trouble) => {
                file.set_adrift();
                Err(trouble.error())
            }
            Verdict::CrashWithin => crashed(),
            Verdict::Lie => Ok(()),
            _ => {
                file.sync();
                Ok(())
            }
        }
    }
}

impl VfsFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (state, verdict) = self.begin(Kind::Read, "read", (offset, buf.len() as u64))?;
        let now = &state.disk.file(self.node)?.now;
        let rest = usize::try_from(offset).ok().and_then(|at| now.get(at..)).unwrap_or_default();
        let mut count = rest.len().min(buf.len());
        match verdict {
            Verdict::Fail(trouble) => return Err(trouble.error()),
            Verdict::Short => count = count.div_ceil(2),
            _ => {}
        }
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let (mut state, verdict) = self.begin(Kind::Write, "write", (offset, buf.len() as u64))?;
        let at = state.faults.changes;
        let count = match verdict {
            Verdict::Fail(Trouble::Interrupted) => return Err(Trouble::Interrupted.error()),
            // How much of it arrived follows from where it stands.
            Verdict::Fail(_) => buf.len() * (at % 3) as usize / 2,
            Verdict::Short => buf.len().div_ceil(2),
            _ => buf.len(),
        };
        state.disk.take_room(self.node, offset.saturating_add(count as u64))?;
        state.disk.file_mut(self.node)?.write(at, offset as usize, &buf[..count]);
        match verdict {
            Verdict::Fail(trouble) => Err(trouble.error()),
            Verdict::CrashWithin => crashed(),
            _ => Ok(count),
        }
    }

    fn len(&self) -> io::Result<u64> {
        let (state, verdict) = self.begin(Kind::Look, "len", (0, 0))?;
        match verdict {
            Verdict::Fail(trouble) => Err(trouble.error()),
            _ => Ok(state.disk.file(self.node)?.now.len() as u64),
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.resize(Kind::Allocate, "allocate", len, |state| {
            let at = state.faults.changes;
            state.disk.file_mut(self.node)?.grow(at, len as usize);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.resize(Kind::Change, "set_len", len, |state| {
            let at = state.faults.changes;
            state.disk.file_mut(self.node)?.set_len(at, len as usize);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync("sync_data")
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync("sync_all")
    }
}
