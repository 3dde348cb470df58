//! A simulated disk for log and ledger, and for the double of the index store. Deterministic: what it does follows from
//! what it is asked and told, and from a seed.
//!
//! A file is what was synced, and a list of what was done to it since. A directory is the same, of names. A crash
//! decides for each of those what became of it: see [`SimDisk::crash`].
//!
//! What is assumed of a disk: bytes outside of a write are not changed by it, a rename happens or does not, and what was
//! synced without an error stays. What is not assumed: any order, any part of a write, that a new file's name is durable
//! with the file, or that a sync that failed once says so twice.

mod clock;
mod disk;
mod faults;
mod file;
mod fs;
mod random;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use clock::ManualClock;
pub use faults::{CrashAt, Fault, Operation, Trouble, When};
pub use random::Random;

use disk::Disk;
use faults::Faults;

/// Every file, with its content.
pub type Image = BTreeMap<PathBuf, Vec<u8>>;

/// A handle as one run of a process has it; clones share it. See [`SimDisk::kill`].
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Mutex<State>>,
    boot: u64,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").field("boot", &self.boot).finish_non_exhaustive()
    }
}

struct State {
    disk: Disk,
    faults: Faults,
    /// Which run of a process is alive: operations of earlier ones fail.
    boot: u64,
    /// Directories are made here too, for an index store that is really there.
    real: bool,
}

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::with(Disk::new(), false)
    }

    /// An empty disk for a store whose index store is RocksDB itself, on the operating system's files: directories are
    /// created here and there, and names there are seen. So the store's directory must be a real one.
    pub fn beside_rocksdb() -> SimDisk {
        SimDisk::with(Disk::new(), true)
    }

    /// With these files, all of them durable.
    pub fn of(image: &Image) -> SimDisk {
        let disk = SimDisk::new();
        disk.restore(image);
        disk
    }

    fn with(disk: Disk, real: bool) -> SimDisk {
        let state = State { disk, faults: Faults::default(), boot: 0, real };
        SimDisk { shared: Arc::new(Mutex::new(state)), boot: 0 }
    }

    /// A directory and its parents, durable.
    pub fn make_dir(&self, dir: &Path) {
        self.shared.lock().disk.make_durable_dir(dir);
    }

    /// Every file as it reads now.
    pub fn image(&self) -> Image {
        self.shared.lock().disk.image()
    }

    /// Every file as a power cut leaves it that keeps nothing unsynced.
    pub fn durable(&self) -> Image {
        self.shared.lock().disk.crashed(None).image()
    }

    /// Holds these files from now on, all of them durable. What is open goes on with what it has.
    pub fn restore(&self, image: &Image) {
        self.shared.lock().disk.restore(image);
    }

    /// The disk as a power cut leaves it, without any faults; this one stays as it is. The seed decides over everything
    /// that was not synced: kept, dropped, torn, filled with zeros or with anything, each by itself or all alike.
    pub fn crash(&self, seed: u64) -> SimDisk {
        let state = self.shared.lock();
        SimDisk::with(state.disk.crashed(Some(&mut Random::new(seed))), state.real)
    }

    /// The disk as it is now, its pending changes among it, without any faults.
    pub fn copy(&self) -> SimDisk {
        let state = self.shared.lock();
        SimDisk::with(state.disk.clone(), state.real)
    }

    /// Ends the process that uses this disk, and returns the handle for the next one. What was written stays, synced or
    /// not. Faults end too.
    pub fn kill(&self) -> SimDisk {
        let mut state = self.shared.lock();
        state.boot += 1;
        state.disk.unlock_all();
        state.faults = Faults::default();
        SimDisk { shared: self.shared.clone(), boot: state.boot }
    }

    /// Arranges a fault; those arranged before stay.
    pub fn plan(&self, fault: Fault) {
        self.shared.lock().faults.plan(fault);
    }

    /// Crashes at a change: every operation from then on fails.
    pub fn crash_at(&self, at: CrashAt) {
        self.shared.lock().faults.crash_at(at);
    }

    /// From now on syncs succeed and do nothing, or are honest again.
    pub fn lie(&self, lie: bool) {
        self.shared.lock().faults.lie = lie;
    }

    /// How many more bytes files may take; none: any number.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.shared.lock().disk.set_room(bytes);
    }

    /// No fault is arranged any more. A crash stays.
    pub fn heal(&self) {
        self.shared.lock().faults.heal();
    }

    /// Whether the crash has come.
    pub fn is_crashed(&self) -> bool {
        self.shared.lock().faults.crashed
    }

    /// How often an arranged fault happened, or a sync lied.
    pub fn fired(&self) -> u64 {
        self.shared.lock().faults.fired
    }

    /// How many operations there were that change anything: writes, syncs, names, and points (see `Vfs::point`).
    pub fn changes(&self) -> u64 {
        self.shared.lock().faults.changes
    }

    /// How many operations there were of any kind.
    pub fn operations(&self) -> u64 {
        self.shared.lock().faults.operations
    }

    /// How many syncs there were, of files and directories.
    pub fn syncs(&self) -> u64 {
        self.shared.lock().faults.syncs
    }

    /// The last operations that changed anything or failed, oldest first.
    pub fn story(&self) -> Vec<Operation> {
        self.shared.lock().faults.story.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
