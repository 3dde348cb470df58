//! Copies of a store: taken under load, and brought back with a lineage of their own.

use std::io;
use std::path::{Path, PathBuf};

use super::core::Core;
use super::open::{BACKUP, DB, exists};
use crate::error::{Error, Result};
use crate::log::{CleanEnd, Ledger};
use crate::options::{Options, SyncKeys};
use crate::planted::{Bug, planted};
use crate::types::{BackupReport, SyncKey};
use crate::vfs::{Vfs, create_dirs, read_full_at, write_all_at};

/// By how much keys jump when a backup is restored: more than a store hands out between a backup and its loss.
const RESTORE_JUMP: u64 = 1 << 40;

/// Copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// Copies the store into `dest`. Runs on the maintenance thread, so that nothing is sealed or trimmed meanwhile; commits
/// and reads go on.
pub fn backup(core: &Core, dest: PathBuf) -> Result<BackupReport> {
    let vfs = &*core.options.vfs;
    if dest.starts_with(&core.dir) {
        return Err(Error::invalid(format!("{} lies within the store: back up to another place", dest.display())));
    }
    create_new_dir(vfs, &dest)?;
    let copied = copy(core, &dest);
    if copied.is_err() {
        // Half a backup is of no use, and in the way of the next one.
        let _ = vfs.remove_dir_all(&dest);
    }
    copied
}

fn copy(core: &Core, dest: &Path) -> Result<BackupReport> {
    let vfs = &*core.options.vfs;
    write_new(
        vfs,
        &dest.join(BACKUP),
        b"This is a backup of a Tidelog store: `tidelog restore` makes a store of it.\n",
    )?;
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
    create_new_dir(vfs, &log)?;
    let mut log_bytes = 0;
    for (id, path) in &files {
        let upto = if *id == end.segment { end.offset } else { u64::MAX };
        let Some(name) = path.file_name() else { continue };
        log_bytes += copy_file(vfs, path, &log.join(name), upto)?;
    }
    drop(pin);
    state.segments = files.iter().map(|(id, _)| *id).collect();
    state.clean = Some(CleanEnd { next_key, last_key: visible, end });
    state.synced_upto = state.synced_upto.max(end);
    state.sealing_upto = state.applied_upto;
    // The ledger comes last and makes the rest a backup, so all of that is durable before.
    sync_files(vfs, &dest.join(DB))?;
    sync_dir(vfs, &log)?;
    Ledger::create(vfs, dest, state)?;
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
    let vfs = &*options.vfs;
    if !exists(vfs, &src.join(BACKUP))? {
        return Err(Error::NotFound { what: format!("a backup in {}", src.display()) });
    }
    if exists(vfs, dest)? {
        return Err(Error::invalid(format!("{} exists: a backup is restored into a new directory", dest.display())));
    }
    let mut name = dest.file_name().unwrap_or_default().to_os_string();
    name.push(".restoring");
    let beside = dest.with_file_name(name);
    if exists(vfs, &beside)? {
        vfs.remove_dir_all(&beside).map_err(|source| Error::io(format!("remove {}", beside.display()), source))?;
    }
    let made = restore_into(src, &beside, options).and_then(|()| {
        vfs.rename(&beside, dest).map_err(|source| Error::io(format!("create {}", dest.display()), source))?;
        let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_dir(vfs, parent)
    });
    if made.is_err() {
        let _ = vfs.remove_dir_all(&beside);
    }
    made
}

fn restore_into(src: &Path, dest: &Path, options: &Options) -> Result<()> {
    let vfs = &*options.vfs;
    create_new_dir(vfs, dest)?;
    for part in [DB, "log"] {
        copy_dir(vfs, &src.join(part), &dest.join(part))?;
    }
    copy_file(vfs, &Ledger::path(src), &Ledger::path(dest), u64::MAX)?;
    let mut ledger = Ledger::open(vfs, dest)?;
    let Some(clean) = ledger.state().clean else {
        return Err(Error::damaged(Ledger::path(src), None, "it does not say where the backup ends"));
    };
    let lineage = options.random_id()?;
    let jumped = clean.next_key.max(ledger.state().lease).saturating_add(RESTORE_JUMP);
    let next_key = match ledger.state().sync_keys {
        SyncKeys::Counter => jumped,
        // Whatever the lost store gave out, it did so before now; a jump besides covers a clock that runs behind.
        SyncKeys::Timestamp => jumped.max(SyncKey::from_time_ms(options.clock.wall_ms()).get()),
    };
    ledger.update(|state| {
        if !planted(Bug::RestoreKeepsLineage) {
            state.begin_lineage(lineage, clean.last_key, next_key);
        }
        state.clean = Some(CleanEnd { next_key, ..clean });
        state.lease = state.lease.max(next_key);
    })?;
    sync_dir(vfs, dest)
}

fn create_new_dir(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    if exists(vfs, dir)? {
        return Err(Error::invalid(format!("{} exists: name a new directory", dir.display())));
    }
    create_dirs(vfs, dir).map_err(|source| Error::io(format!("create {}", dir.display()), source))
}

fn list(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<PathBuf>> {
    let names = vfs.list(dir).map_err(|source| Error::io(format!("list {}", dir.display()), source))?;
    Ok(names.iter().map(|name| dir.join(name)).collect())
}

/// Copies the files of a directory, durably.
fn copy_dir(vfs: &dyn Vfs, src: &Path, dest: &Path) -> Result<()> {
    create_new_dir(vfs, dest)?;
    for file in list(vfs, src)? {
        if let Some(name) = file.file_name() {
            copy_file(vfs, &file, &dest.join(name), u64::MAX)?;
        }
    }
    sync_dir(vfs, dest)
}

/// Copies the first `upto` bytes of a file, durably but for its name; the copy is as long as the file.
fn copy_file(vfs: &dyn Vfs, src: &Path, dest: &Path, upto: u64) -> Result<u64> {
    let copy = || -> io::Result<u64> {
        let from = vfs.open(src, false)?;
        let len = from.len()?;
        let to = vfs.create_new(dest)?;
        let (mut at, upto) = (0, upto.min(len));
        let mut buffer = vec![0; usize::try_from(upto.min(COPY_BYTES)).unwrap_or(usize::MAX)];
        while at < upto {
            let due = usize::try_from(upto - at).unwrap_or(usize::MAX).min(buffer.len());
            let count = read_full_at(&*from, &mut buffer[..due], at)?;
            if count == 0 {
                break;
            }
            write_all_at(&*to, &buffer[..count], at)?;
            at += count as u64;
        }
        to.set_len(len)?;
        to.sync_all()?;
        Ok(at)
    };
    copy().map_err(|source| Error::io(format!("copy {} to {}", src.display(), dest.display()), source))
}

fn write_new(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let file = vfs.create_new(path)?;
        write_all_at(&*file, bytes, 0)?;
        file.sync_all()
    };
    write().map_err(|source| Error::io(format!("write {}", path.display()), source))
}

/// Makes the files of a directory durable, and their names.
fn sync_files(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    for file in list(vfs, dir)? {
        let synced = vfs.open(&file, false).and_then(|file| file.sync_all());
        synced.map_err(|source| Error::io(format!("sync {}", file.display()), source))?;
    }
    sync_dir(vfs, dir)
}

fn sync_dir(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    vfs.sync_dir(dir).map_err(|source| Error::io(format!("sync {}", dir.display()), source))
}
