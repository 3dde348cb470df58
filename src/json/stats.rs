//! Writing figures, settings and reports.

use std::path::Path;

use serde::Serialize;

use super::lists::{DatasetBody, dataset};
use super::text::decimal;
use crate::{
    BackupReport, Cap, CompactionReport, DatasetStat, Finding, Keep, Retention, StoreStat, SyncKey, VerifyReport,
};

/// A dataset's retention. A cap that is null does not apply.
#[derive(Debug, Serialize)]
pub struct RetentionBody {
    keep: &'static str,
    history: CapFields,
    tombstones: CapFields,
}

#[derive(Debug, Serialize)]
struct CapFields {
    entries: Option<u64>,
    bytes: Option<u64>,
    age_ms: Option<u64>,
}

impl From<Cap> for CapFields {
    fn from(cap: Cap) -> CapFields {
        CapFields { entries: cap.entries, bytes: cap.bytes, age_ms: cap.age_ms }
    }
}

/// A retention.
pub fn retention(retention: &Retention) -> RetentionBody {
    let keep = match retention.keep {
        Keep::Live => "live",
        Keep::Window => "window",
    };
    RetentionBody { keep, history: retention.history.into(), tombstones: retention.tombstones.into() }
}

/// A dataset with its retention.
#[derive(Debug, Serialize)]
pub struct RetentionOf<'a> {
    #[serde(flatten)]
    dataset: DatasetBody<'a>,
    #[serde(flatten)]
    retention: RetentionBody,
}

/// The retention of the dataset `name`.
pub fn retention_of<'a>(name: &'a [u8], retention: &Retention) -> RetentionOf<'a> {
    RetentionOf { dataset: dataset(name), retention: self::retention(retention) }
}

/// What a dataset holds.
#[derive(Debug, Serialize)]
pub struct DatasetStatBody<'a> {
    #[serde(flatten)]
    dataset: DatasetBody<'a>,
    head: String,
    first: String,
    history_floor: String,
    floor: String,
    entries: u64,
    bytes: u64,
    superseded: u64,
    tombstones: u64,
    time: u64,
    retention: RetentionBody,
}

/// The figures of the dataset `name`.
pub fn dataset_stat<'a>(name: &'a [u8], stat: &DatasetStat) -> DatasetStatBody<'a> {
    DatasetStatBody {
        dataset: dataset(name),
        head: decimal(stat.head),
        first: decimal(stat.first),
        history_floor: decimal(stat.history_floor),
        floor: decimal(stat.floor),
        entries: stat.entries,
        bytes: stat.bytes,
        superseded: stat.superseded,
        tombstones: stat.tombstones,
        time: stat.time_ms,
        retention: retention(&stat.retention),
    }
}

/// What a store holds.
#[derive(Debug, Serialize)]
pub struct StoreStatBody {
    dir: String,
    datasets: u64,
    visible: String,
    lineage: String,
    log_bytes: u64,
    store_bytes: u64,
}

/// The figures of the store.
pub fn store_stat(stat: &StoreStat) -> StoreStatBody {
    StoreStatBody {
        dir: path(&stat.dir),
        datasets: stat.datasets,
        visible: decimal(stat.visible),
        lineage: stat.lineage.to_string(),
        log_bytes: stat.log_bytes,
        store_bytes: stat.store_bytes,
    }
}

/// What a compaction did.
#[derive(Debug, Serialize)]
pub struct CompactionBody {
    datasets: u64,
    superseded_dropped: u64,
    tombstones_dropped: u64,
    window_dropped: u64,
    held_back: u64,
    chunks_rewritten: u64,
    bytes_read: u64,
    bytes_written: u64,
    elapsed_ms: u64,
}

/// A compaction's report.
pub fn compaction(report: &CompactionReport) -> CompactionBody {
    CompactionBody {
        datasets: report.datasets,
        superseded_dropped: report.superseded_dropped,
        tombstones_dropped: report.tombstones_dropped,
        window_dropped: report.window_dropped,
        held_back: report.held_back,
        chunks_rewritten: report.chunks_rewritten,
        bytes_read: report.bytes_read,
        bytes_written: report.bytes_written,
        elapsed_ms: report.elapsed_ms,
    }
}

/// One thing found wrong.
#[derive(Debug, Serialize)]
pub struct FindingBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(flatten)]
    dataset: Option<DatasetBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    what: &'a str,
}

/// A finding of `verify`.
pub fn finding(finding: &Finding) -> FindingBody<'_> {
    FindingBody {
        file: finding.file.as_deref().map(path),
        offset: finding.offset,
        dataset: finding.dataset.as_deref().map(dataset),
        key: finding.key.map(|key| decimal(SyncKey::new(key))),
        what: &finding.what,
    }
}

/// What `verify` looked at, and how much it found.
#[derive(Debug, Serialize)]
pub struct VerifyBody {
    findings: usize,
    frames: u64,
    chunks: u64,
    entries: u64,
    datasets: u64,
    bytes: u64,
}

/// The summary of a verification.
pub fn verified(report: &VerifyReport) -> VerifyBody {
    VerifyBody {
        findings: report.findings.len(),
        frames: report.frames,
        chunks: report.chunks,
        entries: report.entries,
        datasets: report.datasets,
        bytes: report.bytes,
    }
}

/// What a backup holds.
#[derive(Debug, Serialize)]
pub struct BackupBody {
    dir: String,
    visible: String,
    log_bytes: u64,
}

/// A backup's report.
pub fn backup(report: &BackupReport) -> BackupBody {
    BackupBody { dir: path(&report.dir), visible: decimal(report.visible), log_bytes: report.log_bytes }
}

/// Where a backup was restored.
#[derive(Debug, Serialize)]
pub struct RestoreBody {
    dir: String,
}

/// A backup was restored into `dir`.
pub fn restored(dir: &Path) -> RestoreBody {
    RestoreBody { dir: path(dir) }
}

/// A path as text; what is not UTF-8 in it is replaced.
pub(super) fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
