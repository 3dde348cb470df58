//! Syncing, and the latch of the first failure. On Linux a failed `fsync` is reported once and the pages count as
//! clean after it, so a second attempt proves nothing: there is none.

use std::io;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::planted::{Bug, planted};
use crate::vfs::VfsFile;

/// The syncs of one log. One at a time: of two at once, either may be the one that is told of a failure.
#[derive(Default)]
pub(super) struct Syncs {
    turn: Mutex<()>,
    failed: OnceLock<String>,
}

impl Syncs {
    /// Makes a file's data durable, unless any write or sync of this log failed before.
    pub(super) fn sync(&self, file: &dyn VfsFile) -> io::Result<()> {
        let _turn = self.turn.lock();
        if let Some(cause) = self.failed.get() {
            return Err(io::Error::other(format!("an earlier write or sync failed ({cause})")));
        }
        let synced = match file.sync_data() {
            Err(_) if planted(Bug::SyncRetried) => file.sync_data(),
            synced => synced,
        };
        synced.inspect_err(|error| {
            if !planted(Bug::SyncFailureForgotten) {
                self.fail(format!("sync: {error}"));
            }
        })
    }

    /// Latches a failure, and returns the first one.
    pub(super) fn fail(&self, cause: String) -> String {
        self.failed.get_or_init(|| cause).clone()
    }

    /// The first failure. Never waits.
    pub(super) fn failure(&self) -> Option<String> {
        self.failed.get().cloned()
    }
}

/// Something to sync, apart from the log's lock.
#[derive(Clone)]
pub struct SyncPoint {
    file: Arc<dyn VfsFile>,
    syncs: Arc<Syncs>,
}

impl SyncPoint {
    pub(super) fn new(file: Arc<dyn VfsFile>, syncs: Arc<Syncs>) -> SyncPoint {
        SyncPoint { file, syncs }
    }

    /// Makes everything that was appended before this was made durable. Earlier segments already are. After one failure, every sync
    /// and every append of this log fails.
    ///
    /// # Errors
    ///
    /// The system's. Whether anything since the last success is on disk is unknown then, for ever.
    pub fn sync(&self) -> io::Result<()> {
        self.syncs.sync(&*self.file)
    }
}
