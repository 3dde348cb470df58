//! A ledger that is written beside the old one and renamed: wholly there or not at all.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Ledger, LedgerState, encode_slot, slot_offset};
use crate::codec::Malformed;
use crate::vfs::{Vfs, VfsFile, write_all_at};

/// The name under which it is written.
pub(super) const NEW_NAME: &str = "ledger.new";

/// Writes a ledger of two slots with successive numbers beside the one that is there.
pub(super) fn write_beside(vfs: &dyn Vfs, dir: &Path, state: &LedgerState, seq: u64) -> io::Result<Arc<dyn VfsFile>> {
    let new = dir.join(NEW_NAME);
    if vfs.exists(&new)? {
        vfs.remove(&new)?;
    }
    let file = vfs.create_new(&new)?;
    for seq in [seq, seq.saturating_add(1)] {
        let slot = encode_slot(state, seq).map_err(|Malformed(why)| io::Error::other(why))?;
        write_all_at(&*file, &slot, slot_offset(seq))?;
    }
    Ok(file)
}

/// Makes it the ledger: wholly or not at all, and durably.
pub(super) fn put_in_place(vfs: &dyn Vfs, dir: &Path, file: &dyn VfsFile) -> io::Result<()> {
    file.sync_all()?;
    vfs.rename(&dir.join(NEW_NAME), &Ledger::path(dir))?;
    vfs.sync_dir(dir)
}
