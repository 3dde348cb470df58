//! The seam to the file system for log and ledger.

/// A file system.
pub trait Vfs: Send + Sync {}

/// The operating system's.
#[derive(Debug)]
pub struct OsVfs;
impl Vfs for OsVfs {}
