//! Looking at a whole store without changing it.

use std::path::Path;

use crate::error::{Error, Result};
use crate::log::{self, Ledger};
use crate::options::{Compression, Options};
use crate::store::{Store, StoreOptions};
use crate::types::{Finding, VerifyReport};

/// Findings that are kept; there may be more.
const MAX_FINDINGS: usize = 10_000;

/// Checks the store (or backup) in `dir`, which no one may have open, and changes nothing: every log frame, every row
/// of the index store with its checksum, and chunks, index and marks against each other in both directions.
///
/// `progress` gets steps done and steps in all. Every finding is reported; only what keeps the look itself from going
/// on is an error.
///
/// # Errors
///
/// [`Error::NotFound`] if there is no store, [`Error::Locked`], [`Error::FormatTooNew`], [`Error::Io`].
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("store");
/// use tidelog::{Engine, Options};
///
/// Engine::open(&dir, Options::default())?.close()?;
/// let report = tidelog::verify(&dir, &Options::default(), &mut |_, _| {})?;
/// assert!(report.findings.is_empty());
/// # Ok::<(), tidelog::Error>(())
/// ```
pub fn verify(dir: impl AsRef<Path>, options: &Options, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport> {
    let dir = dir.as_ref();
    let vfs = &*options.vfs;
    let mut parts = ["ledger", "db", "log"].map(|part| dir.join(part)).into_iter();
    if !parts.any(|part| vfs.exists(&part).unwrap_or(true)) {
        return Err(Error::NotFound { what: format!("a store in {}", dir.display()) });
    }
    let path = dir.join("LOCK");
    let _lock = match vfs.lock(&path) {
        Ok(Some(guard)) => Some(guard),
        Ok(None) => return Err(Error::Locked { dir: dir.to_path_buf() }),
        // On a read-only medium no one else writes either.
        Err(_) => None,
    };
    let mut report = VerifyReport::default();
    progress(0, 3);
    let mut findings = Vec::new();
    let mut note = |finding: Finding| {
        if findings.len() < MAX_FINDINGS {
            findings.push(finding);
        }
    };
    let applied = match Ledger::inspect(vfs, dir, &mut note) {
        Ok(state) => Some(state.applied_upto.key),
        Err(error) => {
            note(found(error)?);
            None
        }
    };
    progress(1, 3);
    if applied.is_some() {
        match log::scan_readonly(vfs, dir, &mut note) {
            Ok(scanned) => (report.frames, report.bytes) = (scanned.frames, scanned.bytes),
            Err(error) => note(found(error)?),
        }
    }
    progress(2, 3);
    let store_options =
        StoreOptions { memory: options.memory / 8, cache_bytes: 1 << 20, lz4: options.compression == Compression::Lz4 };
    match Store::open_read_only(&options.vfs, &dir.join("db"), &store_options, applied.unwrap_or(0)) {
        Ok(store) => {
            // Opening for writing cuts it off. After a power cut it is none, but nothing tells it from rot.
            store.torn_end().map(|torn| found(torn.damaged())).transpose()?.into_iter().for_each(&mut note);
            let checked = store.snapshot().verify(&mut note);
            (report.chunks, report.entries, report.datasets) = (checked.chunks, checked.entries, checked.datasets);
            report.bytes += checked.bytes;
        }
        Err(error) => note(found(error)?),
    }
    progress(3, 3);
    report.findings = findings;
    Ok(report)
}

/// Damage that ended one part of the look is a finding like others.
fn found(error: Error) -> Result<Finding> {
    match error {
        Error::Damaged { file, offset, what } => {
            Ok(Finding { file: Some(file), offset, dataset: None, key: None, what })
        }
        Error::Store { what, cause } => {
            Ok(Finding { file: None, offset: None, dataset: None, key: None, what: format!("{what}: {cause}") })
        }
        error => Err(error),
    }
}
