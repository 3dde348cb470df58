//! A ledger that is written beside the old one and renamed: wholly there or not at all.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Ledger, LedgerState, encode_slot, slot_offset};
use crate::codec::Malformed;
use crate::vfs::{Vfs, VfsFile, write_all_at};

/// The name under which it is written.
const NEW_NAME: &str = "ledger.new";

/// Writes a ledger of two slots with successive numbers beside the one that is there, durably but for its name. If that
/// fails, nothing of it is left.
pub(super) fn write_beside(vfs: &dyn Vfs, dir: &Path, state: &LedgerState, seq: u64) -> io::Result<Arc<dyn VfsFile>> {
    or_removed(vfs, dir, || {
        let new = dir.join(NEW_NAME);
        // A crash left it.
        if vfs.exists(&new)? {
            vfs.remove(&new)?;
        }
        let file = vfs.create_new(&new)?;
        for seq in [seq, seq.saturating_add(1)] {
            let slot = encode_slot(state, seq).map_err(|Malformed(why)| io::Error::other(why))?;
            write_all_at(&*file, &slot, slot_offset(seq))?;
        }
        file.sync_all()?;
        Ok(file)
    })
}

/// Makes it the ledger: wholly or not at all, and durably.
pub(super) fn put_in_place(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    or_removed(vfs, dir, || vfs.rename(&dir.join(NEW_NAME), &Ledger::path(dir)))?;
    vfs.sync_dir(dir)
}

/// The outcome; after a failure without the file. One that cannot be removed is in the way of nothing: the next opening
/// does it.
fn or_removed<T>(vfs: &dyn Vfs, dir: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let outcome = work();
    if outcome.is_err() {
        let _ = vfs.remove(&dir.join(NEW_NAME));
    }
    outcome
}
