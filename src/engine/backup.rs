//! Copies of a store: taken under load, and brought back with a lineage of their own.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::core::Core;
use super::maintain::seal_pending;
use super::open::{BACKUP, DB};
use crate::error::{Error, Result};
use crate::log::{CleanEnd, Ledger};
use crate::options::{Options, SyncKeys};
use crate::types::{BackupReport, SyncKey};

/// By how much keys jump when a backup is restored: more than a store hands out between a backup and its loss.
const RESTORE_JUMP: u64 = 1 << 40;

/// Copies the store into `dest`. Runs on the maintenance thread, so that nothing is sealed or trimmed meanwhile; commits
/// and reads go on.
pub fn backup(core: &Core, dest: PathBuf) -> Result<BackupReport> {
    seal_pending(core)?;
    create_new_dir(&dest)?;
    let copied = copy(core, &dest);
    if copied.is_err() {
        // Half a backup is of no use, and in the way of the next one.
        let _ = fs::remove_dir_all(&dest);
    }
    copied
}

fn copy(core: &Core, dest: &Path) -> Result<BackupReport> {
    write_new(&dest.join(BACKUP), b"This is a backup of a Tidelog store: `tidelog restore` makes a store of it.\n")?;
    let (pin, files, end, next_key, visible) = {
        let writer = core.commits.writer.lock();
        // Nothing is written while the writer is held, so that everything written is visible after this.
        core.commits.sync_all(core);
        if let Some(cause) = core.poison.get() {
            return Err(Error::Poisoned { cause: cause.clone() });
        }
        let files: Vec<(u64, PathBuf)> =
            writer.log.segments().into_iter().map(|id| (id, writer.log.path_of(id))).collect();
        // Of this moment too: what is visible later is not in the copy, and a cursor there is not shared with it.
        (writer.log.pin(), files, writer.log.end(), writer.next_key, core.visible())
    };
    let mut state = core.ledger.lock().state().clone();
    core.store().checkpoint(&dest.join(DB))?;
    let log = dest.join("log");
    fs::create_dir(&log).map_err(|source| Error::io(format!("create {}", log.display()), source))?;
    let mut log_bytes = 0;
    for (id, path) in &files {
        let upto = if *id == end.segment { end.offset } else { u64::MAX };
        let Some(name) = path.file_name() else { continue };
        log_bytes += copy_file(path, &log.join(name), upto)?;
    }
    drop(pin);
    state.segments = files.iter().map(|(id, _)| *id).collect();
    state.clean = Some(CleanEnd { next_key, last_key: visible, end });
    state.synced_upto = state.synced_upto.max(end);
    state.sealing_upto = state.applied_upto;
    Ledger::create(&*core.options.vfs, dest, state)?;
    sync_tree(dest)?;
    Ok(BackupReport { dir: dest.to_path_buf(), visible: SyncKey::new(visible), log_bytes })
}

/// Makes a store in `dest`, which must not exist, of the backup in `src`.
///
/// The store begins a new lineage: cursors of the old one are served as far as both share their past. Its keys jump by
/// 2^40 (with timestamp keys, at least to now), so that none is given twice.
///
/// # Errors
///
/// [`Error::NotFound`] if `src` is no backup, [`Error::Invalid`] if `dest` exists, [`Error::Damaged`].
pub fn restore(src: impl AsRef<Path>, dest: impl AsRef<Path>, options: &Options) -> Result<()> {
    let (src, dest) = (src.as_ref(), dest.as_ref());
    if !src.join(BACKUP).is_file() {
        return Err(Error::NotFound { what: format!("a backup in {}", src.display()) });
    }
    if dest.exists() {
        return Err(Error::invalid(format!("{} exists: a backup is restored into a new directory", dest.display())));
    }
    let mut name = dest.file_name().unwrap_or_default().to_os_string();
    name.push(".restoring");
    let beside = dest.with_file_name(name);
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(|source| Error::io(format!("remove {}", beside.display()), source))?;
    }
    let made = restore_into(src, &beside, options).and_then(|()| {
        fs::rename(&beside, dest).map_err(|source| Error::io(format!("create {}", dest.display()), source))?;
        let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_dir(parent)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    made
}

fn restore_into(src: &Path, dest: &Path, options: &Options) -> Result<()> {
    create_new_dir(dest)?;
    for part in [DB, "log"] {
        copy_dir(&src.join(part), &dest.join(part))?;
    }
    copy_file(&Ledger::path(src), &Ledger::path(dest), u64::MAX)?;
    let vfs = &*options.vfs;
    let mut ledger = Ledger::open(vfs, dest)?;
    let Some(clean) = ledger.state().clean else {
        return Err(Error::damaged(Ledger::path(src), None, "it does not say where the backup ends"));
    };
    let lineage = getrandom::u64().map_err(|error| Error::invalid(format!("no random number: {error}")))?.max(1);
    let jumped = clean.next_key.max(ledger.state().lease).saturating_add(RESTORE_JUMP);
    let next_key = match ledger.state().sync_keys {
        SyncKeys::Counter => jumped,
        // Whatever the lost store gave out, it did so before now; a jump besides covers a clock that runs behind.
        SyncKeys::Timestamp => jumped.max(SyncKey::from_time_ms(options.clock.wall_ms()).get()),
    };
    ledger.update(|state| {
        state.begin_lineage(lineage, clean.last_key, next_key);
        state.clean = Some(CleanEnd { next_key, ..clean });
        state.lease = state.lease.max(next_key);
    })?;
    sync_tree(dest)
}

fn create_new_dir(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::invalid(format!("{} exists: name a new directory", dir.display())))
        }
        made => made.map_err(|source| Error::io(format!("create {}", dir.display()), source)),
    }
}

fn copy_dir(src: &Path, dest: &Path) -> Result<()> {
    let io = |source| Error::io(format!("copy {}", src.display()), source);
    fs::create_dir(dest).map_err(io)?;
    for entry in fs::read_dir(src).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().map_err(io)?.is_file() {
            copy_file(&entry.path(), &dest.join(entry.file_name()), u64::MAX)?;
        }
    }
    Ok(())
}

/// Copies the first `upto` bytes of a file; the copy is as long as the file.
fn copy_file(src: &Path, dest: &Path, upto: u64) -> Result<u64> {
    let copy = || {
        let from = fs::File::open(src)?;
        let len = from.metadata()?.len();
        let mut to = fs::File::create_new(dest)?;
        let copied = io::copy(&mut from.take(upto), &mut to)?;
        to.set_len(len)?;
        to.flush()?;
        to.sync_all()?;
        Ok(copied)
    };
    copy().map_err(|source| Error::io(format!("copy {} to {}", src.display(), dest.display()), source))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = fs::File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| Error::io(format!("write {}", path.display()), source))
}

/// Makes the files below `dir` and their names durable.
fn sync_tree(dir: &Path) -> Result<()> {
    let io = |source| Error::io(format!("sync {}", dir.display()), source);
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        match entry.file_type().map_err(io)?.is_dir() {
            true => sync_tree(&entry.path())?,
            false => fs::File::open(entry.path()).and_then(|file| file.sync_all()).map_err(io)?,
        }
    }
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> Result<()> {
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| Error::io(format!("sync {}", dir.display()), source))
}
