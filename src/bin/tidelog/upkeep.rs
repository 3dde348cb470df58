//! Work on the store as a whole: `delete`, `compact`, `verify`, `backup`, `restore`.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use tidelog::{CompactionReport, Finding, VerifyReport, json};

use crate::args::Args;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::progress::Progress;
use crate::store;
use crate::table::Table;
use crate::text::{number, shown, size};
use crate::values::Setting;

/// Bytes of history over the caps that are kept for readers under way: what the library does by default.
const GRACE_BYTES: u64 = 256 << 20;

pub fn delete(args: &Args, dataset: &OsStr, out: &mut Output) -> Outcome {
    let dataset = args.name(dataset)?;
    store::with(args, out, |engine, out| {
        engine.delete_dataset(&dataset)?;
        if out.is_json() {
            out.named("delete", &json::dataset(&dataset))
        } else {
            out.text(format_args!("deleted dataset '{}'", shown(&dataset, usize::MAX)))
        }
    })
}

pub fn compact(args: &Args, dataset: Option<&OsStr>, grace: Option<Setting>, out: &mut Output) -> Outcome {
    let dataset = dataset.map(|dataset| args.name(dataset)).transpose()?;
    let mut options = args.options();
    if let Some(Setting(grace_ms)) = grace {
        options = options.grace(Duration::from_millis(grace_ms.unwrap_or(0)), GRACE_BYTES);
    }
    store::with_options(args, options, out, |engine, out| {
        let progress = Progress::of(args, "compacting", Some(0));
        let report = engine.compact_with(dataset.as_deref(), &mut |done, total| progress.at_of(done, total))?;
        drop(progress);
        if out.is_json() { out.named("compact", &json::compaction(&report)) } else { out.table(&compacted(&report)) }
    })
}

fn compacted(report: &CompactionReport) -> Table {
    let mut table = Table::of_facts();
    table.fact("datasets", number(report.datasets));
    table.fact("superseded dropped", number(report.superseded_dropped));
    table.fact("tombstones dropped", number(report.tombstones_dropped));
    table.fact("window dropped", number(report.window_dropped));
    if report.held_back > 0 {
        let why = "for readers under way (--grace) or consumers";
        table.fact("held back", format!("in {} datasets, {why}", number(report.held_back)));
    }
    table.fact("chunks rewritten", number(report.chunks_rewritten));
    table.fact("read", size(report.bytes_read));
    table.fact("written", size(report.bytes_written));
    table.fact("took", format!("{} ms", number(report.elapsed_ms)));
    table
}

pub fn verify(args: &Args, out: &mut Output) -> Outcome {
    let progress = Progress::of_bytes(args, "verifying", Some(0));
    let report = tidelog::verify(args.data(), &args.options(), &mut |done, total| progress.at_of(done, total))?;
    drop(progress);
    for finding in &report.findings {
        if out.is_json() {
            out.named("finding", &json::finding(finding))?;
        } else {
            out.text(format_args!("{}", found(finding)))?;
        }
    }
    if out.is_json() {
        out.named("verify", &json::verified(&report))?;
    } else {
        out.table(&verified(&report))?;
        if report.findings.is_empty() {
            out.text(format_args!("no damage found"))?;
        }
    }
    match report.findings.len() {
        0 => Ok(()),
        count => Err(Failure::Findings { dir: args.data(), count }),
    }
}

fn found(finding: &Finding) -> String {
    let place = [
        finding.file.as_ref().map(|file| file.display().to_string()),
        finding.offset.map(|offset| format!("offset {offset}")),
        finding.dataset.as_ref().map(|dataset| format!("dataset '{}'", shown(dataset, usize::MAX))),
        finding.key.map(|key| format!("key {key}")),
    ];
    let place: Vec<String> = place.into_iter().flatten().collect();
    if place.is_empty() { finding.what.clone() } else { format!("{}: {}", place.join(", "), finding.what) }
}

fn verified(report: &VerifyReport) -> Table {
    let mut table = Table::of_facts();
    table.fact("findings", number(report.findings.len() as u64));
    table.fact("commits in the log", number(report.frames));
    table.fact("sealed chunks", number(report.chunks));
    table.fact("sealed entries", number(report.entries));
    table.fact("sealed datasets", number(report.datasets));
    table.fact("read", size(report.bytes));
    table
}

pub fn backup(args: &Args, dest: &Path, out: &mut Output) -> Outcome {
    store::with(args, out, |engine, out| {
        let report = engine.backup(dest)?;
        if out.is_json() {
            out.named("backup", &json::backup(&report))
        } else {
            let (dir, visible) = (report.dir.display(), report.visible);
            out.text(format_args!("backed up to {dir}, complete up to key {visible}"))
        }
    })
}

pub fn restore(args: &Args, src: &Path, out: &mut Output) -> Outcome {
    let dest = args.data();
    tidelog::restore(src, &dest, &args.options())?;
    if out.is_json() {
        out.named("restore", &json::restored(&dest))
    } else {
        out.text(format_args!("restored {} into {}", src.display(), dest.display()))
    }
}
